/**
 * The gateway's event stream, kept open. An EventSource does not say why it failed, so after each
 * failure the user document is asked for: it tells a session that has ended from a gateway that cannot
 * be reached. Every new attempt waits longer than the one before; after three refusals in a row the
 * next attempt is made five minutes later.
 */
export type SessionEvent = import('./session-event.js').SessionEvent;
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */
/**
 * @param {object} parts
 * @param {string} parts.url
 * @param {() => Promise<import('./bff-client.js').User | null>} parts.ask
 * @param {(event: SessionEvent) => void} parts.onEvent
 * @param {(state: 'stream' | 'polling' | 'away' | 'idle') => void} parts.onState
 */
export declare function createStream({ url, ask, onEvent, onState }: {
    url: string;
    ask: () => Promise<import('./bff-client.js').User | null>;
    onEvent: (event: SessionEvent) => void;
    onState: (state: 'stream' | 'polling' | 'away' | 'idle') => void;
}): Readonly<{
    connect: () => void;
    check: () => Promise<void>;
    isIdle: () => boolean;
    isOpen: () => boolean;
    stop(): void;
}>;
