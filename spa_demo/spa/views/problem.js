/** The banner for whatever went wrong: what it means for the user, and the one thing to do about it. */

import { ApiError } from '../api.js';
import { GatewayError, NotAuthenticatedError, UnavailableError } from '/bff/client/bff-client.js';
import { element } from '../dom.js';
import { isReason, spellEnd } from '../session-end.js';

/** @typedef {'login' | 'retry' | null} Action */
/** @typedef {{title: string, detail: string, code: string | null, requestId: string | null, action: Action}} Description */

/** @type {Record<string, string>} */
const UNAVAILABLE = {
  unreachable: 'It gave no answer. This does not log you out.',
  store_unavailable: 'The gateway cannot read sessions right now. This does not log you out.',
  rate_limited: 'There were too many requests in a short time. This does not log you out.',
  op_unavailable: 'The login service does not answer the gateway. This does not log you out.',
};

/** @type {Record<string, string>} */
const API_TITLES = {
  insufficient_scope: 'The API refused: your access token does not carry the scope it asks for',
  not_the_author: 'Only its author may delete a note',
  upstream_unreachable: 'The gateway cannot reach the API',
  upstream_timeout: 'The API took too long to answer',
  upstream_malformed: 'The API sent an answer that cannot be used',
};

/** The session is over, for a reason that the gateway gave. */
export class SessionEnd extends Error {
  /** @param {string} reason */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * @param {unknown} error
 * @returns {Description}
 */
function describe(error) {
  const code = error instanceof GatewayError || error instanceof ApiError ? error.code : null;
  const requestId = error instanceof GatewayError || error instanceof ApiError ? error.requestId : null;
  const known = { code, requestId };
  if (error instanceof NotAuthenticatedError || error instanceof SessionEnd) {
    const detail = spellEnd(error instanceof SessionEnd ? error.reason : 'unknown');
    return { ...known, title: 'Your session has ended', detail, action: 'login' };
  }
  if (error instanceof UnavailableError) {
    const title = error.status === 0 ? 'The gateway cannot be reached' : 'The gateway cannot help at the moment';
    const detail = UNAVAILABLE[error.code] ?? 'This does not log you out.';
    return { ...known, title, detail, action: 'retry' };
  }
  if (error instanceof ApiError) {
    const title = API_TITLES[error.code ?? ''] ?? 'The API did not do what was asked';
    const detail = `The answer was HTTP ${error.status}. You are still logged in.`;
    return { ...known, title, detail, action: error.status >= 500 ? 'retry' : null };
  }
  if (error instanceof GatewayError) {
    const detail = 'The gateway answered in a way this page did not expect.';
    return { ...known, title: 'The request did not go through', detail, action: 'retry' };
  }
  const title = 'Something in this page went wrong';
  return { ...known, title, detail: 'Reload the page to start afresh.', action: null };
}

/** What a problem came from: the watch, a piece of work, or neither. */
/** @typedef {'watch' | (() => Promise<void>) | null} Origin */

/** @param {{onLogin: () => void, onRetry: (origin: Origin) => void}} callbacks */
export function createProblemBanner({ onLogin, onRetry }) {
  const banner = element('problem', HTMLElement);
  const button = element('problem-action', HTMLButtonElement);

  /** @type {{error: unknown, origin: Origin, action: Action} | null} */
  let shown = null;

  button.addEventListener('click', () => {
    if (shown?.action === 'login') onLogin();
    else onRetry(shown?.origin ?? null);
  });
  element('problem-dismiss', HTMLButtonElement).addEventListener('click', hide);

  function hide() {
    shown = null;
    banner.hidden = true;
  }

  return Object.freeze({
    hide,

    /**
     * In the place of what is shown, unless that says more.
     * @param {unknown} error
     * @param {Origin} [origin]
     */
    show(error, origin = null) {
      if (shown && weight(error) < weight(shown.error)) return;
      const { title, detail, code, requestId, action } = describe(error);
      const trace = [code, requestId && `request ${requestId}`].filter(Boolean).join(' · ');
      shown = { error, origin, action };
      put('problem-title', title);
      put('problem-detail', detail);
      put('problem-trace', trace);
      button.hidden = !action;
      button.textContent = action === 'login' ? 'Log in again' : 'Try now';
      banner.dataset['kind'] = action ?? 'notice';
      banner.hidden = false;
    },

    /**
     * Takes back what is no longer true, now that this has worked. That the gateway knows the user
     * does not mean that API calls work again; the other way round it does.
     * @param {Origin} origin
     */
    worked(origin) {
      if (!shown) return;
      const { error } = shown;
      const isBack = error instanceof UnavailableError && (origin !== 'watch' || error.status === 0);
      if (shown.origin === origin || isBack) hide();
    },
  });
}

/**
 * How much a problem says. After the end of a session the login is the only way on, whatever else goes
 * wrong, and the reason for the end is told once.
 * @param {unknown} error
 */
function weight(error) {
  if (error instanceof SessionEnd) return isReason(error.reason) ? 3 : 1;
  return error instanceof NotAuthenticatedError ? 2 : 0; // it names the request
}

/**
 * Changes the text only when it differs, so that it is not read out again and again.
 * @param {string} id
 * @param {string} text
 */
function put(id, text) {
  const target = element(id, HTMLElement);
  if (target.textContent !== text) target.textContent = text;
  target.hidden = !text;
}
