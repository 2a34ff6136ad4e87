/**
 * What listeners are told of the session, and how it is read from what the gateway or another tab
 * said. Pure.
 */

/**
 * Whole seconds from the moment of telling, as in the user document.
 * @typedef {object} Figures
 * @property {number} session_expires_in
 * @property {number} idle_expires_in
 * @property {number} access_token_expires_in
 */

/**
 * How this tab learns of the session: by the event stream it holds, by one that another tab holds, by
 * asking every 30 seconds; or not at all right now, because the gateway is away, or because nobody is
 * logged in.
 * @typedef {'stream' | 'tab' | 'polling' | 'away' | 'idle'} Link
 */

/**
 * - `session`: it is live, and these are its newest figures
 * - `refreshed`: the gateway has a new access token
 * - `expiring`: it will end within a minute if nothing is done
 * - `ended`: it is over; why, in the gateway's word, or `unknown`
 * - `logged_in`: there is a session again, maybe somebody else's: ask who
 * - `link`: how this tab learns all this has changed
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
 * An event, or null when it is none that we know.
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
