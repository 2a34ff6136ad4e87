/**
 * What happens to the session, for listeners in every tab of this browser. One tab holds the gateway's
 * event stream and passes on what it hears; where that cannot be, every visible tab asks by itself.
 *
 * What it asks never counts as activity; it asks nothing before there is a listener, nor after the last
 * one has stopped.
 */
export type Link = import('./session-event.js').Link;
export type SessionEvent = import('./session-event.js').SessionEvent;
export type Listener = (event: SessionEvent) => void;
/** @typedef {import('./session-event.js').Link} Link */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */
/** @typedef {(event: SessionEvent) => void} Listener */
/**
 * @param {object} parts
 * @param {string} parts.prefix where the gateway's own endpoints are
 * @param {() => Promise<import('./bff-client.js').User | null>} parts.ask
 * @param {() => void} parts.onEnded before the listeners are told
 */
export declare function createSessionEvents({ prefix, ask, onEnded }: {
    prefix: string;
    ask: () => Promise<import('./bff-client.js').User | null>;
    onEnded: () => void;
}): Readonly<{
    /**
     * Calls `listener` with every event, until the returned function is called.
     * @param {Listener} listener
     * @returns {() => void}
     */
    onSession(listener: Listener): () => void;
    /**
     * A request has found a session.
     * @param {import('./bff-client.js').SessionInfo} info
     * @param {{isOther: boolean}} how whether it is another user's than the one before
     */
    met(info: import('./bff-client.js').SessionInfo, { isOther }: {
        isOther: boolean;
    }): void;
    /**
     * A request has found that there is no session.
     * @param {string} code the problem's
     */
    missed(code: string): void;
    /** This page is being left by a logout of our own. */
    leaving(): void;
}>;
