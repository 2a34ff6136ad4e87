/** Who is logged in: name, e-mail address, subject, authentication strength and time. */

import { dateTime, element } from '../dom.js';

/** @param {import('/bff/client/bff-client.js').User} user */
export function showIdentity(user) {
  const name = textOf(user.name) ?? textOf(user.email) ?? user.sub;
  const { acr, auth_time } = user.bff;
  put('user-initials', initialsOf(name));
  put('user-name', name);
  put('user-email', textOf(user.email) ?? 'no e-mail claim');
  put('user-sub', user.sub);
  put('user-acr', textOf(acr) ?? 'not stated');
  put('user-auth-time', typeof auth_time === 'number' ? dateTime(auth_time) : 'not stated');
}

/** Takes the user's data off the page. */
export function clearIdentity() {
  for (const id of ['initials', 'name', 'email', 'sub', 'acr', 'auth-time']) put(`user-${id}`, '');
}

/**
 * @param {string} id
 * @param {string} text
 */
function put(id, text) {
  element(id, HTMLElement).textContent = text;
}

/** @param {unknown} claim */
function textOf(claim) {
  return typeof claim === 'string' && claim ? claim : null;
}

/** @param {string} name */
function initialsOf(name) {
  const words = name.split(/[\s._@-]+/).filter(Boolean);
  return words.slice(0, 2).map((word) => [...word][0]?.toUpperCase() ?? '').join('');
}
