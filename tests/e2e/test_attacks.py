"""What pages of other origins try on a user who is logged in, in the same browser.

Three attackers: another site; the same host in plain http, which to a browser is another site too;
and a sibling (https, same host, another port), to whom even Strict cookies are sent. After each
test the session is alive, the notes are as before, and the attacker has learnt nothing.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import get_args

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.e2e.attacker import Attacker, Relation
from tests.e2e.conftest import new_visitor
from tests.e2e.installation import SESSION_COOKIE, Installation
from tests.e2e.visitor import Visitor
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")

SIBLING: Relation = "a sibling origin"


@dataclass(frozen=True, slots=True)
class Victim:
    """Logged in as alice in `page`. `evil` is the attacker's origin, `app` the application's."""

    visitor: Visitor
    page: Page
    installation: Installation
    relation: Relation
    evil: str

    @property
    def app(self) -> str:
        return self.installation.public_url

    @property
    def is_sibling(self) -> bool:
        return self.relation == SIBLING

    async def visit_attacker(self) -> Page:
        page = await self.visitor.context.new_page()
        await page.goto(self.evil)
        return page

    def refusals(self) -> list[str]:
        """The codes of all the gateway has refused up to now, from its log."""
        lines = self.installation.gateway.log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event["code"] for event in events if event["event"] == "refused"]


@pytest_asyncio.fixture(scope="module", loop_scope="package", params=get_args(Relation))
async def logged_in(
    request: pytest.FixtureRequest,
    chromium: Browser,
    installation: Installation,
    attacker: Attacker,
) -> AsyncIterator[Victim]:
    relation: Relation = request.param
    async with new_visitor(chromium, installation) as visitor:
        page = await visitor.log_in("alice", "/proof")
        yield Victim(visitor, page, installation, relation, attacker.origins[relation])


@pytest_asyncio.fixture(loop_scope="package")
async def victim(logged_in: Victim) -> AsyncIterator[Victim]:
    """Before and after an attack everything is the same."""
    visitor, page = logged_in.visitor, logged_in.page
    cookie, notes = await visitor.session_cookie(), await visitor.notes(page)
    yield logged_in
    assert await visitor.session_cookie() == cookie
    assert await visitor.fetch_status(page, "/bff/user") == 200
    assert await visitor.notes(page) == notes
    for other in visitor.context.pages:
        if other is not page:
            await other.close()


@dataclass(frozen=True, slots=True)
class Attack:
    """A script of the attacker's page: from the application's origin to what the script learnt.

    `refusal` is how the gateway refuses it from a sibling, `without_cookie` from elsewhere.
    """

    name: str
    script: str
    learnt: str
    refusal: str
    without_cookie: str


def _fetch(path: str, init: str) -> str:
    return f"""async (app) => {{
      try {{
        const answer = await fetch(app + '{path}', {{ credentials: 'include', {init} }});
        return answer.type + (await answer.text());
      }} catch {{ return 'blocked'; }}
    }}"""


def _element(tag: str, path: str) -> str:
    return f"""(app) => new Promise((resolve) => {{
      const made = document.createElement('{tag}');
      made.onload = () => resolve('loaded');
      made.onerror = () => resolve('blocked');
      made.src = app + '{path}';
      document.head.append(made);
    }})"""


def _stream(path: str) -> str:
    return f"""(app) => new Promise((resolve) => {{
      const stream = new EventSource(app + '{path}', {{ withCredentials: true }});
      stream.onopen = () => resolve('open');
      stream.onerror = () => {{ stream.close(); resolve('blocked'); }};
    }})"""


def _link(rel: str, path: str, kind: str = "") -> str:
    """A hint to fetch ahead. What becomes of it is told to no page: only our log knows."""
    return f"""(app) => {{
      const link = document.createElement('link');
      Object.assign(link, {{ rel: '{rel}', href: app + '{path}', as: '{kind}' }});
      document.head.append(link);
      return 'hinted';
    }}"""


def _module(path: str) -> str:
    return f"(app) => import(app + '{path}').then(() => 'loaded', () => 'blocked')"


def _ping(path: str) -> str:
    return f"""(app) => {{
      const link = document.createElement('a');
      Object.assign(link, {{ ping: app + '{path}', href: '#x' }});
      document.body.append(link);
      link.click();
      return 'sent';
    }}"""


_NOTE = """{"text":"planted"}"""
_IN_CORS = "headers: { 'X-CSRF': '1' }"
_BEACON = f"""(app) => navigator.sendBeacon(app + '/api/notes', '{_NOTE}') && 'sent'"""
_POST = f"method: 'POST', mode: 'no-cors', body: '{_NOTE}'"
CROSS, ANONYMOUS = "csrf_cross_site", "not_authenticated"
METHOD, NAVIGATION = "method_not_allowed", "navigation_required"

ATTACKS = [
    Attack("fetch user", _fetch("/bff/user", ""), "blocked", CROSS, CROSS),
    Attack("fetch user with our header", _fetch("/bff/user", _IN_CORS), "blocked", METHOD, METHOD),
    Attack(
        "fetch notes with our header", _fetch("/api/notes", _IN_CORS), "blocked", METHOD, METHOD
    ),
    Attack("fetch notes", _fetch("/api/notes", ""), "blocked", CROSS, ANONYMOUS),
    Attack("post a note", _fetch("/api/notes", _POST), "blocked", CROSS, ANONYMOUS),
    Attack("beacon a note", _BEACON, "sent", CROSS, ANONYMOUS),
    Attack(
        "post a logout",
        _fetch("/bff/logout", "method: 'POST', mode: 'no-cors'"),
        "blocked",
        CROSS,
        CROSS,
    ),
    Attack("user as a script", _element("script", "/bff/user"), "blocked", CROSS, CROSS),
    Attack("notes as a script", _element("script", "/api/notes"), "blocked", CROSS, ANONYMOUS),
    Attack("notes as an image", _element("img", "/api/notes"), "blocked", CROSS, ANONYMOUS),
    Attack("events as a stream", _stream("/bff/events"), "blocked", CROSS, CROSS),
    Attack("notes as a stream", _stream("/api/notes"), "blocked", CROSS, ANONYMOUS),
    Attack("prefetch notes", _link("prefetch", "/api/notes"), "hinted", CROSS, ANONYMOUS),
    Attack("prefetch user", _link("prefetch", "/bff/user"), "hinted", CROSS, CROSS),
    Attack("prefetch a login", _link("prefetch", "/bff/login"), "hinted", NAVIGATION, NAVIGATION),
    Attack("preload notes", _link("preload", "/api/notes", "image"), "hinted", CROSS, ANONYMOUS),
    Attack("notes as a style sheet", _link("stylesheet", "/api/notes"), "hinted", CROSS, ANONYMOUS),
    Attack("notes as a module", _module("/api/notes"), "blocked", ANONYMOUS, ANONYMOUS),
    Attack("notes as a video", _element("video", "/api/notes"), "blocked", CROSS, ANONYMOUS),
    Attack("ping a note", _ping("/api/notes"), "sent", CROSS, ANONYMOUS),
    Attack("ping a logout", _ping("/bff/logout"), "sent", CROSS, CROSS),
    Attack(
        "delete a session", _fetch("/bff/sessions", "method: 'DELETE'"), "blocked", METHOD, METHOD
    ),
    Attack(
        "login as an image",
        _element("img", "/bff/login"),
        "blocked",
        NAVIGATION,
        NAVIGATION,
    ),
]


@pytest.mark.rule("CS-04")
@pytest.mark.rule("CS-05")
@pytest.mark.rule("CS-09")
@pytest.mark.rule("SE-11")
async def test_no_subresource_of_another_origin_does_or_shows_anything(victim: Victim) -> None:
    """Each of them arrives, is refused by the gateway, and the attacker cannot even read that."""
    page = await victim.visit_attacker()
    outcomes = {}
    for attack in ATTACKS:
        earlier = len(victim.refusals())
        learnt = await page.evaluate(attack.script, victim.app)
        await until(lambda known=earlier: len(victim.refusals()) > known)  # type: ignore[misc]
        outcomes[attack.name] = (learnt, *victim.refusals()[earlier:])
    assert outcomes == {
        attack.name: (
            attack.learnt,
            attack.refusal if victim.is_sibling else attack.without_cookie,
        )
        for attack in ATTACKS
    }


@pytest.mark.rule("CS-06")
@pytest.mark.rule("CS-09")
async def test_a_logout_image_logs_no_user_out(victim: Victim) -> None:
    """GET logout wants the `sid` of the session; without the cookie there is nothing to end. The
    answer is kept from the attacker's page (Cross-Origin-Resource-Policy)."""
    page = await victim.visit_attacker()
    async with page.expect_event("requestfailed") as failing:
        assert await page.evaluate(_element("img", "/bff/logout"), victim.app) == "blocked"
    failed = await failing.value
    assert failed.url == f"{victim.app}/bff/logout"
    assert failed.failure == "net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin"


NAVIGATIONS = {
    "form logout": ("POST", "/bff/logout"),
    "form note": ("POST", "/api/notes"),
    "link logout": ("GET", "/bff/logout"),
    "link user": ("GET", "/bff/user"),
    "link notes": ("GET", "/api/notes"),
}
NAVIGATE = f"""([method, address]) => {{
  if (method === 'GET') {{ location.href = address; return; }}
  const form = document.createElement('form');
  Object.assign(form, {{ method, action: address, enctype: 'text/plain' }});
  const field = document.createElement('input');
  Object.assign(field, {{ name: '{_NOTE[:-1]},"x":"', value: '"}}' }});
  form.append(field);
  document.body.append(form);
  form.submit();
}}"""


@pytest.mark.rule("CS-05")
@pytest.mark.rule("CS-06")
@pytest.mark.parametrize(("method", "path"), NAVIGATIONS.values(), ids=NAVIGATIONS)
async def test_a_link_or_form_of_another_origin_does_nothing(
    victim: Victim, method: str, path: str
) -> None:
    """Also a top-level navigation, to which a sibling's browser adds the Strict cookie."""
    page = await victim.visit_attacker()
    async with page.expect_response(victim.app + path) as answered:
        await page.evaluate(NAVIGATE, [method, victim.app + path])
    answer = await answered.value
    sent = (await answer.request.all_headers()).get("cookie", "")
    assert (f"{SESSION_COOKIE}=" in sent) == victim.is_sibling
    if (method, path) == ("GET", "/bff/logout") and not victim.is_sibling:
        assert answer.status == 303  # no user is logged in here, as far as this request says
        await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
    else:
        assert answer.status in (401, 403)
        await expect(page.get_by_role("heading")).to_be_visible()


@pytest.mark.rule("HD-02")
async def test_nothing_of_ours_can_be_framed(victim: Victim) -> None:
    """`frame-ancestors 'none'`, on the application and on the gateway's own pages."""
    page = await victim.visit_attacker()
    for path in ("/", "/bff/login", "/bff/logout", "/bff/nothing"):
        script = _element("iframe", path).replace("document.head", "document.body")
        await page.evaluate(script, victim.app)
    frames = page.main_frame.child_frames
    assert len(frames) == 4
    await until(lambda: {frame.url for frame in frames} == {"chrome-error://chromewebdata/"})


@pytest.mark.rule("HD-02")
async def test_an_opener_keeps_no_hold_of_the_application(victim: Victim) -> None:
    """Cross-Origin-Opener-Policy: the opener's reference is cut, `postMessage` and frame counting
    with it."""
    page = await victim.visit_attacker()
    script = "(app) => { window.opened = open(app + '/'); }"
    async with victim.visitor.context.expect_page() as opening:
        await page.evaluate(script, victim.app)
    opened = await opening.value
    await expect(opened.get_by_test_id("user-sub")).to_have_text("alice")
    assert await page.evaluate("() => window.opened.closed")
    assert await opened.evaluate("() => window.opener") is None


@pytest.mark.rule("CS-07")
async def test_no_websocket_from_another_origin(victim: Victim) -> None:
    """RFC 6455 section 10.2: the handshake carries the sibling's cookie, and is refused."""
    page = await victim.visit_attacker()
    earlier = len(victim.refusals())
    script = """(app) => new Promise((resolve) => {
      const socket = new WebSocket(app.replace('https:', 'wss:') + '/api/stream');
      socket.onopen = () => resolve('open');
      socket.onerror = () => resolve('refused');
    })"""
    assert await page.evaluate(script, victim.app) == "refused"
    await until(lambda: len(victim.refusals()) > earlier)


@pytest.mark.rule("CK-05")
async def test_no_script_sets_or_deletes_the_session_cookie(victim: Victim) -> None:
    """Browsers refuse the `__Host-Http-` prefix to scripts, the application's own included. The
    port does not separate cookies: without the prefix a sibling would succeed, as here."""
    page = await victim.visit_attacker()
    for writer in (page, victim.page):
        for ending in ("", "; Max-Age=0"):
            attributes = f"Path=/; Secure; SameSite=Strict{ending}"
            await writer.evaluate(f"document.cookie = '{SESSION_COOKIE}=planted; {attributes}'")
    if victim.is_sibling:
        await page.evaluate("document.cookie = 'planted=1; Path=/; Secure'")
        assert await victim.page.evaluate("document.cookie") == "planted=1"
        await page.evaluate("document.cookie = 'planted=; Path=/; Secure; Max-Age=0'")
