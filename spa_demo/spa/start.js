// @ts-check
/**
 * Says so when the gateway is away as the page starts. The rest of the page is built on the client,
 * and the gateway serves that; so this is a plain script that needs nothing else.
 */
(() => {
  const CLIENT = '/bff/client/bff-client.js';
  const PAUSE_MILLISECONDS = 2000;
  let wasAway = false;

  // A module script fails as a whole when one of its imports can't be loaded. The event does not
  // bubble, so it is caught on its way down.
  addEventListener(
    'error',
    (event) => {
      if (event.target instanceof HTMLScriptElement) void askUntilItAnswers();
    },
    true,
  );

  async function askUntilItAnswers() {
    const code = await troubleOfGateway();
    if (code === null) {
      // A script that fails for another reason would fail again, and again.
      if (wasAway || !isReload()) location.reload();
      return;
    }
    wasAway = true;
    put('problem-title', 'The gateway cannot be reached');
    put('problem-detail', 'This does not log you out. The page goes on by itself when it is back.');
    put('problem-trace', code);
    const banner = document.getElementById('problem');
    if (banner) banner.hidden = false;
    setTimeout(() => void askUntilItAnswers(), PAUSE_MILLISECONDS);
  }

  function isReload() {
    const [navigation] = performance.getEntriesByType('navigation');
    return navigation instanceof PerformanceNavigationTiming && navigation.type === 'reload';
  }

  /** The code of its answer, null when the client can be had. */
  async function troubleOfGateway() {
    try {
      const answer = await fetch(CLIENT, { cache: 'no-store' });
      if (answer.ok) return null;
      const { code } = await answer.json();
      return String(code);
    } catch {
      return 'unreachable';
    }
  }

  /**
   * @param {string} id
   * @param {string} text
   */
  function put(id, text) {
    const target = document.getElementById(id);
    if (target === null) return;
    target.textContent = text;
    target.hidden = false;
  }
})();
