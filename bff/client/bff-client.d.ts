/**
 * The browser side of the gateway's contract (docs/spa-contract.md): the user, login, logout, `fetch`
 * for calls through the gateway, events of the session, and the user's devices.
 *
 * It never sees a token and stores nothing. It never sends its header to another origin.
 */
import { GatewayError, NotAuthenticatedError, readProblem, StepUpRequiredError, TokenUnusableError, UnavailableError } from './problems.js';
export { GatewayError, NotAuthenticatedError, readProblem, StepUpRequiredError, TokenUnusableError, UnavailableError, };
export type Problem = import('./problems.js').Problem;
export type DeviceLogin = import('./device-login.js').DeviceLogin;
export type DeviceLoginOptions = import('./device-login.js').DeviceLoginOptions;
export type Device = import('./devices.js').Device;
export type Devices = import('./devices.js').Devices;
export type SessionEvent = import('./session-event.js').SessionEvent;
export type Figures = import('./session-event.js').Figures;
export type Link = import('./session-event.js').Link;
export type SessionInfo = {
    /**
     * until the absolute end of the session
     */
    session_expires_in: number;
    /**
     * until the session ends for want of activity
     */
    idle_expires_in: number;
    /**
     * until the gateway needs a new access token
     */
    access_token_expires_in: number;
    /**
     * path and query of a logout link bound to this session
     */
    logout_url: string;
    /**
     * the provider's name, where the gateway has several
     */
    idp?: string;
    /**
     * how strongly the user was authenticated (OIDC Core section 2)
     */
    acr?: string | null;
    /**
     * when the user was authenticated, epoch seconds
     */
    auth_time?: number | null;
    /**
     * what the OP has
     * granted (RFC 9396), where the gateway shows it
     */
    authorization_details?: {
        type: string;
        [member: string]: unknown;
    }[];
};
export type User = {
    sub: string;
    name?: string;
    email?: string;
    bff: SessionInfo;
    [claim: string]: unknown;
};
export type ClientOptions = {
    /**
     * where the gateway's own endpoints are; default: where this module came
     * from, if the gateway has served it, else `/bff`
     */
    prefix?: string;
    /**
     * default `X-CSRF`
     */
    csrfHeader?: string;
    /**
     * default `1`
     */
    csrfValue?: string;
    /**
     * called once when a request finds
     * that a session this client knew of is gone; not for a visitor who never logged in, nor for a logout
     * by this page. A page with an `onSession` listener does not need it.
     */
    onSessionEnded?: (error: NotAuthenticatedError) => void;
};
export type Provider = {
    /**
     * for `login({ idp })`
     */
    name: string;
    /**
     * for people
     */
    label: string;
    /**
     * path and query of a login link
     */
    login_url: string;
};
export type LoginOptions = {
    /**
     * name of the provider, where there are several
     */
    idp?: string;
    /**
     * path to come back to; default: the current path, query and fragment
     */
    returnUrl?: string;
    /**
     * OIDC `prompt`, such as `login` or `none`
     */
    prompt?: string;
    /**
     * OIDC `login_hint`
     */
    loginHint?: string;
    /**
     * OIDC `acr_values`, to step up
     */
    acrValues?: string;
    /**
     * OIDC `max_age`, seconds
     */
    maxAge?: number;
};
export type LogoutOptions = {
    /**
     * where the logout ends; one of the gateway's `session.logout_return_paths`
     */
    returnUrl?: string;
};
export type StepUpOptions = {
    /**
     * path to come back to; default: the current path, query and fragment
     */
    returnUrl?: string;
};
export type UserOptions = {
    /**
     * false: the question does not count as activity
     */
    slide?: boolean;
    /**
     * default: the answer must come within ten seconds
     */
    signal?: AbortSignal;
};
export type Client = {
    /**
     * the user who is logged in, or
     * null. Throws `UnavailableError` when that cannot be known at the moment
     */
    user: (how?: UserOptions) => Promise<User | null>;
    /**
     * the login services there are, the default first
     */
    providers: () => Promise<Provider[]>;
    /**
     * leaves this page for the login
     */
    login: (how?: LoginOptions) => void;
    /**
     * begins a login that the
     * user decides about at another device
     */
    deviceLogin: (how?: DeviceLoginOptions) => Promise<DeviceLogin>;
    /**
     * leaves this page for the
     * login that a call wants. Send the call again when the page is back
     */
    stepUp: (error: StepUpRequiredError, how?: StepUpOptions) => void;
    /**
     * leaves this page for the logout; false
     * when there was no session to end, and the page stays
     */
    logout: (how?: LogoutOptions) => Promise<boolean>;
    /**
     * `fetch` for
     * paths of this origin, with the CSRF header. Throws `NotAuthenticatedError` when the gateway wants a
     * login, `StepUpRequiredError` when a stronger or more recent one, `TokenUnusableError` when one for a
     * new access token, `UnavailableError` for a 503, no answer or too many calls
     */
    fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>;
    /**
     * calls `listener` with
     * the session's events, until the function it returns is called
     */
    onSession: (listener: (event: SessionEvent) => void) => () => void;
    /**
     * the user's own sessions
     */
    devices: Devices;
};
/** @typedef {import('./problems.js').Problem} Problem */
/** @typedef {import('./device-login.js').DeviceLogin} DeviceLogin */
/** @typedef {import('./device-login.js').DeviceLoginOptions} DeviceLoginOptions */
/** @typedef {import('./devices.js').Device} Device */
/** @typedef {import('./devices.js').Devices} Devices */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */
/** @typedef {import('./session-event.js').Figures} Figures */
/** @typedef {import('./session-event.js').Link} Link */
/**
 * The `bff` part of the user document. Durations are whole seconds from the moment of the answer.
 * @typedef {object} SessionInfo
 * @property {number} session_expires_in until the absolute end of the session
 * @property {number} idle_expires_in until the session ends for want of activity
 * @property {number} access_token_expires_in until the gateway needs a new access token
 * @property {string} logout_url path and query of a logout link bound to this session
 * @property {string} [idp] the provider's name, where the gateway has several
 * @property {string | null} [acr] how strongly the user was authenticated (OIDC Core section 2)
 * @property {number | null} [auth_time] when the user was authenticated, epoch seconds
 * @property {{ type: string, [member: string]: unknown }[]} [authorization_details] what the OP has
 *   granted (RFC 9396), where the gateway shows it
 */
/**
 * What `GET /bff/user` says: `sub`, the claims the gateway's configuration allows, and `bff`.
 * @typedef {{sub: string, name?: string, email?: string, bff: SessionInfo, [claim: string]: unknown}} User
 */
/**
 * @typedef {object} ClientOptions
 * @property {string} [prefix] where the gateway's own endpoints are; default: where this module came
 *   from, if the gateway has served it, else `/bff`
 * @property {string} [csrfHeader] default `X-CSRF`
 * @property {string} [csrfValue] default `1`
 * @property {(error: NotAuthenticatedError) => void} [onSessionEnded] called once when a request finds
 *   that a session this client knew of is gone; not for a visitor who never logged in, nor for a logout
 *   by this page. A page with an `onSession` listener does not need it.
 */
/**
 * A login service that users may choose, as `GET /bff/providers` says.
 * @typedef {object} Provider
 * @property {string} name for `login({ idp })`
 * @property {string} label for people
 * @property {string} login_url path and query of a login link
 */
/**
 * @typedef {object} LoginOptions
 * @property {string} [idp] name of the provider, where there are several
 * @property {string} [returnUrl] path to come back to; default: the current path, query and fragment
 * @property {string} [prompt] OIDC `prompt`, such as `login` or `none`
 * @property {string} [loginHint] OIDC `login_hint`
 * @property {string} [acrValues] OIDC `acr_values`, to step up
 * @property {number} [maxAge] OIDC `max_age`, seconds
 */
/**
 * @typedef {object} LogoutOptions
 * @property {string} [returnUrl] where the logout ends; one of the gateway's `session.logout_return_paths`
 */
/**
 * @typedef {object} StepUpOptions
 * @property {string} [returnUrl] path to come back to; default: the current path, query and fragment
 */
/**
 * @typedef {object} UserOptions
 * @property {boolean} [slide] false: the question does not count as activity
 * @property {AbortSignal} [signal] default: the answer must come within ten seconds
 */
/**
 * What `createClient` returns. Its methods may be taken off it.
 * @typedef {object} Client
 * @property {(how?: UserOptions) => Promise<User | null>} user the user who is logged in, or
 *   null. Throws `UnavailableError` when that cannot be known at the moment
 * @property {() => Promise<Provider[]>} providers the login services there are, the default first
 * @property {(how?: LoginOptions) => void} login leaves this page for the login
 * @property {(how?: DeviceLoginOptions) => Promise<DeviceLogin>} deviceLogin begins a login that the
 *   user decides about at another device
 * @property {(error: StepUpRequiredError, how?: StepUpOptions) => void} stepUp leaves this page for the
 *   login that a call wants. Send the call again when the page is back
 * @property {(how?: LogoutOptions) => Promise<boolean>} logout leaves this page for the logout; false
 *   when there was no session to end, and the page stays
 * @property {(input: RequestInfo | URL, init?: RequestInit) => Promise<Response>} fetch `fetch` for
 *   paths of this origin, with the CSRF header. Throws `NotAuthenticatedError` when the gateway wants a
 *   login, `StepUpRequiredError` when a stronger or more recent one, `TokenUnusableError` when one for a
 *   new access token, `UnavailableError` for a 503, no answer or too many calls
 * @property {(listener: (event: SessionEvent) => void) => () => void} onSession calls `listener` with
 *   the session's events, until the function it returns is called
 * @property {Devices} devices the user's own sessions
 */
/**
 * A client for the gateway that serves this page.
 * @param {ClientOptions} [options]
 * @returns {Readonly<Client>}
 */
export declare function createClient(options?: ClientOptions): Readonly<Client>;
