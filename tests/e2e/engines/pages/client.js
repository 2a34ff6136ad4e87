/** A page with nothing but the browser client, for the scripts of the tests; it keeps what happens. */

import { createClient } from '/bff/client/bff-client.js';

window.bff = createClient();
window.sessionEvents = [];
window.bff.onSession((event) => window.sessionEvents.push(event));
document.getElementById('ready').hidden = false;
