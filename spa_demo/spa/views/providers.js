/** Where the gateway has several login services: a button for each, in the place of the one that logs in. */

import { element, make } from '../dom.js';

/** @typedef {import('/bff/client/bff-client.js').Provider} Provider */

/** @param {{onLogin: (idp: string) => void}} callbacks */
export function createProvidersView({ onLogin }) {
  const group = element('providers', HTMLElement);
  const single = element('login', HTMLButtonElement);

  /** @param {Provider} provider */
  function button({ name, label }) {
    const made = make('button', 'primary', `Log in with ${label}`);
    made.type = 'button';
    made.dataset['testid'] = `login-${name}`;
    made.addEventListener('click', () => onLogin(name));
    return made;
  }

  return Object.freeze({
    /** @param {Provider[]} providers the default first */
    show(providers) {
      const isChoice = providers.length > 1;
      group.replaceChildren(...(isChoice ? providers.map(button) : []));
      group.hidden = !isChoice;
      single.hidden = isChoice;
    },
  });
}
