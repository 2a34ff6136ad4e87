/**
 * What this tab knows of the session: whether there is one, and how long it lasts. The listeners get
 * each end and each login once, however many sources report it. Makes no request.
 */

import { figuresOf } from './session-event.js';

const LOGOUT_WITHIN_MS = 30_000;
const TOLERANCE_SECONDS = 2; // figures are rounded, and age while the answer travels

/** @typedef {import('./session-event.js').Figures} Figures */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */

/**
 * @param {object} parts
 * @param {(event: SessionEvent) => void} parts.notify passes an event on to the listeners
 * @param {() => void} parts.onEnded called before the listeners get `ended`
 */
export function createSessionState({ notify, onEnded }) {
  /** @type {boolean | undefined} undefined before the first answer of the gateway */
  let isLive;
  /** @type {{seconds: number, at: number} | null} the newest `idle_expires_in`, and when it came */
  let idleTime = null;
  let otherTabLoggedOutAt = -Infinity;

  /**
   * Takes an event into account and passes it on, unless it repeats what is known.
   * @param {SessionEvent} event
   */
  function apply(event) {
    switch (event.type) {
      case 'ended':
        end(event.reason);
        break;
      case 'logged_in':
        isLive = true;
        notify(event);
        break;
      default:
        setLive();
        setFigures(figuresOf(event));
        notify(event);
    }
  }

  /** @param {string} reason */
  function end(reason) {
    const wasLive = isLive;
    isLive = false;
    idleTime = null;
    onEnded();
    // After a logout in another tab these are the reasons that a request or a reconnected stream finds.
    const isVague = reason === 'unknown' || reason === 'replaced';
    const isLogout = isVague && performance.now() - otherTabLoggedOutAt < LOGOUT_WITHIN_MS;
    if (wasLive) notify({ type: 'ended', reason: isLogout ? 'logout' : reason });
  }

  /** There is a session; returns whether this was not known before. */
  function setLive() {
    const before = isLive;
    isLive = true;
    if (before === false) notify({ type: 'logged_in' });
    return !before;
  }

  /** @param {Figures | null} figures */
  function setFigures(figures) {
    if (figures) idleTime = { seconds: figures.idle_expires_in, at: performance.now() };
  }

  return Object.freeze({
    apply,
    setLive,
    setFigures,
    isLive: () => isLive,

    /** A page without a known session has none. The end of a known one goes through `apply`. */
    setAnonymousIfUnknown() {
      isLive ??= false;
    },

    /**
     * Whether the session lasts longer than this tab knew, because another tab has used it.
     * @param {Figures} figures
     */
    isExtended(figures) {
      if (!idleTime) return true;
      const left = idleTime.seconds - (performance.now() - idleTime.at) / 1000;
      return figures.idle_expires_in > left + TOLERANCE_SECONDS;
    },

    /** Another tab logs out: an end without a reason, within the next seconds, is that logout. */
    expectLogout() {
      otherTabLoggedOutAt = performance.now();
    },
  });
}
