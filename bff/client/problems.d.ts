/**
 * The gateway's refusals (RFC 9457 problem documents) as errors, one class for each kind. Never thrown
 * for an answer of an API.
 */
export type Problem = {
    type?: string;
    title?: string;
    status?: number;
    code?: string;
    request_id?: string;
    login_url?: string;
    /**
     * seconds
     */
    retry_after?: number;
    /**
     * with `step_up_required`, separated by spaces
     */
    acr_values?: string;
    /**
     * with `step_up_required`, seconds
     */
    max_age?: number;
};
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
export declare class GatewayError extends Error {
    code: string;
    status: number;
    requestId: string | null;
    response: Response | null;
    /**
     * @param {string} code
     * @param {Response | null} response
     * @param {Problem | null} problem
     * @param {unknown} [cause]
     */
    constructor(code: string, response: Response | null, problem: Problem | null, cause?: unknown);
}
/** A login is needed: codes `not_authenticated` and `session_ended`. */
export declare class NotAuthenticatedError extends GatewayError {
    loginUrl: string;
    /**
     * @param {string} code
     * @param {Response} response
     * @param {Problem | null} problem
     * @param {string} loginUrl
     */
    constructor(code: string, response: Response, problem: Problem | null, loginUrl: string);
}
/**
 * The session is good, but this call wants a stronger or more recent login: code `step_up_required`.
 * `acrValues` is separated by spaces, `maxAge` in seconds; null where they are not asked for.
 */
export declare class StepUpRequiredError extends GatewayError {
    loginUrl: string;
    acrValues: string | null;
    maxAge: number | null;
    /**
     * @param {Response} response
     * @param {Problem} problem
     * @param {string} loginUrl
     */
    constructor(response: Response, problem: Problem, loginUrl: string);
}
/**
 * The session is alive, but its access token is of no use for this call, and only a login gives another:
 * codes `token_inactive` and `token_bound`.
 */
export declare class TokenUnusableError extends GatewayError {
    loginUrl: string;
    /**
     * @param {string} code
     * @param {Response} response
     * @param {Problem} problem
     * @param {string} loginUrl
     */
    constructor(code: string, response: Response, problem: Problem, loginUrl: string);
}
/**
 * The session is untouched; try again later. Code `unreachable` when no answer came at all, else the
 * gateway's. `retryAfter` is in seconds, null when none was given.
 */
export declare class UnavailableError extends GatewayError {
    retryAfter: number | null;
    /**
     * @param {string} code
     * @param {Response | null} response
     * @param {Problem | null} problem
     * @param {unknown} [cause]
     */
    constructor(code: string, response: Response | null, problem: Problem | null, cause?: unknown);
}
/**
 * The problem document of a response, or null when it has none. The response stays readable.
 * @param {Response} response
 * @returns {Promise<Problem | null>}
 */
export declare function readProblem(response: Response): Promise<Problem | null>;
/**
 * The error for an answer of the gateway's own that is not a success.
 * @param {Response} response
 */
export declare function refused(response: Response): Promise<GatewayError>;
