/**
 * The gateway's event stream, kept open. An EventSource does not say why it failed, so after each
 * failure the user document is asked for: it tells a session that has ended from a gateway that cannot
 * be reached. Every new attempt waits longer than the one before; after three refusals in a row the
 * next attempt is made five minutes later.
 */

import { UnavailableError } from './problems.js';
import { readEvent } from './session-event.js';

const STEADY_MS = 10_000; // a stream that closes earlier counts as refused
const FIRST_EVENT_WITHIN_MS = 10_000; // when none has come by then, a proxy on the way buffers them
const MAX_REFUSALS = 3;
const PAUSE_AFTER_REFUSALS_SECONDS = 300;
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
  let attempt = 0; // the answer to a question of an earlier attempt is out of date
  let refusals = 0;
  let failures = 0;
  let isIdle = true;
  let isReplaced = false;

  /** Ends the present attempt; returns the number of the next one. */
  function reset() {
    attempt += 1;
    clearTimeout(timer);
    source?.close();
    source = null;
    return attempt;
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
    reset();
    isIdle = false;
    /** @type {number | null} */
    let openedAt = null;
    const opened = new EventSource(url);
    source = opened;

    function failed() {
      reset();
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

  /** Asks for the user document, and connects, waits or ends by the answer. */
  async function check() {
    const mine = reset();
    isIdle = false;
    let user;
    try {
      user = await ask();
    } catch (error) {
      if (mine !== attempt) return;
      failures += 1;
      const asked = error instanceof UnavailableError ? (error.retryAfter ?? 0) : 0;
      onState('away');
      after(Math.max(asked, pause(failures)), check);
      return;
    }
    if (mine !== attempt) return;
    failures = 0;
    if (!user) return finish(isReplaced ? 'replaced' : 'unknown');
    if (isReplaced) onEvent({ type: 'logged_in' });
    isReplaced = false;
    if (refusals === 0) return connect();
    if (refusals < MAX_REFUSALS) return after(pause(refusals), connect);
    onState('polling');
    after(PAUSE_AFTER_REFUSALS_SECONDS, connect);
  }

  /** @param {string} reason */
  function end(reason) {
    reset();
    isReplaced = reason === 'replaced';
    if (isReplaced) after(REPLACED_PAUSE_SECONDS, check);
    else finish(reason);
  }

  /** @param {string} reason */
  function finish(reason) {
    reset();
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
      reset();
      isIdle = true;
      isReplaced = false;
      refusals = 0;
      failures = 0;
    },
  });
}

/**
 * Seconds to wait before the next attempt: doubling, with jitter, so that not all browsers come at once.
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
