/**
 * The user's own sessions, one for each browser they are logged in with, and the way to end them.
 * The gateway answers for the caller's own account only.
 */

import { GatewayError, refused } from './problems.js';

/**
 * Times are epoch seconds.
 * @typedef {object} Device
 * @property {string} id good for `end`, and for nothing else
 * @property {boolean} current whether it is the session of this page
 * @property {string} client the browser's User-Agent at the login, cut; not to be trusted
 * @property {string} [address] the IP address at the login, where the gateway keeps it
 * @property {number} created_at
 * @property {number} last_seen_at
 * @property {number} expires_at the absolute end
 */

/** @typedef {ReturnType<typeof createDevices>} Devices */
/** @typedef {(path: string, init?: RequestInit) => Promise<Response>} Send */

/**
 * Each method throws what `fetch` of the client throws, and `GatewayError` for any other refusal.
 * @param {Send} send
 * @param {string} prefix
 */
export function createDevices(send, prefix) {
  const path = `${prefix}/sessions`;

  return Object.freeze({
    /**
     * All of them, the newest first.
     * @returns {Promise<Device[]>}
     */
    async list() {
      const response = await send(path, { cache: 'no-store' });
      if (!response.ok) throw await refused(response);
      const body = await response.json().catch(() => undefined);
      if (!Array.isArray(body?.sessions)) throw new GatewayError('malformed', response, null);
      return body.sessions;
    },

    /**
     * Ends one, that of this page included. False when it was over already.
     * @param {string} id
     */
    async end(id) {
      const response = await send(`${path}/${encodeURIComponent(id)}`, { method: 'DELETE' });
      if (response.ok) return true;
      if (response.status === 404) return false;
      throw await refused(response);
    },

    /** Ends all but that of this page; returns how many there were. */
    async endOthers() {
      const response = await send(path, { method: 'DELETE' });
      if (!response.ok) throw await refused(response);
      const body = await response.json().catch(() => undefined);
      return Number(body?.ended ?? 0);
    },
  });
}
