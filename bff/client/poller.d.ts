/**
 * How the session is, by asking again and again without that counting as activity, while the page is
 * visible: for browsers and networks that have no event stream.
 */
/**
 * @param {object} parts
 * @param {() => Promise<import('./bff-client.js').User | null>} parts.ask
 * @param {(event: import('./session-event.js').SessionEvent) => void} parts.onEvent
 * @param {(isAnswered: boolean) => void} parts.onAnswered after each question
 */
export declare function createPoller({ ask, onEvent, onAnswered }: {
    ask: () => Promise<import('./bff-client.js').User | null>;
    onEvent: (event: import('./session-event.js').SessionEvent) => void;
    onAnswered: (isAnswered: boolean) => void;
}): Readonly<{
    isRunning: () => boolean;
    start(): void;
    /** Asks now rather than later. */
    soon(): void;
    stop(): void;
}>;
