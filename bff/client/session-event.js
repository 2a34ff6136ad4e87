/**
 * The events that listeners get, and how they are read from data of the gateway or of another tab.
 * Pure.
 */

/**
 * Whole seconds from the moment of the event, as in the user document.
 * @typedef {object} Figures
 * @property {number} session_expires_in
 * @property {number} idle_expires_in
 * @property {number} access_token_expires_in
 */

/**
 * How this tab learns of the session: by the event stream it holds (`stream`), by one that another tab
 * holds (`tab`), or by asking every 30 seconds (`polling`). Not at all at the moment where the gateway
 * cannot be reached (`away`) or no user is logged in (`idle`).
 * @typedef {'stream' | 'tab' | 'polling' | 'away' | 'idle'} Link
 */

/**
 * - `session`: it is live, and these are its newest figures
 * - `refreshed`: the gateway has a new access token
 * - `expiring`: it will end within a minute if nothing is done
 * - `ended`: it is over; `reason` is the gateway's, or `unknown`
 * - `logged_in`: there is a session again, maybe another user's: ask `user()`
 * - `link`: this tab learns of the session in another way than before
 * @typedef {({type: 'session' | 'refreshed' | 'expiring'} & Figures)
 *   | {type: 'ended', reason: string}
 *   | {type: 'logged_in'}
 *   | {type: 'link', link: Link}} SessionEvent
 */

const NAMES = /** @type {const} */ (['session_expires_in', 'idle_expires_in', 'access_token_expires_in']);

/**
 * The figures in a piece of data, or null.
 * @param {any} data
 * @returns {Figures | null}
 */
export function figuresOf(data) {
  if (!NAMES.every((name) => Number.isFinite(data?.[name]))) return null;
  const { session_expires_in, idle_expires_in, access_token_expires_in } = data;
  return { session_expires_in, idle_expires_in, access_token_expires_in };
}

/**
 * An event, or null when it is none of the above.
 * @param {unknown} type
 * @param {any} data
 * @returns {SessionEvent | null}
 */
export function readEvent(type, data) {
  if (type === 'logged_in') return { type };
  if (type === 'ended') return { type, reason: typeof data?.reason === 'string' ? data.reason : 'unknown' };
  if (type !== 'session' && type !== 'refreshed' && type !== 'expiring') return null;
  const figures = figuresOf(data);
  return figures && { type, ...figures };
}
