/**
 * What happens to the session, for listeners in every tab of this browser. One tab, the leader, holds
 * the gateway's event stream and passes its events on to the others; where the browser or the network
 * prevents that, every visible tab polls.
 *
 * No request made here counts as activity, and none is made before there is a listener or after the
 * last one has stopped.
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
 * @param {() => void} parts.onEnded called before the listeners get `ended`
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
     * The answer to a request shows a session.
     * @param {import('./bff-client.js').SessionInfo} info
     * @param {{isOtherUser: boolean}} how whether it is another user's than the one before
     */
    sessionFound(info: import('./bff-client.js').SessionInfo, { isOtherUser }: {
        isOtherUser: boolean;
    }): void;
    /**
     * The answer to a request shows that there is no session.
     * @param {string} code the problem's
     */
    sessionMissing(code: string): void;
    /** The user logs out by this page. */
    loggingOut(): void;
}>;
