/**
 * What this tab knows of the session, and what of it is news: each end and each login is told once, by
 * whichever way it was learnt first. It makes no request.
 */
export type Figures = import('./session-event.js').Figures;
export type SessionEvent = import('./session-event.js').SessionEvent;
/** @typedef {import('./session-event.js').Figures} Figures */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */
/**
 * @param {object} parts
 * @param {(event: SessionEvent) => void} parts.tell
 * @param {() => void} parts.onEnded before that is told
 */
export declare function createKnowledge({ tell, onEnded }: {
    tell: (event: SessionEvent) => void;
    onEnded: () => void;
}): Readonly<{
    take: (event: SessionEvent) => void;
    findLive: () => boolean;
    keep: (figures: Figures | null) => void;
    isLive: () => boolean | undefined;
    /** There is no session; its end is told by `take` where one was known. */
    findNobody(): void;
    /**
     * Whether there is more time left than this tab would think.
     * @param {Figures} figures
     */
    isExtended(figures: Figures): boolean;
    /** An end within the next seconds that nobody gives a reason for is that logout. */
    expectLogout(): void;
}>;
