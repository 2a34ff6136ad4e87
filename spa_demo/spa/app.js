/**
 * The demo page: builds its parts once and decides what is shown. What it shows of the session comes
 * from the gateway's answers; it stores nothing.
 */

import { createApi } from './api.js';
import { createClient, NotAuthenticatedError } from '/bff/client/bff-client.js';
import { element } from './dom.js';
import { currentRoute, startRouter } from './router.js';
import { createWatch } from './session-watch.js';
import { createDeviceLoginView } from './views/device-login.js';
import { createDevicesView } from './views/devices.js';
import { createExpiringBanner } from './views/expiring.js';
import { clearIdentity, showIdentity } from './views/identity.js';
import { createNotesView } from './views/notes.js';
import { createProblemBanner, SessionEnd } from './views/problem.js';
import { createProofView } from './views/proof.js';
import { createProvidersView } from './views/providers.js';
import { createSessionView } from './views/session.js';
import { createVaultView } from './views/vault.js';
import { createVisits, VisitOver } from './visit.js';

/** @typedef {import('/bff/client/bff-client.js').User} User */
/** @typedef {'asking' | 'anonymous' | 'signedin'} Phase */

const CALL_EVERY_MS = 5000;
const FLASH_MS = 900;

/** @type {Record<import('./router.js').Route, string>} */
const TITLES = {
  overview: 'bff-gateway demo',
  notes: 'Notes · bff-gateway demo',
  session: 'Session · bff-gateway demo',
  proof: 'Proof · bff-gateway demo',
  missing: 'Not found · bff-gateway demo',
};

/** @type {Phase} */
let phase = 'asking';
let isLeaving = false;
/** @type {string | null} */
let sub = null;
/** @type {string | undefined} the login service of the last user, where there are several */
let idp;

const flow = element('flow', HTMLElement);
const caller = element('keep-calling', HTMLInputElement);

const client = createClient();
const visits = createVisits();
const api = visits.bound(
  createApi((path, init) => {
    flash(flow, 'is-calling');
    return client.fetch(path, init);
  }),
);
const banner = createProblemBanner({ onLogin: login, onRetry: retry });
const sessionView = createSessionView({ onRefresh: () => flash(flow, 'is-refreshed') });
const expiring = createExpiringBanner({ onStay: () => attempt(stay), onLogin: login });
const devicesView = createDevicesView(visits.bound(client.devices), attempt);
const notesView = createNotesView(api, attempt);
const vaultView = createVaultView(api, attempt, stepUp);
const proofView = createProofView();
const providersView = createProvidersView({ onLogin: loginWith });
const deviceLoginView = createDeviceLoginView(() => client.deviceLogin(), meet, showTrouble);
const watch = createWatch(client, {
  onUser: meet,
  onEvent: hear,
  onTrouble: (error) => showTrouble(error, 'watch'),
});

/**
 * Shows the user that the gateway names, or none.
 * @param {User | null} user
 */
function meet(user) {
  banner.worked('watch');
  if (!user) {
    if (phase === 'asking') enter('anonymous');
    return;
  }
  const isNew = user.sub !== sub;
  if (isNew) {
    forget(); // another tab may have logged in as another user
    banner.hide();
  }
  sub = user.sub;
  idp = user.bff.idp;
  showIdentity(user);
  sessionView.update(user.bff);
  expiring.update(user.bff);
  proofView.scan();
  if (!isNew) return;
  enter('signedin');
  everySecond();
  sessionView.note('This page asked the gateway who is logged in');
  void attempt(notesView.load);
  void attempt(devicesView.load);
  void attempt(vaultView.resume);
}

/**
 * What happens to the session while the page is open.
 * @param {import('/bff/client/bff-client.js').SessionEvent} event
 */
function hear(event) {
  if (event.type === 'link') sessionView.showLink(event.link);
  else if (event.type === 'ended') {
    if (phase !== 'asking') endSession(new SessionEnd(event.reason)); // after a logout by this page it is `asking`
  } else if (event.type !== 'logged_in' && phase === 'signedin') {
    if (event.type === 'refreshed') sessionView.refreshed(event);
    sessionView.update(event);
    if (event.type === 'expiring') expiring.show(event);
    else expiring.update(event);
    everySecond();
  }
}

/** @param {NotAuthenticatedError | SessionEnd} error */
function endSession(error) {
  if (isLeaving) return;
  forget();
  enter('anonymous');
  banner.show(error);
}

/** Removes all data of the user from the page. */
function forget() {
  visits.end();
  sub = null;
  caller.checked = false;
  element('flow-token-life', HTMLElement).textContent = '';
  clearIdentity();
  notesView.clear();
  vaultView.clear();
  devicesView.clear();
  expiring.hide();
  sessionView.clear();
}

/**
 * @param {unknown} error
 * @param {import('./views/problem.js').Origin} [origin]
 */
function showTrouble(error, origin) {
  if (!isLeaving) banner.show(error, origin);
}

/** @param {import('./views/problem.js').Origin} origin */
function retry(origin) {
  if (typeof origin === 'function') void attempt(origin);
  else watch.soon();
}

/**
 * Runs work that a click started, shows its error if it fails, and asks for the user document afterwards.
 * @param {() => Promise<void>} work
 */
async function attempt(work) {
  try {
    await work();
    banner.worked(work);
  } catch (error) {
    if (error instanceof VisitOver) return;
    if (error instanceof NotAuthenticatedError) endSession(error);
    else showTrouble(error, work);
  }
  if (phase === 'signedin') watch.soon();
}

/** Without `slide: false` the question for the user document extends the session. */
async function stay() {
  const user = await visits.during(client.user());
  if (user) meet(user);
}

async function callApi() {
  sessionView.showMe(await api.me());
}

function login() {
  loginWith(idp);
}

/** @param {string | undefined} chosen */
function loginWith(chosen) {
  isLeaving = true;
  client.login(chosen === undefined ? {} : { idp: chosen });
}

/** Until the gateway has answered, and if it does not, the one button logs in at the default provider. */
async function offerProviders() {
  try {
    providersView.show(await client.providers());
  } catch {
    // the page says elsewhere that the gateway can't be reached
  }
}

/**
 * @param {import('/bff/client/bff-client.js').StepUpRequiredError} error
 * @param {string} returnUrl
 */
function stepUp(error, returnUrl) {
  isLeaving = true;
  client.stepUp(error, { returnUrl });
}

async function logout() {
  isLeaving = true;
  try {
    const isLeft = await client.logout();
    forget(); // the browser may keep this page for its back button
    enter(isLeft ? 'asking' : 'anonymous');
    if (isLeft) return;
  } catch (error) {
    banner.show(error);
  }
  isLeaving = false;
}

/** @param {Phase} next */
function enter(next) {
  phase = next;
  if (next === 'anonymous') void offerProviders();
  else deviceLoginView.stop();
  arrange();
}

/**
 * Shows the sections that belong to this phase and route, and hides the others. A section says where
 * it belongs in an attribute for each phase: names of routes, or `any` for all but `missing`.
 */
function arrange() {
  const route = currentRoute();
  document.body.dataset['phase'] = phase;
  document.body.dataset['route'] = route;
  document.title = TITLES[route];
  for (const section of document.querySelectorAll('[data-asking], [data-anonymous], [data-signedin]')) {
    if (!(section instanceof HTMLElement)) continue;
    const routes = section.dataset[phase]?.split(' ') ?? [];
    section.hidden = !routes.includes(route) && !(routes.includes('any') && route !== 'missing');
  }
  for (const link of document.querySelectorAll('nav a[data-route]')) {
    if (link.getAttribute('data-route') === route) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  element('return-path', HTMLElement).textContent = location.pathname;
  element('returns', HTMLElement).hidden = route === 'overview';
}

/**
 * @param {HTMLElement} target
 * @param {string} className
 */
function flash(target, className) {
  target.classList.remove(className);
  void target.offsetWidth; // so that the animation starts anew
  target.classList.add(className);
  setTimeout(() => target.classList.remove(className), FLASH_MS);
}

function everySecond() {
  if (phase !== 'signedin') return;
  sessionView.tick();
  expiring.tick();
  element('flow-token-life', HTMLElement).textContent = sessionView.tokenLife();
}

element('login', HTMLButtonElement).addEventListener('click', login);
element('device-login', HTMLButtonElement).addEventListener('click', deviceLoginView.start);
element('logout', HTMLButtonElement).addEventListener('click', logout);
element('call-me', HTMLButtonElement).addEventListener('click', () => attempt(callApi));
element('proof-again', HTMLButtonElement).addEventListener('click', proofView.scan);
addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  showTrouble(event.reason);
});
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  isLeaving = false;
  watch.soon(); // the page came back from the browser's back/forward cache
});
document.addEventListener('visibilitychange', () => {
  if (phase === 'signedin' && !document.hidden) void attempt(devicesView.load);
});
setInterval(everySecond, 1000);
setInterval(() => {
  if (caller.checked && phase === 'signedin' && !document.hidden) void attempt(callApi);
}, CALL_EVERY_MS);

startRouter(() => {
  arrange();
  if (phase === 'signedin') void attempt(devicesView.load);
  proofView.scan();
  element('main', HTMLElement).focus();
  scrollTo(0, 0);
});
arrange();
proofView.scan();
watch.start();
