/**
 * What this tab knows of the session, and what of it is news: each end and each login is told once, by
 * whichever way it was learnt first. It makes no request.
 */

import { figuresOf } from './session-event.js';

const LOGOUT_WITHIN_MS = 30_000;
const TOLERANCE_SECONDS = 2; // figures are rounded and were on their way for a while

/** @typedef {import('./session-event.js').Figures} Figures */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */

/**
 * @param {object} parts
 * @param {(event: SessionEvent) => void} parts.tell
 * @param {() => void} parts.onEnded before that is told
 */
export function createKnowledge({ tell, onEnded }) {
  /** @type {boolean | undefined} undefined until somebody has asked */
  let isLive;
  /** @type {{idle: number, at: number} | null} */
  let last = null;
  let logoutAt = -Infinity; // when another tab said that it logs out

  /** @param {SessionEvent} event */
  function take(event) {
    switch (event.type) {
      case 'ended':
        end(event.reason);
        break;
      case 'logged_in':
        isLive = true;
        tell(event);
        break;
      default:
        findLive();
        keep(figuresOf(event));
        tell(event);
    }
  }

  /** @param {string} reason */
  function end(reason) {
    const wasLive = isLive;
    isLive = false;
    last = null;
    onEnded();
    const isVague = reason === 'unknown' || reason === 'replaced'; // by a session that is over, too
    const isLogout = isVague && performance.now() - logoutAt < LOGOUT_WITHIN_MS;
    if (wasLive) tell({ type: 'ended', reason: isLogout ? 'logout' : reason });
  }

  /** Whether that was not known before. */
  function findLive() {
    const before = isLive;
    isLive = true;
    if (before === false) tell({ type: 'logged_in' });
    return !before;
  }

  /** @param {Figures | null} figures */
  function keep(figures) {
    if (figures) last = { idle: figures.idle_expires_in, at: performance.now() };
  }

  return Object.freeze({
    take,
    findLive,
    keep,
    isLive: () => isLive,

    /** There is no session; its end is told by `take` where one was known. */
    findNobody() {
      isLive ??= false;
    },

    /**
     * Whether there is more time left than this tab would think.
     * @param {Figures} figures
     */
    isExtended(figures) {
      if (!last) return true;
      const thought = last.idle - (performance.now() - last.at) / 1000;
      return figures.idle_expires_in > thought + TOLERANCE_SECONDS;
    },

    /** An end within the next seconds that nobody gives a reason for is that logout. */
    expectLogout() {
      logoutAt = performance.now();
    },
  });
}
