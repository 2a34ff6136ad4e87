/**
 * Remaining times, counted down between two answers of the gateway. Pure: the monotonic clock is a
 * parameter.
 */

/** @typedef {import('/bff/client/bff-client.js').Figures} Figures */
/** @typedef {keyof Figures} Lifetime */

/** @param {() => number} now monotonic seconds */
export function createCountdown(now) {
  /** @type {{info: Figures, readAt: number} | null} */
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
   * @param {Figures} info
   */
  function take(info) {
    last = { info, readAt: now() };
    for (const name of /** @type {Lifetime[]} */ (Object.keys(LIFETIMES))) {
      const said = info[name];
      if (typeof said === 'number') full[name] = Math.max(fullLife(name), said);
    }
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
