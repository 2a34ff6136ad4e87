/**
 * Remaining times between two answers of the gateway, and whether a new answer means that the access
 * token was refreshed. Pure: the clock comes in, seconds that never jump with the wall clock.
 */

/** @typedef {import('./bff-client.js').SessionInfo} SessionInfo */
/** @typedef {'session_expires_in' | 'idle_expires_in' | 'access_token_expires_in'} Lifetime */
/** @typedef {{from: number, to: number}} Refresh seconds that were left before and after */

// An answer's seconds are rounded and were on their way for a while: less is no jump.
const TOLERANCE_SECONDS = 2;

/** @param {() => number} now monotonic seconds */
export function createCountdown(now) {
  /** @type {{info: SessionInfo, readAt: number} | null} */
  let last = null;
  /** @type {Partial<Record<Lifetime, number>>} */
  let full = {};

  /**
   * Seconds left, by our own reckoning; null when the gateway did not say.
   * @param {Lifetime} name
   */
  function left(name) {
    const said = last?.info[name];
    if (!last || typeof said !== 'number') return null;
    return Math.max(0, said - (now() - last.readAt));
  }

  /**
   * The most that was ever left: what a full bar stands for.
   * @param {Lifetime} name
   */
  function fullLife(name) {
    return full[name] ?? 0;
  }

  /**
   * Takes the gateway's newest figures.
   * @param {SessionInfo} info
   * @returns {Refresh | null} set when the access token's life jumped up
   */
  function take(info) {
    const before = left('access_token_expires_in');
    last = { info, readAt: now() };
    for (const name of /** @type {Lifetime[]} */ (Object.keys(LIFETIMES))) {
      const said = info[name];
      if (typeof said === 'number') full[name] = Math.max(fullLife(name), said);
    }
    const after = left('access_token_expires_in');
    if (before === null || after === null || after <= before + TOLERANCE_SECONDS) return null;
    return { from: Math.round(before), to: Math.round(after) };
  }

  function forget() {
    last = null;
    full = {};
  }

  return Object.freeze({ left, fullLife, take, forget });
}

/** @type {Record<Lifetime, true>} */
const LIFETIMES = {
  session_expires_in: true,
  idle_expires_in: true,
  access_token_expires_in: true,
};

/**
 * A duration for people: `42 s`, `4 min 05 s`, `7 h 59 min`.
 * @param {number | null} seconds
 */
export function spell(seconds) {
  if (seconds === null) return 'unknown';
  const whole = Math.ceil(seconds);
  const pad = (/** @type {number} */ n) => String(n).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}
