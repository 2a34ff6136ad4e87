/**
 * Keeps the page's user document up to date: asks for it at the start and after events that may have
 * changed it, without that counting as activity. It shows nothing itself: answers go to the callbacks.
 */

import { UnavailableError } from '/bff/client/bff-client.js';

const TRY_AGAIN_SECONDS = 5;

/** @typedef {import('/bff/client/bff-client.js').User} User */
/** @typedef {import('/bff/client/bff-client.js').SessionEvent} SessionEvent */

/**
 * @typedef {object} Callbacks
 * @property {(user: User | null) => void} onUser
 * @property {(event: SessionEvent) => void} onEvent
 * @property {(error: unknown) => void} onTrouble the answer could not be had; it goes on asking
 */

/**
 * @param {import('/bff/client/bff-client.js').Client} client
 * @param {Callbacks} callbacks
 */
export function createWatch(client, { onUser, onEvent, onTrouble }) {
  /** @type {number | undefined} */
  let timer;
  let isAsking = false;
  let askAgain = false;
  let isInTrouble = false;

  async function ask() {
    clearTimeout(timer);
    askAgain = isAsking;
    if (isAsking) return;
    isAsking = true;
    try {
      const user = await client.user({ slide: false });
      isInTrouble = false;
      onUser(user);
    } catch (error) {
      isInTrouble = true;
      const asked = error instanceof UnavailableError ? error.retryAfter : null;
      timer = setTimeout(soon, Math.max(1, asked ?? TRY_AGAIN_SECONDS) * 1000);
      onTrouble(error);
    } finally {
      isAsking = false;
    }
    if (askAgain) soon();
  }

  function soon() {
    if (document.hidden && !isInTrouble) return; // the client's listener gets the state when it is shown
    void ask();
  }

  /** @param {SessionEvent} event */
  function hear(event) {
    onEvent(event);
    const isAway = event.type === 'link' && event.link === 'away';
    if (event.type === 'logged_in' || isAway || (isInTrouble && event.type === 'session')) soon();
  }

  return Object.freeze({
    start() {
      client.onSession(hear);
      void ask();
    },
    /** Asks now rather than later. */
    soon,
  });
}
