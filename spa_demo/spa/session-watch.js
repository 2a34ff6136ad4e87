/**
 * Asks the gateway again and again who is logged in, without that counting as activity, while the
 * page is visible. Of an anonymous visitor it asks only when the page is shown again. It never shows anything: what it learns goes to the callbacks.
 */

import { UnavailableError } from './bff-client.js';

const EVERY_SECONDS = 5;
const ANSWER_WITHIN_MS = 10_000;

/** @typedef {import('./bff-client.js').User} User */

/**
 * @typedef {object} Callbacks
 * @property {(user: User | null) => void} onUser
 * @property {(error: unknown) => void} onTrouble the answer could not be had; it goes on asking
 */

/**
 * @param {import('./bff-client.js').Client} client
 * @param {Callbacks} callbacks
 */
export function createWatch(client, { onUser, onTrouble }) {
  /** @type {number | undefined} */
  let timer;
  let isRunning = false;
  let isAsking = false;
  let askAgain = false;

  async function ask() {
    clearTimeout(timer);
    if (isAsking) {
      askAgain = true;
      return;
    }
    isAsking = true;
    askAgain = false;
    /** @type {number | null} */
    let pause = EVERY_SECONDS;
    try {
      const user = await client.user({ slide: false, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      if (!user) pause = null;
      if (isRunning) onUser(user);
    } catch (error) {
      if (error instanceof UnavailableError) pause = Math.max(1, error.retryAfter ?? EVERY_SECONDS);
      if (isRunning) onTrouble(error);
    } finally {
      isAsking = false;
    }
    schedule(askAgain ? 0 : pause);
  }

  /** @param {number | null} seconds null: not by itself */
  function schedule(seconds) {
    clearTimeout(timer);
    if (seconds !== null && isRunning && !document.hidden) timer = setTimeout(ask, seconds * 1000);
  }

  document.addEventListener('visibilitychange', () => schedule(0));

  return Object.freeze({
    /** Starts asking, at once. */
    start() {
      isRunning = true;
      void ask();
    },
    /** Asks now rather than later. */
    soon() {
      schedule(0);
    },
    stop() {
      isRunning = false;
      clearTimeout(timer);
    },
  });
}
