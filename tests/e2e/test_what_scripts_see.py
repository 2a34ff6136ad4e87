"""The first promise, checked in a real browser: no token, code or usable session id is anywhere
that a script of the page, an extension of its storage or a later request could find it."""

import re
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

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
