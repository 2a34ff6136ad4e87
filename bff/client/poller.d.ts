/**
 * Asks for the user document every 30 seconds while the page is visible, without that counting as
 * activity: for browsers and networks in which the event stream does not work.
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
    pollNow(): void;
    stop(): void;
}>;
