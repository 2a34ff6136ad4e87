/**
 * The session card: three remaining times that tick by themselves, how the page learns of the session,
 * and a record of the refreshes that the gateway did behind the page's back.
 */

import { createCountdown, spell } from '../countdown.js';
import { clockTime, dateTime, element, make } from '../dom.js';

/** @typedef {import('/bff/client/bff-client.js').Figures} Figures */
/** @typedef {import('../countdown.js').Lifetime} Lifetime */

/** @type {[Lifetime, string][]} */
const METERS = [
  ['access_token_expires_in', 'token-life'],
  ['idle_expires_in', 'idle-life'],
  ['session_expires_in', 'session-life'],
];
/** @type {Record<import('/bff/client/bff-client.js').Link, string>} */
const LINKS = {
  stream: 'Live, by this tab’s stream',
  tab: 'Live, through another tab',
  polling: 'Asking every 30 s',
  away: 'Gateway away',
  idle: 'Not connected',
};
const LOG_LINES = 6;
const FLASH_MS = 1600;

/** @param {{onRefresh: () => void}} callbacks */
export function createSessionView({ onRefresh }) {
  const countdown = createCountdown(() => performance.now() / 1000);
  const log = element('session-log', HTMLOListElement);
  const count = element('refresh-count', HTMLElement);
  const word = element('refresh-word', HTMLElement);
  const badge = element('refresh-badge', HTMLElement);
  const live = element('session-live', HTMLElement);
  let refreshes = 0;

  /** @param {string} text */
  function note(text) {
    const line = make('li', '', make('time', '', clockTime()), make('span', '', text));
    log.prepend(line);
    while (log.children.length > LOG_LINES) log.lastElementChild?.remove();
  }

  function showCount() {
    count.textContent = String(refreshes);
    word.textContent = refreshes === 1 ? 'refresh' : 'refreshes';
    badge.classList.toggle('has-some', refreshes > 0);
  }

  function tick() {
    for (const [name, id] of METERS) {
      const left = countdown.left(name);
      const text = element(id, HTMLElement);
      const bar = element(`${id}-bar`, HTMLProgressElement);
      text.textContent = spell(left);
      text.dataset['seconds'] = left === null ? '' : String(Math.ceil(left));
      bar.max = Math.max(1, countdown.fullLife(name));
      bar.value = left ?? 0;
      bar.classList.toggle('is-low', left !== null && left < bar.max * 0.2);
    }
  }

  return Object.freeze({
    tick,

    /** How long the access token is good for, for people. */
    tokenLife: () => spell(countdown.left('access_token_expires_in')),

    /** @param {Figures} figures */
    update(figures) {
      countdown.take(figures);
      tick();
    },

    /** @param {Figures} figures after the refresh */
    refreshed(figures) {
      const before = countdown.left('access_token_expires_in');
      refreshes += 1;
      showCount();
      const after = spell(figures.access_token_expires_in);
      note(`The gateway refreshed the access token: ${spell(before)} left before, ${after} after`);
      badge.classList.add('is-new');
      setTimeout(() => badge.classList.remove('is-new'), FLASH_MS);
      onRefresh();
    },

    /** @param {import('/bff/client/bff-client.js').Link} link how the page learns all this */
    showLink(link) {
      live.textContent = LINKS[link];
      live.dataset['link'] = link;
    },

    /** @param {import('../api.js').Me} me what the API found in the token it was given */
    showMe(me) {
      const scope = typeof me.scope === 'string' && me.scope ? me.scope : 'none';
      element('me-result', HTMLElement).textContent =
        `The API got a token for ${me.sub}, scope “${scope}”, good until ${dateTimeOf(me.exp)}.`;
    },

    note,

    /** Forgets the session: the next one starts from nothing. */
    clear() {
      countdown.forget();
      refreshes = 0;
      showCount();
      log.replaceChildren();
      element('me-result', HTMLElement).textContent = '';
    },
  });
}

/** @param {unknown} exp epoch seconds */
function dateTimeOf(exp) {
  return typeof exp === 'number' ? clockTime(new Date(exp * 1000)) : dateTime(NaN);
}
