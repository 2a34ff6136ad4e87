/** Typed access to the page's elements. Text goes in as text: there is no way to pass markup. */

/**
 * The element with this id; its absence is a fault of the page.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`No ${kind.name} with id ${id}`);
  return found;
}

/**
 * A new element with a class and text or children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} className
 * @param {...(string | Node)} content
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/**
 * The time of day, in the reader's own way of writing it.
 * @param {Date} [when]
 */
export function clockTime(when = new Date()) {
  return when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/**
 * Date and time of an instant given as epoch seconds or ISO 8601.
 * @param {number | string} at
 */
export function dateTime(at) {
  const when = new Date(typeof at === 'number' ? at * 1000 : at);
  if (Number.isNaN(when.getTime())) return 'unknown';
  return when.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}

/**
 * How long ago an instant given as epoch seconds was: `just now`, `5 min ago`; a date after a day.
 * @param {number} at
 * @param {number} [now] epoch seconds
 */
export function ago(at, now = Date.now() / 1000) {
  const minutes = Math.floor((now - at) / 60);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return dateTime(at);
}
