/** Client-side routes with real addresses: the gateway serves index.html for each of them. */

/** @typedef {'overview' | 'notes' | 'session' | 'proof' | 'missing'} Route */

/** @type {Record<string, Route>} */
const ROUTES = { '/': 'overview', '/notes': 'notes', '/session': 'session', '/proof': 'proof' };

/** @returns {Route} */
export function currentRoute() {
  const path = location.pathname.replace(/(.)\/+$/, '$1');
  return (Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined) ?? 'missing';
}

/**
 * Follows clicks on links marked `data-route`, and the back and forward buttons.
 * @param {(route: Route) => void} onRoute called after the address has changed
 */
export function startRouter(onRoute) {
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a[data-route]') : null;
    const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!(link instanceof HTMLAnchorElement) || !isPlain || event.defaultPrevented) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState(null, '', link.href);
    onRoute(currentRoute());
  });
  addEventListener('popstate', () => onRoute(currentRoute()));
}
