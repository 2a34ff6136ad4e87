/**
 * The gateway's event stream, kept open. An EventSource does not say why it failed, so after each
 * failure the user document is asked for: it tells a session that is over from a gateway that is away.
 * Every new attempt waits longer than the one before; a stream refused again and again is left alone
 * for minutes.
 */

import { UnavailableError } from './problems.js';
import { readEvent } from './session-event.js';

const STEADY_MS = 10_000; // a stream that lived shorter counts as refused
const FIRST_EVENT_WITHIN_MS = 10_000; // later than that, something on the way holds it back
const REFUSALS = 3;
const TRY_AGAIN_SECONDS = 300;
const LONGEST_PAUSE_SECONDS = 60;
// A login in this browser ends the old session a moment before its answer brings the new cookie.
const REPLACED_PAUSE_SECONDS = 1;

/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */

/**
 * @param {object} parts
 * @param {string} parts.url
 * @param {() => Promise<import('./bff-client.js').User | null>} parts.ask
 * @param {(event: SessionEvent) => void} parts.onEvent
 * @param {(state: 'stream' | 'polling' | 'away' | 'idle') => void} parts.onState
 */
export function createStream({ url, ask, onEvent, onState }) {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {number | undefined} */
  let timer;
  let turn = 0; // the answer to an earlier turn's question is no news any more
  let refusals = 0;
  let failures = 0;
  let isIdle = true;
  let isReplaced = false;

  /** Leaves whatever is under way. */
  function drop() {
    turn += 1;
    clearTimeout(timer);
    source?.close();
    source = null;
    return turn;
  }

  /**
   * @param {number} seconds
   * @param {() => void} next
   */
  function after(seconds, next) {
    clearTimeout(timer);
    timer = setTimeout(next, seconds * 1000);
  }

  function connect() {
    drop();
    isIdle = false;
    /** @type {number | null} */
    let openedAt = null;
    const opened = new EventSource(url);
    source = opened;

    function failed() {
      drop();
      const wasSteady = openedAt !== null && performance.now() - openedAt >= STEADY_MS;
      refusals = wasSteady ? 0 : refusals + 1;
      if (openedAt === null) void check();
      else after(pause(0), check); // all clients of a gateway that restarts come back at once
    }

    for (const type of ['session', 'refreshed', 'expiring', 'ended']) {
      opened.addEventListener(type, (message) => {
        if (openedAt === null) {
          clearTimeout(timer);
          openedAt = performance.now();
          onState('stream');
        }
        const event = readEvent(type, parsed(message.data));
        if (event?.type === 'ended') end(event.reason);
        else if (event) onEvent(event);
      });
    }
    opened.addEventListener('error', failed);
    after(FIRST_EVENT_WITHIN_MS / 1000, failed);
  }

  /** Asks how things are, and goes on from there. */
  async function check() {
    const mine = drop();
    isIdle = false;
    let user;
    try {
      user = await ask();
    } catch (error) {
      if (mine !== turn) return;
      failures += 1;
      const asked = error instanceof UnavailableError ? (error.retryAfter ?? 0) : 0;
      onState('away');
      after(Math.max(asked, pause(failures)), check);
      return;
    }
    if (mine !== turn) return;
    failures = 0;
    if (!user) return finish(isReplaced ? 'replaced' : 'unknown');
    if (isReplaced) onEvent({ type: 'logged_in' });
    isReplaced = false;
    if (refusals === 0) return connect();
    if (refusals < REFUSALS) return after(pause(refusals), connect);
    onState('polling');
    after(TRY_AGAIN_SECONDS, connect);
  }

  /** @param {string} reason */
  function end(reason) {
    drop();
    isReplaced = reason === 'replaced';
    if (isReplaced) after(REPLACED_PAUSE_SECONDS, check);
    else finish(reason);
  }

  /** @param {string} reason */
  function finish(reason) {
    drop();
    isIdle = true;
    isReplaced = false;
    refusals = 0;
    onState('idle');
    onEvent({ type: 'ended', reason });
  }

  return Object.freeze({
    connect,
    check,
    isIdle: () => isIdle,
    isOpen: () => source !== null,

    stop() {
      drop();
      isIdle = true;
      isReplaced = false;
      refusals = 0;
      failures = 0;
    },
  });
}

/**
 * Seconds to wait before the next attempt: doubling, and never the same for all.
 * @param {number} attempts
 */
function pause(attempts) {
  return Math.min(LONGEST_PAUSE_SECONDS, 2 ** attempts) * (0.5 + Math.random() / 2);
}

/** @param {string} data */
function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
