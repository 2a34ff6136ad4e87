/**
 * Decides whether something that scripts can read looks like a token, or is the session cookie.
 * Pure; where the values come from is the proof panel's business.
 */

/** @typedef {{place: string, name: string, value: string}} Finding */

const NAMES = /(access|refresh|id)[-_.]?token|bearer|code_verifier|client_secret/i;
const SESSION_COOKIES = /^(__Host-Http-|__Host-|__Secure-)?bff\b/i;
// Three base64url parts, or the five of an encrypted one (RFC 7515, RFC 7516); the first is JSON: `{"`.
const COMPACT_JOSE = /eyJ[\w-]{6,}(\.[\w-]*){2,4}/;

/** @param {Finding} found */
export function looksLikeToken({ name, value }) {
  return NAMES.test(name) || SESSION_COOKIES.test(name) || NAMES.test(value) || COMPACT_JOSE.test(value);
}

/**
 * The cookies in a string of `name=value` pairs, one by one.
 * @param {string} place
 * @param {string} text
 * @returns {Finding[]}
 */
export function cookiesIn(place, text) {
  return text
    .split('; ')
    .filter(Boolean)
    .map((pair) => {
      const at = pair.indexOf('=');
      const name = at < 0 ? '' : pair.slice(0, at);
      return { place, name, value: pair.slice(at + 1) };
    });
}
