/**
 * The vault: a call for which the API wants a stronger and more recent login than the session may have.
 * The page leaves for that login, and sends the call again when it is back.
 */

import { StepUpRequiredError } from '/bff/client/bff-client.js';
import { element } from '../dom.js';

const MARK = '#vault'; // of the address to come back to

/**
 * @param {import('../api.js').Api} api
 * @param {(work: () => Promise<void>) => Promise<void>} attempt runs work and shows what goes wrong
 * @param {(error: StepUpRequiredError, returnUrl: string) => void} onStepUp leaves the page
 */
export function createVaultView(api, attempt, onStepUp) {
  const result = element('vault-result', HTMLElement);

  /** @param {boolean} mayLeave false: the page has just come back, and must not leave again by itself */
  async function open(mayLeave) {
    try {
      const { kept } = await api.vault();
      result.textContent = kept;
    } catch (error) {
      if (!(error instanceof StepUpRequiredError)) throw error;
      result.textContent = 'A login with a second step is needed.';
      if (mayLeave) onStepUp(error, location.pathname + MARK);
    }
  }

  element('vault', HTMLButtonElement).addEventListener('click', () => attempt(() => open(true)));

  return Object.freeze({
    /** Sends the call again, if the page has left for its login. */
    async resume() {
      if (location.hash !== MARK) return;
      history.replaceState(history.state, '', location.pathname + location.search);
      await open(false);
    },

    /** Takes the user's data off the page. */
    clear() {
      result.textContent = '';
    },
  });
}
