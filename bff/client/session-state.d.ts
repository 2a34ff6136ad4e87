/**
 * What this tab knows of the session: whether there is one, and how long it lasts. The listeners get
 * each end and each login once, however many sources report it. Makes no request.
 */
export type Figures = import('./session-event.js').Figures;
export type SessionEvent = import('./session-event.js').SessionEvent;
/** @typedef {import('./session-event.js').Figures} Figures */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */
/**
 * @param {object} parts
 * @param {(event: SessionEvent) => void} parts.notify passes an event on to the listeners
 * @param {() => void} parts.onEnded called before the listeners get `ended`
 */
export declare function createSessionState({ notify, onEnded }: {
    notify: (event: SessionEvent) => void;
    onEnded: () => void;
}): Readonly<{
    apply: (event: SessionEvent) => void;
    setLive: () => boolean;
    setFigures: (figures: Figures | null) => void;
    isLive: () => boolean | undefined;
    /** A page without a known session has none. The end of a known one goes through `apply`. */
    setAnonymousIfUnknown(): void;
    /**
     * Whether the session lasts longer than this tab knew, because another tab has used it.
     * @param {Figures} figures
     */
    isExtended(figures: Figures): boolean;
    /** Another tab logs out: an end without a reason, within the next seconds, is that logout. */
    expectLogout(): void;
}>;
