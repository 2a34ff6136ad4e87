/**
 * The events that listeners get, and how they are read from data of the gateway or of another tab.
 * Pure.
 */
export type Figures = {
    session_expires_in: number;
    idle_expires_in: number;
    access_token_expires_in: number;
};
export type Link = 'stream' | 'tab' | 'polling' | 'away' | 'idle';
export type SessionEvent = ({
    type: 'session' | 'refreshed' | 'expiring';
} & Figures) | {
    type: 'ended';
    reason: string;
} | {
    type: 'logged_in';
} | {
    type: 'link';
    link: Link;
};
/**
 * The figures in a piece of data, or null.
 * @param {any} data
 * @returns {Figures | null}
 */
export declare function figuresOf(data: any): Figures | null;
/**
 * An event, or null when it is none of the above.
 * @param {unknown} type
 * @param {any} data
 * @returns {SessionEvent | null}
 */
export declare function readEvent(type: unknown, data: any): SessionEvent | null;
