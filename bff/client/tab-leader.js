/**
 * One leader among the tabs of this origin in one browser (Web Locks), and messages between them
 * (BroadcastChannel). When the leader closes, the browser gives the lock to the next tab in the queue.
 * What a leader does, and what the messages mean, is the caller's.
 */

/**
 * @typedef {object} Callbacks
 * @property {(message: unknown) => void} onMessage a message of another tab
 * @property {() => void} onLead this tab leads now
 * @property {() => void} onLeadLost another tab has taken the lead; this one is in the queue again
 * @property {() => void} onUnavailable the browser refuses the lock, so that no tab can lead
 */

/** @typedef {ReturnType<typeof joinTabs>} Tabs */

/** Whether this browser has what `joinTabs` needs. */
export function canElectLeader() {
  return 'BroadcastChannel' in globalThis && Boolean(globalThis.navigator?.locks?.request);
}

/**
 * @param {string} name of the channel and of the lock
 * @param {Callbacks} callbacks none of them is called after `leave`
 */
export function joinTabs(name, { onMessage, onLead, onLeadLost, onUnavailable }) {
  const channel = new BroadcastChannel(name);
  let queueing = new AbortController();
  let hasLeft = false;
  let isLeading = false;
  /** @type {(value?: unknown) => void} */
  let releaseLock = () => {};

  channel.onmessage = (event) => onMessage(event.data);

  /** @param {LockOptions} options */
  async function requestLock(options) {
    try {
      await navigator.locks.request(name, options, holdLock);
    } catch {
      const wasLeading = isLeading;
      isLeading = false;
      if (hasLeft || options.signal?.aborted) return; // this tab itself has left the queue
      if (!wasLeading) return onUnavailable();
      onLeadLost();
      enterQueue();
    }
  }

  /** Keeps the lock until `releaseLock`. */
  function holdLock() {
    if (hasLeft) return undefined;
    isLeading = true;
    const held = new Promise((resolve) => {
      releaseLock = resolve;
    });
    onLead();
    return held;
  }

  function enterQueue() {
    queueing = new AbortController();
    void requestLock({ signal: queueing.signal });
  }

  enterQueue();

  return Object.freeze({
    isLeading: () => isLeading,

    /** @param {unknown} message to all other tabs */
    post(message) {
      if (!hasLeft) channel.postMessage(message);
    },

    /** Leads from now on in the place of another tab, which the browser has suspended. */
    takeLead() {
      if (isLeading) return;
      queueing.abort();
      void requestLock({ steal: true });
    },

    leave() {
      hasLeft = true;
      isLeading = false;
      queueing.abort();
      releaseLock();
      channel.close();
    },
  });
}
