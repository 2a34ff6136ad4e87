/**
 * The user's own sessions, one for each browser they are logged in with, and the way to end them.
 * The gateway answers for the caller's own account only.
 */
export type Device = {
    /**
     * good for `end`, and for nothing else
     */
    id: string;
    /**
     * whether it is the session of this page
     */
    current: boolean;
    /**
     * the browser's User-Agent at the login, cut; not to be trusted
     */
    client: string;
    /**
     * the IP address at the login, where the gateway keeps it
     */
    address?: string;
    created_at: number;
    last_seen_at: number;
    /**
     * the absolute end
     */
    expires_at: number;
};
export type Devices = ReturnType<typeof createDevices>;
export type Send = (path: string, init?: RequestInit) => Promise<Response>;
/**
 * Times are epoch seconds.
 * @typedef {object} Device
 * @property {string} id good for `end`, and for nothing else
 * @property {boolean} current whether it is the session of this page
 * @property {string} client the browser's User-Agent at the login, cut; not to be trusted
 * @property {string} [address] the IP address at the login, where the gateway keeps it
 * @property {number} created_at
 * @property {number} last_seen_at
 * @property {number} expires_at the absolute end
 */
/** @typedef {ReturnType<typeof createDevices>} Devices */
/** @typedef {(path: string, init?: RequestInit) => Promise<Response>} Send */
/**
 * Each method throws what `fetch` of the client throws, and `GatewayError` for any other refusal.
 * @param {Send} send
 * @param {string} prefix
 */
export declare function createDevices(send: Send, prefix: string): Readonly<{
    /**
     * All of them, the newest first.
     * @returns {Promise<Device[]>}
     */
    list(): Promise<Device[]>;
    /**
     * Ends one, that of this page included. False when it was over already.
     * @param {string} id
     */
    end(id: string): Promise<boolean>;
    /** Ends all but that of this page; returns how many there were. */
    endOthers(): Promise<number>;
}>;
