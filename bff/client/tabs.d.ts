/**
 * The tabs of this origin in one browser: they hear each other (BroadcastChannel), and one of them
 * leads (Web Locks). When the leader goes, the browser lets the next in line lead. What is said and
 * what leading means is the caller's.
 */
export type Callbacks = {
    /**
     * from another tab
     */
    onMessage: (message: unknown) => void;
    onLead: () => void;
    /**
     * another tab leads now; this one is in line again
     */
    onDeposed: () => void;
    /**
     * this browser does not let tabs take turns
     */
    onAlone: () => void;
};
export type Tabs = ReturnType<typeof joinTabs>;
/**
 * @typedef {object} Callbacks
 * @property {(message: unknown) => void} onMessage from another tab
 * @property {() => void} onLead
 * @property {() => void} onDeposed another tab leads now; this one is in line again
 * @property {() => void} onAlone this browser does not let tabs take turns
 */
/** @typedef {ReturnType<typeof joinTabs>} Tabs */
export declare function canTakeTurns(): boolean;
/**
 * @param {string} name of the channel and of the lock
 * @param {Callbacks} callbacks none of them is called after `leave`
 */
export declare function joinTabs(name: string, { onMessage, onLead, onDeposed, onAlone }: Callbacks): Readonly<{
    isLeading: () => boolean;
    /** @param {unknown} message to all other tabs */
    post(message: unknown): void;
    /** Leads from now on, in the place of another tab: for a leader that the browser has put to sleep. */
    depose(): void;
    leave(): void;
}>;
