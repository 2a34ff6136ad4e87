/**
 * A login at another device, for a page that is used without a keyboard: the page shows a code, the user
 * enters it elsewhere, and this browser gets the session.
 */
export type User = import('./bff-client.js').User;
export type Send = import('./devices.js').Send;
export type DeviceLoginOptions = {
    /**
     * name of the provider, where there are several
     */
    idp?: string;
};
export type DeviceLogin = {
    /**
     * what the user enters at `verificationUri`
     */
    userCode: string;
    verificationUri: string;
    /**
     * the same address with the code in it, for a QR code;
     * null where the login service has none
     */
    verificationUriComplete: string | null;
    expiresIn: number;
    /**
     * waits until the user has
     * allowed the login, and is the user who is logged in then. Throws `GatewayError` with the code
     * `login_denied` or `login_expired`, or another where no login can come of it any more, and what
     * `signal` was aborted with
     */
    decided: (how?: {
        signal?: AbortSignal;
    }) => Promise<User | null>;
};
/** @typedef {import('./bff-client.js').User} User */
/** @typedef {import('./devices.js').Send} Send */
/**
 * @typedef {object} DeviceLoginOptions
 * @property {string} [idp] name of the provider, where there are several
 */
/**
 * What the page shows. The codes are good for `expiresIn` seconds from the moment of the answer.
 * @typedef {object} DeviceLogin
 * @property {string} userCode what the user enters at `verificationUri`
 * @property {string} verificationUri
 * @property {string | null} verificationUriComplete the same address with the code in it, for a QR code;
 *   null where the login service has none
 * @property {number} expiresIn
 * @property {(how?: {signal?: AbortSignal}) => Promise<User | null>} decided waits until the user has
 *   allowed the login, and is the user who is logged in then. Throws `GatewayError` with the code
 *   `login_denied` or `login_expired`, or another where no login can come of it any more, and what
 *   `signal` was aborted with
 */
/**
 * Begins one.
 * @param {Send} send
 * @param {string} prefix
 * @param {() => Promise<User | null>} ask
 * @param {DeviceLoginOptions} [how]
 * @returns {Promise<Readonly<DeviceLogin>>}
 */
export declare function beginDeviceLogin(send: Send, prefix: string, ask: () => Promise<User | null>, { idp }?: DeviceLoginOptions): Promise<Readonly<DeviceLogin>>;
