/**
 * The gateway's event stream, kept open. An EventSource does not say why it failed, so after each
 * failure the user document is asked for: it tells a session that is over from a gateway that is away.
 * Every new attempt waits longer than the one before; a stream refused again and again is left alone
 * for minutes.
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
