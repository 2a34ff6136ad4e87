/**
 * What listeners are told of the session, and how it is read from what the gateway or another tab
 * said. Pure.
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
 * An event, or null when it is none that we know.
 * @param {unknown} type
 * @param {any} data
 * @returns {SessionEvent | null}
 */
export declare function readEvent(type: unknown, data: any): SessionEvent | null;
