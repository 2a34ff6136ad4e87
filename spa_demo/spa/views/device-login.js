/** The login at another device: the code, the address and its QR code, for as long as a user may decide. */

import { GatewayError } from '/bff/client/bff-client.js';
import { element } from '../dom.js';
import { qrModules } from '../qr-code.js';

const QUIET_ZONE = 4; // modules around a QR code that stay light

/** @typedef {import('/bff/client/bff-client.js').DeviceLogin} DeviceLogin */
/** @typedef {import('/bff/client/bff-client.js').User} User */

/** @type {Record<string, string>} */
const ENDS = {
  login_denied: 'The login was denied at the other device.',
  login_expired: 'This code is no longer good.',
};

/**
 * @param {() => Promise<DeviceLogin>} begin
 * @param {(user: User | null) => void} onDecided
 * @param {(error: unknown) => void} onTrouble
 */
export function createDeviceLoginView(begin, onDecided, onTrouble) {
  const panel = element('device', HTMLElement);
  const status = element('device-status', HTMLElement);
  const link = element('device-link', HTMLAnchorElement);

  /** @type {AbortController | undefined} of the login that is shown */
  let shown;

  /** @param {DeviceLogin} login */
  function show({ userCode, verificationUri, verificationUriComplete }) {
    element('device-code', HTMLElement).textContent = userCode;
    link.textContent = verificationUri;
    link.href = verificationUriComplete ?? verificationUri;
    const modules = qrModules(verificationUriComplete ?? verificationUri);
    const code = element('device-qr', SVGSVGElement);
    code.toggleAttribute('hidden', !modules);
    if (modules) draw(code, modules);
    status.textContent = 'Waiting for you to allow it there…';
    panel.hidden = false;
  }

  /** @param {unknown} error */
  function fail(error) {
    const end = error instanceof GatewayError ? ENDS[error.code] : undefined;
    if (end) status.textContent = end;
    else {
      panel.hidden = true;
      onTrouble(error);
    }
  }

  function stop() {
    shown?.abort();
    shown = undefined;
    panel.hidden = true;
  }

  return Object.freeze({
    async start() {
      stop();
      const mine = new AbortController();
      shown = mine;
      try {
        const login = await begin();
        if (mine.signal.aborted) return;
        show(login);
        const user = await login.decided({ signal: mine.signal });
        stop();
        onDecided(user);
      } catch (error) {
        if (!mine.signal.aborted) fail(error);
      }
    },

    stop,
  });
}

/**
 * @param {SVGSVGElement} code
 * @param {boolean[][]} modules
 */
function draw(code, modules) {
  const size = modules.length + 2 * QUIET_ZONE;
  code.setAttribute('viewBox', `${-QUIET_ZONE} ${-QUIET_ZONE} ${size} ${size}`);
  const dark = modules.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])));
  element('device-qr-dark', SVGPathElement).setAttribute('d', dark.join(''));
}
