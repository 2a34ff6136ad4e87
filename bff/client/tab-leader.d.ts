/**
 * One leader among the tabs of this origin in one browser (Web Locks), and messages between them
 * (BroadcastChannel). When the leader closes, the browser gives the lock to the next tab in the queue.
 * What a leader does, and what the messages mean, is the caller's.
 */
export type Callbacks = {
    /**
     * a message of another tab
     */
    onMessage: (message: unknown) => void;
    /**
     * this tab leads now
     */
    onLead: () => void;
    /**
     * another tab has taken the lead; this one is in the queue again
     */
    onLeadLost: () => void;
    /**
     * the browser refuses the lock, so that no tab can lead
     */
    onUnavailable: () => void;
};
export type Tabs = ReturnType<typeof joinTabs>;
/**
 * @typedef {object} Callbacks
 * @property {(message: unknown) => void} onMessage a message of another tab
 * @property {() => void} onLead this tab leads now
 * @property {() => void} onLeadLost another tab has taken the lead; this one is in the queue again
 * @property {() => void} onUnavailable the browser refuses the lock, so that no tab can lead
 */
/** @typedef {ReturnType<typeof joinTabs>} Tabs */
/** Whether this browser has what `joinTabs` needs. */
export declare function canElectLeader(): boolean;
/**
 * @param {string} name of the channel and of the lock
 * @param {Callbacks} callbacks none of them is called after `leave`
 */
export declare function joinTabs(name: string, { onMessage, onLead, onLeadLost, onUnavailable }: Callbacks): Readonly<{
    isLeading: () => boolean;
    /** @param {unknown} message to all other tabs */
    post(message: unknown): void;
    /** Leads from now on in the place of another tab, which the browser has suspended. */
    takeLead(): void;
    leave(): void;
}>;
