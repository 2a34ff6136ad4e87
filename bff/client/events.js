/**
 * What happens to the session, for listeners in every tab of this browser. One tab holds the gateway's
 * event stream and passes on what it hears; where that cannot be, every visible tab asks by itself.
 *
 * What it asks never counts as activity; it asks nothing before there is a listener, nor after the last
 * one has stopped.
 */

import { createKnowledge } from './knowledge.js';
import { createPoller } from './poller.js';
import { figuresOf, readEvent } from './session-event.js';
import { createStream } from './stream.js';
import { canTakeTurns, joinTabs } from './tabs.js';

const ANSWER_WITHIN_MS = 3000; // a leader that is silent for longer is asleep
const REASON_WITHIN_MS = 500; // the stream says why a session ended, a refused request does not

/** @typedef {import('./session-event.js').Link} Link */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */
/** @typedef {(event: SessionEvent) => void} Listener */

/**
 * @param {object} parts
 * @param {string} parts.prefix where the gateway's own endpoints are
 * @param {() => Promise<import('./bff-client.js').User | null>} parts.ask
 * @param {() => void} parts.onEnded before the listeners are told
 */
export function createSessionEvents({ prefix, ask, onEnded }) {
  /** @type {Set<{listener: Listener}>} */
  const listeners = new Set();
  /** @type {import('./tabs.js').Tabs | null} */
  let tabs = null;
  let isJoined = false;
  let isLeaving = false; // by our own logout: nothing is told any more
  /** @type {unknown} */
  let state = 'idle'; // the leader's
  /** @type {Link} */
  let link = 'idle';
  /** @type {Promise<boolean>} whether there was an answer */
  let looked = Promise.resolve(false);
  /** @type {number | undefined} */
  let doubt;
  /** @type {number | undefined} */
  let silence;

  const known = createKnowledge({ tell, onEnded });
  const stream = createStream({
    url: `${prefix}/events`,
    ask,
    onEvent: (event) => {
      tabs?.post({ kind: 'event', event });
      take(event);
    },
    onState: (next) => {
      tabs?.post({ kind: 'state', state: next });
      setState(next);
    },
  });
  const poller = createPoller({
    ask,
    onEvent: take,
    onAnswered: (isAnswered) => showLink(isAnswered ? 'polling' : 'away'),
  });

  /** @param {SessionEvent} event */
  function tell(event) {
    if (isLeaving) return;
    for (const entry of [...listeners]) {
      if (!listeners.has(entry)) continue; // stopped by the one before
      try {
        entry.listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // as loud as any fault of the page, but the next listener is told
        });
      }
    }
  }

  /** @param {SessionEvent} event */
  function take(event) {
    clearTimeout(doubt);
    known.take(event);
  }

  /** @param {Link} next */
  function showLink(next) {
    if (next === link) return;
    link = next;
    tell({ type: 'link', link });
  }

  /** @param {unknown} next */
  function setState(next) {
    clearTimeout(silence);
    state = next;
    if (next === 'polling') return poller.start();
    poller.stop();
    if (next === 'stream') showLink(tabs?.isLeading() ? 'stream' : 'tab');
    else if (next === 'away' || next === 'idle') showLink(next);
  }

  /** @param {any} message from another tab */
  function hear(message) {
    const event = message?.kind === 'event' ? readEvent(message.event?.type, message.event) : null;
    if (event) take(event);
    if (message?.kind === 'leaving') known.expectLogout();
    if (message?.kind === 'live') {
      known.findLive();
      wake();
    }
    if (!tabs?.isLeading()) {
      if (message?.kind === 'state') setState(message.state);
      return;
    }
    if (message?.kind === 'hello') tabs.post({ kind: 'state', state });
    if (message?.kind === 'doubt') void stream.check();
  }

  /** There may be a session again: whoever had given up tries anew. */
  function wake() {
    if (tabs?.isLeading() && stream.isIdle()) stream.connect();
    if (poller.isRunning()) poller.soon();
  }

  async function lead() {
    const isAnswered = await looked;
    if (!tabs?.isLeading() || !stream.isIdle()) return;
    if (known.isLive()) stream.connect();
    else if (known.isLive() === undefined || !isAnswered) void stream.check();
    else setState('idle');
  }

  /** Asks once, whoever leads: this tab may have slept through something. */
  async function look() {
    try {
      const user = await ask();
      const figures = user && figuresOf(user.bff);
      if (figures) take({ type: 'session', ...figures });
      return true;
    } catch {
      return false; // the leading tab finds out as well, and goes on asking
    }
  }

  /** Makes sure that somebody leads. */
  function greet() {
    if (!tabs || tabs.isLeading() || document.hidden) return;
    clearTimeout(silence);
    silence = setTimeout(() => tabs?.depose(), ANSWER_WITHIN_MS);
    tabs.post({ kind: 'hello' });
  }

  function join() {
    if (isJoined) return;
    isJoined = true;
    if (isLeaving) {
      isLeaving = false;
      take({ type: 'ended', reason: 'logout' }); // the back button shows the page as it was left
    }
    document.addEventListener('visibilitychange', wakeUp);
    if (!('EventSource' in globalThis) || !canTakeTurns()) return setState('polling');
    looked = Promise.resolve().then(look); // so that it shares a question asked at the same time
    tabs = joinTabs(`bff-session ${prefix}`, {
      onMessage: hear,
      onLead: () => void lead(),
      onDeposed: () => stream.stop(),
      onAlone: () => setState('polling'),
    });
    greet();
  }

  function leave() {
    isJoined = false;
    document.removeEventListener('visibilitychange', wakeUp);
    clearTimeout(doubt);
    clearTimeout(silence);
    poller.stop();
    stream.stop();
    tabs?.leave();
    tabs = null;
    state = 'idle';
    link = 'idle';
  }

  function wakeUp() {
    if (document.hidden) return;
    if (poller.isRunning()) return poller.soon();
    void look();
    greet();
  }

  return Object.freeze({
    /**
     * Calls `listener` with every event, until the returned function is called.
     * @param {Listener} listener
     * @returns {() => void}
     */
    onSession(listener) {
      const entry = { listener };
      listeners.add(entry);
      if (listeners.size === 1) {
        addEventListener('pagehide', leave); // a page kept for the back button must not lead
        addEventListener('pageshow', join);
        join();
      }
      return () => {
        if (!listeners.delete(entry) || listeners.size > 0) return;
        removeEventListener('pagehide', leave);
        removeEventListener('pageshow', join);
        leave();
      };
    },

    /**
     * A request has found a session.
     * @param {import('./bff-client.js').SessionInfo} info
     * @param {{isOther: boolean}} how whether it is another user's than the one before
     */
    met(info, { isOther }) {
      if (!isJoined) return;
      if (known.findLive()) {
        tabs?.post({ kind: 'live' });
        wake();
      } else if (isOther && poller.isRunning()) {
        take({ type: 'logged_in' }); // a stream would have said so itself
      }
      const figures = figuresOf(info);
      if (!figures) return;
      if (known.isExtended(figures)) tabs?.post({ kind: 'event', event: { type: 'session', ...figures } });
      known.keep(figures);
    },

    /**
     * A request has found that there is no session.
     * @param {string} code the problem's
     */
    missed(code) {
      if (!isJoined) return;
      known.findNobody();
      if (!known.isLive()) return;
      const reason = code === 'session_ended' ? 'grant_rejected' : 'unknown';
      clearTimeout(doubt);
      doubt = setTimeout(() => {
        take({ type: 'ended', reason });
        if (!tabs?.isLeading()) tabs?.post({ kind: 'doubt' });
        else if (stream.isOpen()) void stream.check();
      }, REASON_WITHIN_MS);
    },

    /** This page is being left by a logout of our own. */
    leaving() {
      tabs?.post({ kind: 'leaving' });
      isLeaving = true;
    },
  });
}
