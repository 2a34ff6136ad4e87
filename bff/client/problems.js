/**
 * The gateway's refusals (RFC 9457 problem documents) as errors, one class for each kind. Never thrown
 * for an answer of an API.
 */

/**
 * Problem details (RFC 9457) as the gateway sends them. `code` is the stable part.
 * @typedef {object} Problem
 * @property {string} [type]
 * @property {string} [title]
 * @property {number} [status]
 * @property {string} [code]
 * @property {string} [request_id]
 * @property {string} [login_url]
 * @property {number} [retry_after] seconds
 * @property {string} [acr_values] with `step_up_required`, separated by spaces
 * @property {number} [max_age] with `step_up_required`, seconds
 */

/** Base of what the client throws. `status` is 0 when there was no answer. */
export class GatewayError extends Error {
  /**
   * @param {string} code
   * @param {Response | null} response
   * @param {Problem | null} problem
   * @param {unknown} [cause]
   */
  constructor(code, response, problem, cause) {
    super(problem?.title ?? code, { cause });
    this.name = new.target.name;
    this.code = code;
    this.status = response?.status ?? 0;
    this.requestId = problem?.request_id ?? null;
    this.response = response;
  }
}

/** A login is needed: codes `not_authenticated` and `session_ended`. */
export class NotAuthenticatedError extends GatewayError {
  /**
   * @param {string} code
   * @param {Response} response
   * @param {Problem | null} problem
   * @param {string} loginUrl
   */
  constructor(code, response, problem, loginUrl) {
    super(code, response, problem);
    this.loginUrl = loginUrl;
  }
}

/**
 * The session is good, but this call wants a stronger or more recent login: code `step_up_required`.
 * `acrValues` is separated by spaces, `maxAge` in seconds; null where they are not asked for.
 */
export class StepUpRequiredError extends GatewayError {
  /**
   * @param {Response} response
   * @param {Problem} problem
   * @param {string} loginUrl
   */
  constructor(response, problem, loginUrl) {
    super('step_up_required', response, problem);
    this.loginUrl = loginUrl;
    this.acrValues = problem.acr_values ?? null;
    this.maxAge = problem.max_age ?? null;
  }
}

/**
 * The session is alive, but its access token is of no use for this call, and only a login gives another:
 * codes `token_inactive` and `token_bound`.
 */
export class TokenUnusableError extends GatewayError {
  /**
   * @param {string} code
   * @param {Response} response
   * @param {Problem} problem
   * @param {string} loginUrl
   */
  constructor(code, response, problem, loginUrl) {
    super(code, response, problem);
    this.loginUrl = loginUrl;
  }
}

/**
 * The session is untouched; try again later. Code `unreachable` when no answer came at all, else the
 * gateway's. `retryAfter` is in seconds, null when none was given.
 */
export class UnavailableError extends GatewayError {
  /**
   * @param {string} code
   * @param {Response | null} response
   * @param {Problem | null} problem
   * @param {unknown} [cause]
   */
  constructor(code, response, problem, cause) {
    super(code, response, problem, cause);
    this.retryAfter = problem?.retry_after ?? secondsOf(response?.headers.get('Retry-After'));
  }
}

/**
 * The problem document of a response, or null when it has none. The response stays readable.
 * @param {Response} response
 * @returns {Promise<Problem | null>}
 */
export async function readProblem(response) {
  const type = response.headers.get('Content-Type') ?? '';
  if (!/^application\/problem\+json\s*(;|$)/i.test(type)) return null;
  try {
    const body = await response.clone().json();
    return typeof body === 'object' && !Array.isArray(body) ? body : null;
  } catch {
    return null;
  }
}

/**
 * The error for an answer of the gateway's own that is not a success.
 * @param {Response} response
 */
export async function refused(response) {
  const problem = await readProblem(response);
  const isTemporary = response.status >= 500 || response.status === 429;
  const kind = isTemporary ? UnavailableError : GatewayError;
  return new kind(problem?.code ?? 'unavailable', response, problem);
}

/** @param {string | null | undefined} header */
function secondsOf(header) {
  return header && /^\d+$/.test(header) ? Number(header) : null;
}
