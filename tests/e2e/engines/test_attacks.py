"""What pages of other origins try on a user who is logged in, in every engine. On loopback in
plain http a page of another port is of the same site, so that even Strict cookies are sent."""

import pytest

from tests.e2e.attacker import Attacker, Relation
from tests.e2e.engines.person import Person
from tests.e2e.engines.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

# Each is tried to its end. Without a referrer and from a sandbox `Origin` is `null`, as it is for
# the calls of the app itself in two of the engines.
TRIES = """
  const [app] = args, target = app + '/api/test/seen', learnt = [];
  const send = (how) => fetch(target, { method: 'POST', credentials: 'include', body: 'x', ...how })
    .then((answer) => answer.text())
    .then((text) => learnt.push(text), () => learnt.push(''));
  await send({ mode: 'no-cors' });
  await send({ mode: 'no-cors', referrerPolicy: 'no-referrer' });
  await send({ headers: { 'X-CSRF': '1' } });
  await send({ headers: { 'X-CSRF': '1' }, referrerPolicy: 'no-referrer' });

  const framed = (attributes, fill) => new Promise((done) => {
    const frame = document.createElement('iframe');
    Object.assign(frame, attributes);
    const limit = setTimeout(done, 3000); // a frame that may not be shown need not load
    frame.onload = () => { if (fill?.()) return; clearTimeout(limit); done(); };
    document.body.append(frame);
  });
  for (const policy of ['', 'no-referrer']) {
    for (const path of ['/api/test/seen', '/bff/logout']) {
      const form = document.createElement('form');
      Object.assign(form, { method: 'POST', action: app + path, target: 'frame' + policy });
      const meta = document.createElement('meta');
      Object.assign(meta, { name: 'referrer', content: policy || 'origin' });
      document.head.append(meta);
      document.body.append(form);
      let isSubmitted = false;
      await framed({ name: 'frame' + policy, src: 'about:blank' }, () => {
        if (isSubmitted) return false;
        isSubmitted = true;
        form.submit();
        return true;
      });
      document.querySelector('iframe').remove();
    }
  }
  const heard = new Promise((done) => addEventListener('message', done, { once: true }));
  await framed({ sandbox: 'allow-scripts', srcdoc: `<script>
    fetch('${target}', { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x' })
      .then(() => 0, () => 0).then(() => parent.postMessage('tried', '*'));
  </` + 'script>' });
  await heard;
  for (const path of ['/api/test/seen', '/bff/login', '/bff/logout']) {
    await new Promise((done) => {
      Object.assign(new Image(), { onload: done, onerror: done, src: app + path });
    });
  }
  learnt.push(await new Promise((done) => {
    const socket = new WebSocket(app.replace('http', 'ws') + '/api/test/socket');
    socket.onopen = () => done('open');
    socket.onerror = () => done('');
  }));
  learnt.push(await new Promise((done) => {
    const source = new EventSource(app + '/bff/events', { withCredentials: true });
    source.onopen = () => done('open');
    source.onerror = () => { source.close(); done(''); };
  }));
  return learnt.join('');
"""


@pytest.mark.rule("CS-05")
@pytest.mark.parametrize("relation", ["another site", "the same host in plain http"])
async def test_another_origin_reaches_no_api_and_ends_nothing(
    at_http: Person, attacker: Attacker, upstream: Upstream, relation: Relation
) -> None:
    await at_http.log_in("alice")
    client = await at_http.open_client()
    upstream.arrived.clear()
    await client.run("await bff.fetch('/api/test/seen', { method: 'POST' });")
    assert upstream.arrived == ["POST /seen"]
    evil = await at_http.open()
    await evil.open(attacker.origins[relation])
    assert await evil.run(TRIES, at_http.site.public_url) == ""
    assert upstream.arrived == ["POST /seen"]
    assert (await client.run("return bff.user();"))["sub"] == "alice"
