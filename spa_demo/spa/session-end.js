/** Why a session is over, for its user. Pure. */

/** @type {Record<string, string>} */
const REASONS = {
  logout: 'You logged out in another tab of this browser.',
  ended_by_user: 'You logged this browser out from your list of devices.',
  replaced: 'Another login in this browser took its place.',
  limit: 'You logged in on more devices than are allowed, and this was the oldest login.',
  expired: 'It expired: nothing was done for too long, or it reached its full length.',
  admin: 'An administrator ended it.',
  backchannel_logout: 'The login service ended it: you logged out there.',
  frontchannel_logout: 'The login service ended it: you logged out there.',
  grant_rejected: 'The login service ended it.',
  token_expired: 'The login service ended it.',
  identity_mismatch: 'The login service named another user, so it was ended.',
};
const UNKNOWN = 'It expired, or it was ended from another device or by an administrator.';

/**
 * Whether it says more than that the session is over.
 * @param {string} reason
 */
export function isReason(reason) {
  return Object.hasOwn(REASONS, reason);
}

/** @param {string} reason the gateway's; one that is not in the table gets a general text */
export function spellEnd(reason) {
  return (isReason(reason) ? REASONS[reason] : undefined) ?? UNKNOWN;
}
