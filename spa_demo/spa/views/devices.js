/** The devices card: where the user is logged in, and the way to end that from here. */

import { nameClient } from '../client-name.js';
import { ago, dateTime, element, make } from '../dom.js';

/** @typedef {import('/bff/client/bff-client.js').Device} Device */

/**
 * @param {import('/bff/client/bff-client.js').Client['devices']} devices
 * @param {(work: () => Promise<void>) => Promise<void>} attempt runs work and shows what goes wrong
 */
export function createDevicesView(devices, attempt) {
  const list = element('devices', HTMLUListElement);
  const status = element('devices-status', HTMLElement);
  const endOthers = element('devices-end-others', HTMLButtonElement);

  async function load() {
    const found = await devices.list();
    list.replaceChildren(...found.map(row));
    endOthers.hidden = found.every(({ current }) => current);
  }

  /** @param {Device} device */
  function row(device) {
    const name = make('p', 'device-name', nameClient(device.client));
    name.title = device.client;
    if (device.current) name.append(' ', make('span', 'badge device-current', 'This browser'));
    const seen = device.current ? 'active now' : `last seen ${ago(device.last_seen_at)}`;
    const about = make('p', 'device-about', `Logged in ${dateTime(device.created_at)}, ${seen}`);
    const made = make('li', 'device', make('div', 'device-body', name, about));
    made.dataset['testid'] = 'device';
    made.dataset['current'] = String(device.current);
    if (!device.current) made.append(endButton(device));
    return made;
  }

  /** @param {Device} device */
  function endButton(device) {
    const button = make('button', 'quiet danger', 'Log out');
    button.type = 'button';
    button.dataset['testid'] = 'device-end';
    button.setAttribute('aria-label', `Log out ${nameClient(device.client)}`);
    button.addEventListener('click', () => attempt(() => end(device, button)));
    return button;
  }

  /**
   * @param {Device} device
   * @param {HTMLButtonElement} button
   */
  async function end(device, button) {
    await whileDisabled(button, () => devices.end(device.id));
    await load();
    status.textContent = `${nameClient(device.client)} is logged out.`;
  }

  async function endAllOthers() {
    const ended = await whileDisabled(endOthers, devices.endOthers);
    await load();
    status.textContent = ended === 1 ? 'One other device is logged out.' : `${ended} other devices are logged out.`;
  }

  endOthers.addEventListener('click', () => attempt(endAllOthers));

  return Object.freeze({
    load,

    /** Takes the user's data off the page. */
    clear() {
      list.replaceChildren();
      status.textContent = '';
      endOthers.hidden = true;
    },
  });
}

/**
 * @template T
 * @param {HTMLButtonElement} button
 * @param {() => Promise<T>} work
 */
async function whileDisabled(button, work) {
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.disabled = false;
  }
}
