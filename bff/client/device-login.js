/**
 * A login at another device, for a page that is used without a keyboard: the page shows a code, the user
 * enters it elsewhere, and this browser gets the session.
 */

import { GatewayError, refused, UnavailableError } from './problems.js';

const PASSING = [0, 429, 503]; // statuses after which the login may still be open

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
export async function beginDeviceLogin(send, prefix, ask, { idp } = {}) {
  const query = idp === undefined ? '' : `?${new URLSearchParams({ idp })}`;
  const response = await send(`${prefix}/device${query}`, { method: 'POST' });
  if (!response.ok) throw await refused(response);
  const begun = await response.json().catch(() => undefined);
  const isComplete =
    typeof begun?.status_url === 'string' && typeof begun.user_code === 'string' && begun.interval > 0;
  if (!isComplete) throw new GatewayError('malformed', response, null);
  const expiresAt = performance.now() + begun.expires_in * 1000;

  /** @param {{signal?: AbortSignal}} [how] */
  async function decided({ signal } = {}) {
    let seconds = begun.interval;
    for (;;) {
      await pause(seconds, signal);
      try {
        const wait = await askOnce(signal);
        if (wait === null) return await ask();
        seconds = wait;
      } catch (error) {
        const mayPass = error instanceof UnavailableError && PASSING.includes(error.status);
        if (!mayPass || performance.now() > expiresAt) throw error;
        seconds = Math.max(begun.interval, error.retryAfter ?? 0);
      }
    }
  }

  /**
   * How long to wait before asking again, null when the session is there.
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<number | null>}
   */
  async function askOnce(signal) {
    const answer = await send(begun.status_url, { cache: 'no-store', ...(signal && { signal }) });
    if (!answer.ok) throw await refused(answer);
    const found = await answer.json().catch(() => undefined);
    if (found?.status === 'complete') return null;
    if (found?.status === 'pending' && found.interval > 0) return found.interval;
    throw new GatewayError('malformed', answer, null);
  }

  return Object.freeze({
    userCode: begun.user_code,
    verificationUri: begun.verification_uri,
    verificationUriComplete: begun.verification_uri_complete ?? null,
    expiresIn: begun.expires_in,
    decided,
  });
}

/**
 * @param {number} seconds
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
