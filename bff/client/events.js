/**
 * What happens to the session, for listeners in every tab of this browser. One tab, the leader, holds
 * the gateway's event stream and passes its events on to the others; where the browser or the network
 * prevents that, every visible tab polls.
 *
 * No request made here counts as activity, and none is made before there is a listener or after the
 * last one has stopped.
 */

import { createPoller } from './poller.js';
import { figuresOf, readEvent } from './session-event.js';
import { createSessionState } from './session-state.js';
import { createStream } from './stream.js';
import { canElectLeader, joinTabs } from './tab-leader.js';

const LEADER_ANSWERS_WITHIN_MS = 3000; // a leader that takes longer is suspended by the browser
const REASON_WITHIN_MS = 500; // a refused request does not say why the session ended, the stream does

/** @typedef {import('./session-event.js').Link} Link */
/** @typedef {import('./session-event.js').SessionEvent} SessionEvent */
/** @typedef {(event: SessionEvent) => void} Listener */

/**
 * @param {object} parts
 * @param {string} parts.prefix where the gateway's own endpoints are
 * @param {() => Promise<import('./bff-client.js').User | null>} parts.ask
 * @param {() => void} parts.onEnded called before the listeners get `ended`
 */
export function createSessionEvents({ prefix, ask, onEnded }) {
  /** @type {Set<{listener: Listener}>} */
  const listeners = new Set();
  /** @type {import('./tab-leader.js').Tabs | null} */
  let tabs = null;
  let isJoined = false;
  let isLoggingOut = false; // by this page: its listeners get no further event
  /** @type {unknown} the state of the leader's stream */
  let streamState = 'idle';
  /** @type {Link} */
  let link = 'idle';
  /** @type {Promise<boolean>} whether the first question had an answer */
  let firstAnswer = Promise.resolve(false);
  /** @type {number | undefined} ends the session without a reason */
  let endTimer;
  /** @type {number | undefined} takes the lead from a tab that does not answer */
  let leaderTimer;

  const session = createSessionState({ notify, onEnded });
  const stream = createStream({
    url: `${prefix}/events`,
    ask,
    onEvent: (event) => {
      tabs?.post({ kind: 'event', event });
      applyEvent(event);
    },
    onState: (next) => {
      tabs?.post({ kind: 'state', state: next });
      setStreamState(next);
    },
  });
  const poller = createPoller({
    ask,
    onEvent: applyEvent,
    onAnswered: (isAnswered) => setLink(isAnswered ? 'polling' : 'away'),
  });

  /** @param {SessionEvent} event */
  function notify(event) {
    if (isLoggingOut) return;
    for (const entry of [...listeners]) {
      if (!listeners.has(entry)) continue; // an earlier listener has stopped this one
      try {
        entry.listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // reported like any error of the page, without keeping the event from the others
        });
      }
    }
  }

  /** @param {SessionEvent} event */
  function applyEvent(event) {
    clearTimeout(endTimer);
    session.apply(event);
  }

  /** @param {Link} next */
  function setLink(next) {
    if (next === link) return;
    link = next;
    notify({ type: 'link', link });
  }

  /** @param {unknown} next */
  function setStreamState(next) {
    clearTimeout(leaderTimer);
    streamState = next;
    if (next === 'polling') return poller.start();
    poller.stop();
    if (next === 'stream') setLink(tabs?.isLeading() ? 'stream' : 'tab');
    else if (next === 'away' || next === 'idle') setLink(next);
  }

  /** @param {any} message from another tab */
  function onMessage(message) {
    const event = message?.kind === 'event' ? readEvent(message.event?.type, message.event) : null;
    if (event) applyEvent(event);
    if (message?.kind === 'logout') session.expectLogout();
    if (message?.kind === 'live') {
      session.setLive();
      resume();
    }
    if (!tabs?.isLeading()) {
      if (message?.kind === 'state') setStreamState(message.state);
      return;
    }
    if (message?.kind === 'is-there-a-leader') tabs.post({ kind: 'state', state: streamState });
    if (message?.kind === 'check') void stream.check();
  }

  /** There may be a session again: a stream or poller that has stopped without one starts anew. */
  function resume() {
    if (tabs?.isLeading() && stream.isIdle()) stream.connect();
    if (poller.isRunning()) poller.pollNow();
  }

  async function lead() {
    const isAnswered = await firstAnswer;
    if (!tabs?.isLeading() || !stream.isIdle()) return;
    if (session.isLive()) stream.connect();
    else if (session.isLive() === undefined || !isAnswered) void stream.check();
    else setStreamState('idle');
  }

  /** Asks once, in every tab: one that was suspended has missed the leader's messages. */
  async function askOnce() {
    try {
      const user = await ask();
      const figures = user && figuresOf(user.bff);
      if (figures) applyEvent({ type: 'session', ...figures });
      return true;
    } catch {
      return false; // the leader meets the same error, and asks again
    }
  }

  /** Takes the lead when the leader does not answer in time. */
  function checkLeader() {
    if (!tabs || tabs.isLeading() || document.hidden) return;
    clearTimeout(leaderTimer);
    leaderTimer = setTimeout(() => tabs?.takeLead(), LEADER_ANSWERS_WITHIN_MS);
    tabs.post({ kind: 'is-there-a-leader' });
  }

  function join() {
    if (isJoined) return;
    isJoined = true;
    if (isLoggingOut) {
      isLoggingOut = false;
      applyEvent({ type: 'ended', reason: 'logout' }); // the back button shows the page as it was left
    }
    document.addEventListener('visibilitychange', onVisibilityChange);
    if (!('EventSource' in globalThis) || !canElectLeader()) return setStreamState('polling');
    firstAnswer = Promise.resolve().then(askOnce); // later, so that it shares a question of the page's
    tabs = joinTabs(`bff-session ${prefix}`, {
      onMessage,
      onLead: () => void lead(),
      onLeadLost: () => stream.stop(),
      onUnavailable: () => setStreamState('polling'),
    });
    checkLeader();
  }

  function leave() {
    isJoined = false;
    document.removeEventListener('visibilitychange', onVisibilityChange);
    clearTimeout(endTimer);
    clearTimeout(leaderTimer);
    poller.stop();
    stream.stop();
    tabs?.leave();
    tabs = null;
    streamState = 'idle';
    link = 'idle';
  }

  function onVisibilityChange() {
    if (document.hidden) return;
    if (poller.isRunning()) return poller.pollNow();
    void askOnce();
    checkLeader();
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
     * The answer to a request shows a session.
     * @param {import('./bff-client.js').SessionInfo} info
     * @param {{isOtherUser: boolean}} how whether it is another user's than the one before
     */
    sessionFound(info, { isOtherUser }) {
      if (!isJoined) return;
      if (session.setLive()) {
        tabs?.post({ kind: 'live' });
        resume();
      } else if (isOtherUser && poller.isRunning()) {
        applyEvent({ type: 'logged_in' }); // with a stream, the stream reports it
      }
      const figures = figuresOf(info);
      if (!figures) return;
      if (session.isExtended(figures)) tabs?.post({ kind: 'event', event: { type: 'session', ...figures } });
      session.setFigures(figures);
    },

    /**
     * The answer to a request shows that there is no session.
     * @param {string} code the problem's
     */
    sessionMissing(code) {
      if (!isJoined) return;
      session.setAnonymousIfUnknown();
      if (!session.isLive()) return;
      const reason = code === 'session_ended' ? 'grant_rejected' : 'unknown';
      clearTimeout(endTimer);
      endTimer = setTimeout(() => {
        applyEvent({ type: 'ended', reason });
        if (!tabs?.isLeading()) tabs?.post({ kind: 'check' });
        else if (stream.isOpen()) void stream.check();
      }, REASON_WITHIN_MS);
    },

    /** The user logs out by this page. */
    loggingOut() {
      tabs?.post({ kind: 'logout' });
      isLoggingOut = true;
    },
  });
}
