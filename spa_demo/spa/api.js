/**
 * The demo API, as seen through the gateway: notes, the caller's own token data, and an endpoint that
 * always refuses. It knows no cookie, no header and no token; that is the client's and the gateway's.
 */

import { readProblem } from '/bff/client/bff-client.js';

/** @typedef {{id: string | number, text: string, author: string, created_at: number | string}} Note */
/** @typedef {{sub: string, scope: string, exp: number}} Me */
/** @typedef {{status: number, wwwAuthenticate: string | null, body: string}} Answer */
/** @typedef {(path: string, init?: RequestInit) => Promise<Response>} Send */

const ANSWER_WITHIN_MS = 15_000;

/** The API, or the gateway on its behalf, answered with a status other than 2xx. */
export class ApiError extends Error {
  /**
   * @param {Response} response
   * @param {import('/bff/client/bff-client.js').Problem | null} problem
   */
  constructor(response, problem) {
    super(problem?.title ?? `HTTP ${response.status}`);
    this.name = 'ApiError';
    this.status = response.status;
    this.code = problem?.code ?? null;
    this.requestId = problem?.request_id ?? null;
  }
}

/** @typedef {ReturnType<typeof createApi>} Api */

/** @param {Send} send */
export function createApi(send) {
  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   */
  function call(method, path, body) {
    /** @type {RequestInit} */
    const init = { method, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    return send(path, init);
  }

  /** @param {Promise<Response>} pending */
  async function accepted(pending) {
    const response = await pending;
    if (!response.ok) throw new ApiError(response, await readProblem(response));
    return response;
  }

  return Object.freeze({
    /** @returns {Promise<Note[]>} */
    async notes() {
      const body = await (await accepted(call('GET', '/api/notes'))).json();
      return Array.isArray(body?.notes) ? body.notes : [];
    },

    /** @param {string} text */
    async addNote(text) {
      await accepted(call('POST', '/api/notes', { text }));
    },

    /** @param {Note['id']} id */
    async deleteNote(id) {
      await accepted(call('DELETE', `/api/notes/${encodeURIComponent(id)}`));
    },

    /** @returns {Promise<Me>} */
    async me() {
      return (await accepted(call('GET', '/api/me'))).json();
    },

    /** @returns {Promise<{sub: string, kept: string}>} what a strong and recent login may see */
    async vault() {
      return (await accepted(call('GET', '/api/vault'))).json();
    },

    /**
     * Whatever the API answers, as it is.
     * @returns {Promise<Answer>}
     */
    async admin() {
      const response = await call('GET', '/api/admin');
      return {
        status: response.status,
        wwwAuthenticate: response.headers.get('WWW-Authenticate'),
        body: await response.text(),
      };
    },
  });
}
