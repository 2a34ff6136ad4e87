/** The gentle banner of a session's last minute, with what can still be done about it. */

import { createCountdown, spell } from '../countdown.js';
import { element } from '../dom.js';

/** @typedef {import('/bff/client/bff-client.js').Figures} Figures */

const SHOWN_SECONDS = 60;

/** @param {{onStay: () => void, onLogin: () => void}} callbacks */
export function createExpiringBanner({ onStay, onLogin }) {
  const countdown = createCountdown(() => performance.now() / 1000);
  const banner = element('expiring', HTMLElement);
  const detail = element('expiring-detail', HTMLElement);
  const button = element('expiring-action', HTMLButtonElement);
  let canStay = true;

  button.addEventListener('click', () => (canStay ? onStay() : onLogin()));

  function left() {
    return Math.min(countdown.left('idle_expires_in') ?? Infinity, countdown.left('session_expires_in') ?? Infinity);
  }

  function tick() {
    if (!banner.hidden) element('expiring-left', HTMLElement).textContent = spell(left());
  }

  function hide() {
    banner.hidden = true;
  }

  return Object.freeze({
    tick,
    hide,

    /**
     * Shows the banner; later figures take it back when there is more time again.
     * @param {Figures} figures
     */
    show(figures) {
      countdown.take(figures);
      canStay = figures.idle_expires_in < figures.session_expires_in;
      detail.textContent = canStay
        ? 'Nothing was done here for a while.'
        : 'It has reached its full length. Save your work, then log in again.';
      button.textContent = canStay ? 'Stay logged in' : 'Log in again';
      banner.hidden = false;
      tick();
    },

    /** @param {Figures} figures */
    update(figures) {
      countdown.take(figures);
      if (left() > SHOWN_SECONDS) hide();
      tick();
    },
  });
}
