/**
 * How the session is, by asking again and again without that counting as activity, while the page is
 * visible: for browsers and networks that have no event stream.
 */

import { UnavailableError } from './problems.js';
import { figuresOf } from './session-event.js';

const EVERY_SECONDS = 30;
const EXPIRING_SECONDS = 60;

/**
 * @param {object} parts
 * @param {() => Promise<import('./bff-client.js').User | null>} parts.ask
 * @param {(event: import('./session-event.js').SessionEvent) => void} parts.onEvent
 * @param {(isAnswered: boolean) => void} parts.onAnswered after each question
 */
export function createPoller({ ask, onEvent, onAnswered }) {
  let turn = 0; // the answer to an earlier turn's question is no news any more
  let isRunning = false;
  let hasWarned = false;
  /** @type {number | undefined} */
  let timer;

  async function poll() {
    clearTimeout(timer);
    if (!isRunning || document.hidden) return;
    const mine = ++turn;
    let pause = EVERY_SECONDS;
    try {
      const user = await ask();
      if (mine !== turn) return;
      onAnswered(true);
      report(user);
      if (!user) return; // until the page is shown again, or a login is heard of
    } catch (error) {
      if (mine !== turn) return;
      onAnswered(false);
      if (error instanceof UnavailableError) pause = Math.max(pause, error.retryAfter ?? 0);
    }
    if (isRunning) timer = setTimeout(poll, pause * 1000);
  }

  /** @param {import('./bff-client.js').User | null} user */
  function report(user) {
    if (!user) return onEvent({ type: 'ended', reason: 'unknown' });
    const figures = figuresOf(user.bff);
    if (!figures) return;
    const isSoon = Math.min(figures.session_expires_in, figures.idle_expires_in) <= EXPIRING_SECONDS;
    onEvent({ type: isSoon && !hasWarned ? 'expiring' : 'session', ...figures });
    hasWarned = isSoon;
  }

  return Object.freeze({
    isRunning: () => isRunning,

    start() {
      if (isRunning) return;
      isRunning = true;
      void poll();
    },

    /** Asks now rather than later. */
    soon() {
      void poll();
    },

    stop() {
      isRunning = false;
      turn += 1;
      clearTimeout(timer);
    },
  });
}
