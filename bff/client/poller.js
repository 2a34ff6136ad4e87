/**
 * Asks for the user document every 30 seconds while the page is visible, without that counting as
 * activity: for browsers and networks in which the event stream does not work.
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
  let newestQuestion = 0; // the answer to an earlier one is out of date
  let isRunning = false;
  let hasWarned = false;
  /** @type {number | undefined} */
  let timer;

  async function poll() {
    clearTimeout(timer);
    if (!isRunning || document.hidden) return;
    const question = ++newestQuestion;
    let pause = EVERY_SECONDS;
    try {
      const user = await ask();
      if (question !== newestQuestion) return;
      onAnswered(true);
      report(user);
      if (!user) return; // `pollNow` goes on when the page is shown again or a tab reports a login
    } catch (error) {
      if (question !== newestQuestion) return;
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

    pollNow() {
      void poll();
    },

    stop() {
      isRunning = false;
      newestQuestion += 1;
      clearTimeout(timer);
    },
  });
}
