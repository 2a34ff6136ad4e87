/**
 * The browser side of the gateway's contract (docs/spa-contract.md): the user, login, logout, `fetch`
 * for calls through the gateway, events of the session, and the user's devices.
 *
 * It never sees a token and stores nothing. It never sends its header to another origin.
 */

import { beginDeviceLogin } from './device-login.js';
import { createDevices } from './devices.js';
import { createSessionEvents } from './events.js';
import {
  GatewayError,
  NotAuthenticatedError,
  readProblem,
  refused,
  StepUpRequiredError,
  TokenUnusableError,
  UnavailableError,
} from './problems.js';

export {
  GatewayError,
  NotAuthenticatedError,
  readProblem,
  StepUpRequiredError,
  TokenUnusableError,
  UnavailableError,
};

const ANSWER_WITHIN_MS = 10_000;

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
export function createClient(options = {}) {
  const { csrfHeader = 'X-CSRF', csrfValue = '1', onSessionEnded } = options;
  const { prefix = ownPrefix(import.meta.url) } = options;

  /** @type {User | null | undefined} undefined before the first answer */
  let known;

  /** @type {Promise<User | null> | null} the question under way, shared by callers */
  let asking = null;

  let ends = 0; // of sessions, as the events told

  const events = createSessionEvents({
    prefix,
    ask: () => asking ?? user({ slide: false }),
    onEnded: () => {
      known = null;
      ends += 1;
    },
  });

  /**
   * The only place where answers change what the client knows of the session.
   * @param {User | null} next
   * @param {NotAuthenticatedError} [reason] the gateway's, when it wants a login
   */
  function learn(next, reason) {
    const wasKnown = known;
    known = next;
    if (next) events.sessionFound(next.bff, { isOtherUser: Boolean(wasKnown) && wasKnown?.sub !== next.sub });
    else if (reason) events.sessionMissing(reason.code);
    if (wasKnown && !next && reason) onSessionEnded?.(reason);
  }

  /**
   * Sends the request with the CSRF header, to this origin only, redirects included.
   * @param {RequestInfo | URL} input
   * @param {RequestInit} [init]
   */
  async function send(input, init) {
    const target = input instanceof Request ? input : new URL(input, location.href);
    const request = new Request(target, { ...init, mode: 'same-origin' });
    if (new URL(request.url).origin !== location.origin) {
      throw new TypeError('This client talks to its own origin only.');
    }
    request.headers.set(csrfHeader, csrfValue);
    try {
      return await fetch(request);
    } catch (cause) {
      const timedOut = cause instanceof DOMException && cause.name === 'TimeoutError';
      if (request.signal.aborted && !timedOut) throw cause; // the caller has aborted it
      throw new UnavailableError('unreachable', null, null, cause);
    }
  }

  /**
   * Throws for a refusal of the gateway itself; an API's own 401, 403 or 429 passes.
   * @param {Response} response
   */
  async function requireService(response) {
    if (![401, 429, 503].includes(response.status)) return;
    const problem = await readProblem(response);
    const code = problem?.code ?? 'unavailable';
    if (response.status === 503 || (response.status === 429 && code === 'rate_limited')) {
      throw new UnavailableError(code, response, problem);
    }
    if (code === 'step_up_required' && problem?.login_url) {
      throw new StepUpRequiredError(response, problem, problem.login_url);
    }
    if ((code === 'token_inactive' || code === 'token_bound') && problem?.login_url) {
      throw new TokenUnusableError(code, response, problem, problem.login_url);
    }
    if (code !== 'not_authenticated' && code !== 'session_ended') return;
    const error = refusal(response, problem);
    learn(null, error);
    throw error;
  }

  /**
   * @param {Response} response
   * @param {Problem | null} problem null when anonymous visitors get `200 null`
   */
  function refusal(response, problem) {
    const code = problem?.code ?? 'not_authenticated';
    const loginUrl = problem?.login_url ?? `${prefix}/login`;
    return new NotAuthenticatedError(code, response, problem, loginUrl);
  }

  /**
   * The user who is logged in, or null. With `slide: false` the question does not count as activity. Without a
   * signal of the caller's the answer must come within ten seconds.
   * @param {UserOptions} [how]
   * @returns {Promise<User | null>}
   * @throws {UnavailableError} it cannot be known at the moment
   * @throws {GatewayError} the answer is not one of the contract's
   */
  async function user({ slide = true, signal = AbortSignal.timeout(ANSWER_WITHIN_MS) } = {}) {
    const mine = askUser(slide, signal);
    asking = mine;
    try {
      return await mine;
    } finally {
      if (asking === mine) asking = null;
    }
  }

  /**
   * @param {boolean} slide
   * @param {AbortSignal} signal
   * @returns {Promise<User | null>}
   */
  async function askUser(slide, signal) {
    const path = `${prefix}/user${slide ? '' : '?slide=false'}`;
    const endsBefore = ends;
    const response = await send(path, { cache: 'no-store', signal });
    try {
      await requireService(response);
    } catch (error) {
      if (error instanceof NotAuthenticatedError) return null;
      throw error;
    }
    const found = await readUser(response);
    if (found && ends > endsBefore) return askUser(slide, signal); // it may be of before that end
    learn(found, found ? undefined : refusal(response, null));
    return found;
  }

  /**
   * The login services that users may choose from, the default first. Needs no session.
   * @returns {Promise<Provider[]>}
   * @throws {UnavailableError} they cannot be known at the moment
   * @throws {GatewayError} the answer is not one of the contract's
   */
  async function providers() {
    const response = await send(`${prefix}/providers`, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    await requireService(response);
    if (!response.ok) throw await refused(response);
    const body = await response.json().catch(() => undefined);
    if (!Array.isArray(body)) throw new GatewayError('malformed', response, null);
    return body;
  }

  /**
   * Leaves this page for the login; comes back to `returnUrl`.
   * @param {LoginOptions} [how]
   */
  function login({ idp, returnUrl, prompt, loginHint, acrValues, maxAge } = {}) {
    const query = new URLSearchParams({ returnUrl: returnUrl ?? here() });
    if (idp !== undefined) query.set('idp', idp);
    if (prompt !== undefined) query.set('prompt', prompt);
    if (loginHint !== undefined) query.set('login_hint', loginHint);
    if (acrValues !== undefined) query.set('acr_values', acrValues);
    if (maxAge !== undefined) query.set('max_age', String(maxAge));
    location.assign(`${prefix}/login?${query}`);
  }

  /**
   * Leaves this page for the login that a call wants; comes back to `returnUrl`. The page is loaded anew
   * then, and it is for the page to send the call again.
   * @param {StepUpRequiredError} error
   * @param {StepUpOptions} [how]
   * @throws {GatewayError} the answer names anything but the gateway's own login
   */
  function stepUp(error, { returnUrl } = {}) {
    const target = new URL(error.loginUrl, location.href);
    const own = new URL(`${prefix}/login`, location.href); // an API may have written the answer itself
    if (target.origin !== location.origin || target.pathname !== own.pathname) {
      throw new GatewayError('malformed', error.response, null);
    }
    target.searchParams.set('returnUrl', returnUrl ?? here());
    location.assign(target.href);
  }

  /**
   * Leaves this page for the logout. False when there was no session to end: the page stays.
   *
   * A navigation, not a fetch: so the address it leads to at the login service, which may carry an
   * ID token as a hint, is never readable by a script. The link is asked for anew, because one from
   * an earlier session would be refused.
   * @param {LogoutOptions} [how]
   * @returns {Promise<boolean>}
   */
  async function logout({ returnUrl } = {}) {
    const current = await user({ slide: false });
    if (!current) return false;
    const target = new URL(current.bff.logout_url, location.href);
    if (target.origin !== location.origin) throw new GatewayError('malformed', null, null);
    if (returnUrl !== undefined) target.searchParams.set('returnUrl', returnUrl);
    learn(null);
    events.loggingOut();
    location.assign(target.href);
    return true;
  }

  /**
   * `fetch` for paths of this origin, with the CSRF header.
   * @param {RequestInfo | URL} input
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} any answer of the API, its own 401, 403 and 429 included
   * @throws {NotAuthenticatedError} the gateway wants a login
   * @throws {StepUpRequiredError} the gateway wants a stronger or more recent login for this call
   * @throws {TokenUnusableError} the session's access token is of no use for this call; a login gives another
   * @throws {UnavailableError} 503, no answer, or the gateway's own 429: there were too many calls
   * @throws {TypeError} the address is of another origin
   */
  async function sameOriginFetch(input, init) {
    const response = await send(input, init);
    await requireService(response);
    return response;
  }

  return Object.freeze({
    user,
    providers,
    login,
    deviceLogin: (how) => beginDeviceLogin(sameOriginFetch, prefix, user, how),
    stepUp,
    logout,
    fetch: sameOriginFetch,
    onSession: events.onSession,
    devices: createDevices(sameOriginFetch, prefix),
  });
}

/**
 * @param {Response} response
 * @returns {Promise<User | null>}
 */
async function readUser(response) {
  if (!response.ok) throw await refused(response);
  const body = await response.json().catch(() => undefined);
  if (body === null) return null;
  if (typeof body?.sub === 'string' && typeof body.bff?.logout_url === 'string') return body;
  throw new GatewayError('malformed', response, null);
}

/** This page, as an address to come back to. */
function here() {
  return location.pathname + location.search + location.hash;
}

/**
 * Where the gateway's endpoints are, by the address of this module: it serves it at
 * `/client/bff-client.js` below them. A bundled copy has another address.
 * @param {string} address
 */
function ownPrefix(address) {
  const found = /^https?:\/\/[^/]+(\/.+)\/client\/bff-client\.js$/.exec(address);
  return found?.[1] ?? '/bff';
}
