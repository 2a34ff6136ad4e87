/**
 * A visit is one user's time on this page, from a login to the session's end. An answer to a question of
 * an earlier visit must neither show its data, which the end has taken off the page, nor its error,
 * which says less than the reason for the end does. Knows no page and no gateway.
 */

/** The visit in which the question was asked is over. */
export class VisitOver extends Error {}

/** @typedef {ReturnType<typeof createVisits>} Visits */

export function createVisits() {
  let visit = 0;

  /**
   * Waits for the answer to a question of this visit.
   * @template T
   * @param {Promise<T>} answer
   * @returns {Promise<T>}
   * @throws {VisitOver} the visit has ended before the answer or the error was there
   */
  async function during(answer) {
    const asked = visit;
    try {
      return await answer;
    } finally {
      if (asked !== visit) throw new VisitOver(); // in the place of the answer as of an error
    }
  }

  return Object.freeze({
    during,

    /** What is under way from here on is of no interest any more. */
    end() {
      visit += 1;
    },

    /**
     * The same methods, each of whose answers is waited for by `during`.
     * @template {Record<string, (...given: any[]) => Promise<any>>} Methods
     * @param {Methods} methods
     * @returns {Methods}
     */
    bound(methods) {
      /** @type {any} */
      const made = {};
      for (const [name, method] of Object.entries(methods)) {
        made[name] = (/** @type {unknown[]} */ ...given) => during(method(...given));
      }
      return Object.freeze(made);
    },
  });
}
