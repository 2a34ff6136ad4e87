/**
 * The proof panel: everything this origin lets scripts read, and a verdict on it. The only part of the
 * page that touches cookies and storage, and it only reads them, but for the decoy, which a click
 * plants and a click removes.
 */

import { element, make } from '../dom.js';
import { cookiesIn, looksLikeToken } from '../token-scan.js';

/** @typedef {import('../token-scan.js').Finding} Finding */

const DECOY = 'decoy_access_token';
const SHOWN_CHARACTERS = 120;

export function createProofView() {
  const decoy = element('proof-decoy', HTMLButtonElement);
  let lastSeen = '';

  function scan() {
    const places = readable();
    const found = Object.values(places).flat();
    const seen = JSON.stringify(places);
    if (seen === lastSeen) return;
    lastSeen = seen;
    for (const [id, findings] of Object.entries(places)) show(id, findings);
    showVerdict(found.filter(looksLikeToken));
    decoy.textContent = found.some(({ name }) => name === DECOY) ? 'Remove the decoy' : 'Plant a decoy token';
  }

  decoy.addEventListener('click', () => {
    if (localStorage.getItem(DECOY) === null) localStorage.setItem(DECOY, decoyToken());
    else localStorage.removeItem(DECOY);
    scan();
  });
  addEventListener('storage', scan);

  return Object.freeze({ scan });
}

/** @returns {Record<string, Finding[]>} by the id of the list they are shown in */
function readable() {
  return {
    'proof-cookie': guarded(() => cookiesIn('document.cookie', document.cookie)),
    'proof-local': guarded(() => entries('localStorage', localStorage)),
    'proof-session': guarded(() => entries('sessionStorage', sessionStorage)),
    'proof-address': [{ place: 'location.href', name: '', value: location.href }],
  };
}

/**
 * A browser may refuse access to storage altogether; then there is nothing for scripts to read.
 * @param {() => Finding[]} read
 */
function guarded(read) {
  try {
    return read();
  } catch {
    return [];
  }
}

/**
 * @param {string} place
 * @param {Storage} storage
 * @returns {Finding[]}
 */
function entries(place, storage) {
  return Object.keys(storage).map((name) => ({ place, name, value: storage.getItem(name) ?? '' }));
}

/**
 * @param {string} id
 * @param {Finding[]} findings
 */
function show(id, findings) {
  const rows = findings.map((finding) => {
    const { name, value } = finding;
    const cut = value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value;
    const content = name ? [make('b', '', name), ` ${cut}`] : [cut];
    return make('li', looksLikeToken(finding) ? 'suspect' : '', ...content);
  });
  element(id, HTMLUListElement).replaceChildren(...(rows.length ? rows : [make('li', 'nothing', 'empty')]));
}

/** @param {Finding[]} suspects */
function showVerdict(suspects) {
  const verdict = element('proof-verdict', HTMLElement);
  verdict.classList.toggle('is-bad', suspects.length > 0);
  verdict.textContent = suspects.length
    ? `Token found in ${[...new Set(suspects.map(({ place }) => place))].join(', ')}`
    : 'No token here';
}

/** Shaped like a signed JWT, made on the spot, good for nothing. */
function decoyToken() {
  const part = (/** @type {object} */ value) => btoa(JSON.stringify(value)).replaceAll('=', '');
  return [part({ alg: 'none' }), part({ sub: 'nobody', decoy: true }), 'decoy'].join('.');
}
