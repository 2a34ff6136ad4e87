/**
 * The tabs of this origin in one browser: they hear each other (BroadcastChannel), and one of them
 * leads (Web Locks). When the leader goes, the browser lets the next in line lead. What is said and
 * what leading means is the caller's.
 */

/**
 * @typedef {object} Callbacks
 * @property {(message: unknown) => void} onMessage from another tab
 * @property {() => void} onLead
 * @property {() => void} onDeposed another tab leads now; this one is in line again
 * @property {() => void} onAlone this browser does not let tabs take turns
 */

/** @typedef {ReturnType<typeof joinTabs>} Tabs */

export function canTakeTurns() {
  return 'BroadcastChannel' in globalThis && Boolean(globalThis.navigator?.locks?.request);
}

/**
 * @param {string} name of the channel and of the lock
 * @param {Callbacks} callbacks none of them is called after `leave`
 */
export function joinTabs(name, { onMessage, onLead, onDeposed, onAlone }) {
  const channel = new BroadcastChannel(name);
  let place = new AbortController();
  let hasLeft = false;
  let isLeading = false;
  /** @type {(value?: unknown) => void} */
  let release = () => {};

  channel.onmessage = (event) => onMessage(event.data);

  /** @param {LockOptions} how */
  async function queue(how) {
    try {
      await navigator.locks.request(name, how, hold);
    } catch {
      const wasLeading = isLeading;
      isLeading = false;
      if (hasLeft || how.signal?.aborted) return; // we gave up our place ourselves
      if (!wasLeading) return onAlone();
      onDeposed();
      wait();
    }
  }

  /** Keeps the lock until `release`. */
  function hold() {
    if (hasLeft) return undefined;
    isLeading = true;
    const held = new Promise((resolve) => {
      release = resolve;
    });
    onLead();
    return held;
  }

  function wait() {
    place = new AbortController();
    void queue({ signal: place.signal });
  }

  wait();

  return Object.freeze({
    isLeading: () => isLeading,

    /** @param {unknown} message to all other tabs */
    post(message) {
      if (!hasLeft) channel.postMessage(message);
    },

    /** Leads from now on, in the place of another tab: for a leader that the browser has put to sleep. */
    depose() {
      if (isLeading) return;
      place.abort();
      void queue({ steal: true });
    },

    leave() {
      hasLeft = true;
      isLeading = false;
      place.abort();
      release();
      channel.close();
    },
  });
}
