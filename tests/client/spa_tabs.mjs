/**
 * Several tabs of one browser in one Node process: what bff-client needs of a browser, by hand, with a
 * clock that a test moves. Fakes of the browser only; the client and its parts are the real ones.
 */

const ORIGIN = 'https://app.test';

// --- time: nothing is due before `advance` says so ---------------------------------------------

let now = 0;
let timers = [];

globalThis.setTimeout = (run, delay = 0) => {
  const timer = { run, at: now + delay };
  timers.push(timer);
  return timer;
};
globalThis.clearTimeout = (timer) => {
  timers = timers.filter((one) => one !== timer);
};
Object.defineProperty(globalThis, 'performance', { value: { now: () => now } });
Math.random = () => 0.5;

/** Lets all that is under way come to rest; no time passes. */
export async function settle() {
  for (let turns = 0; turns < 8; turns += 1) await new Promise((done) => setImmediate(done));
}

/** @param {number} seconds */
export async function advance(seconds) {
  const until = now + seconds * 1000;
  await settle();
  for (;;) {
    const due = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
    if (!due) break;
    clearTimeout(due);
    now = due.at;
    due.run();
    await settle();
  }
  now = until;
}

// --- the page ------------------------------------------------------------------------------------

const page = new EventTarget();
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.removeEventListener = page.removeEventListener.bind(page);
globalThis.location = { href: `${ORIGIN}/`, origin: ORIGIN, assign() {} };
globalThis.document = Object.assign(new EventTarget(), { hidden: false });

/** @param {boolean} isShown */
export async function show(isShown) {
  document.hidden = !isShown;
  document.dispatchEvent(new Event('visibilitychange'));
  await settle();
}

/** @param {'pagehide' | 'pageshow'} name */
export async function turnPage(name) {
  page.dispatchEvent(new Event(name));
  await settle();
}

// --- tabs hear each other, and take turns ----------------------------------------------------------

const channels = new Set();

globalThis.BroadcastChannel = class {
  constructor(name) {
    this.name = name;
    channels.add(this);
  }
  postMessage(message) {
    const copy = structuredClone(message);
    for (const other of channels) {
      if (other === this || other.name !== this.name) continue;
      queueMicrotask(() => channels.has(other) && other.onmessage?.({ data: copy }));
    }
  }
  close() {
    channels.delete(this);
  }
};

/** Web Locks (W3C), exclusive ones: first come, first served; `steal` ends the holder's promise. */
export class Locks {
  queue = [];
  holder = null;

  request(name, options, work) {
    return new Promise((resolve, reject) => {
      const wish = { work, resolve, reject };
      options.signal?.addEventListener('abort', () => {
        if (!this.queue.includes(wish)) return;
        this.queue = this.queue.filter((one) => one !== wish);
        reject(options.signal.reason);
      });
      if (options.steal) {
        this.holder?.reject(new DOMException('stolen', 'AbortError'));
        this.holder = null;
        this.queue.unshift(wish);
      } else {
        this.queue.push(wish);
      }
      queueMicrotask(() => this.grant());
    });
  }

  async grant() {
    if (this.holder) return;
    const wish = this.queue.shift();
    if (!wish) return;
    this.holder = wish;
    wish.resolve(await wish.work({}));
    if (this.holder !== wish) return;
    this.holder = null;
    this.grant();
  }
}

export const locks = new Locks();
Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });

// --- the gateway -----------------------------------------------------------------------------------

/** What it answers from now on; `user` null means that no user is logged in. */
export const gateway = {
  user: null,
  isAway: false,
  away: { status: 503, code: 'store_unavailable' },
  retryAfter: 0,
  asked: 0,
  /** how it treats a stream: opened, refused, or not answered at all */
  stream: 'open',
  figures: { session_expires_in: 3600, idle_expires_in: 900, access_token_expires_in: 60 },
};

export function alice(figures = {}) {
  return { sub: 'alice', bff: { ...gateway.figures, ...figures, logout_url: '/bff/logout?sid=1' } };
}

globalThis.fetch = async () => {
  gateway.asked += 1;
  const problem = { 'Content-Type': 'application/problem+json' };
  if (gateway.isAway) {
    const { status, code } = gateway.away;
    const body = JSON.stringify({ code, retry_after: gateway.retryAfter });
    return new Response(body, { status, headers: problem });
  }
  if (gateway.user) return new Response(JSON.stringify(gateway.user));
  return new Response('{"code":"not_authenticated"}', { status: 401, headers: problem });
};

/** Every stream that was ever opened, the oldest first. */
export const streams = [];

export class Stream extends EventTarget {
  isOpen = true;
  constructor(url) {
    super();
    this.url = url;
    streams.push(this);
    queueMicrotask(() => {
      if (gateway.stream === 'refused' || (gateway.stream === 'open' && !gateway.user)) this.fail();
      else if (gateway.stream === 'open') this.say('session', gateway.figures);
    });
  }
  say(type, data) {
    if (!this.isOpen) return;
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data) }));
  }
  fail() {
    if (this.isOpen) this.dispatchEvent(new Event('error'));
  }
  close() {
    this.isOpen = false;
  }
}

globalThis.EventSource = Stream;

export const openStreams = () => streams.filter(({ isOpen }) => isOpen);

/** The session is over: every stream says so, and every question. */
export async function end(reason) {
  gateway.user = null;
  for (const stream of openStreams()) stream.say('ended', { reason });
  await settle();
}

// --- a tab -----------------------------------------------------------------------------------------

/**
 * A tab whose page listens. `heard` are its events in short: the type, with reason or link.
 * @param {(client: any) => void} [atStart] what its page does beside listening
 */
export async function openTab(atStart) {
  const { createClient } = await import(new URL('bff-client.js', globalThis.CLIENT));
  const client = createClient();
  const heard = [];
  const tab = { client, heard, close: () => {}, news: () => heard.splice(0) };
  tab.close = client.onSession((event) => {
    heard.push([event.type, event.reason ?? event.link].filter(Boolean).join(' '));
  });
  atStart?.(client);
  await settle();
  return tab;
}
