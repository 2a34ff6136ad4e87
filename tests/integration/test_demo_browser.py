"""The test browser's own rules: if its jar were lax, tests of SameSite would prove nothing."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.parts.browser import Browser, fetch_site
from tests.parts.browser_cookies import CookieRejected, Jar, parse_set_cookie
from tests.parts.servers import free_port, serving

APP = "http://localhost:8080"
OP = "http://127.0.0.1:9000"


class Clock:
    now = 1000.0


@pytest.fixture
def jar() -> Jar:
    return Jar(lambda: Clock.now)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("novalue", "no name"),
        ("=x", "no name"),
        ("a=1; Domain=example.test", "another domain"),
        ("a=1; SameSite=None", "SameSite=None"),
        ("__Secure-a=1", "__Secure-"),
        ("__Host-a=1; Path=/", "__Host-"),
        ("__Host-a=1; Secure", "__Host-"),
        ("__Host-a=1; Secure; Path=/x", "__Host-"),
        ("__Host-a=1; Secure; Path=/; Domain=localhost", "__Host-"),
        ("__host-a=1; Path=/", "__Host-"),
        ("__Host-Http-a=1; Secure; Path=/", "HttpOnly"),
        ("a=" + "x" * 4096, "4096"),
    ],
)
def test_cookies_that_a_browser_drops(jar: Jar, header: str, reason: str) -> None:
    """RFC 6265bis sections 4.1.3 and 5.7; the jar notes why, so that a test can assert on it."""
    jar.store(f"{APP}/", header)
    assert list(jar) == []
    assert reason in jar.rejected[0]


@pytest.mark.parametrize(
    "header",
    [
        "__Host-a=1; Secure; Path=/",
        "__Host-Http-a=1; Secure; Path=/; HttpOnly; SameSite=Strict",
        "a=1; Domain=localhost",
        "a=1; Domain=.localhost",
    ],
)
def test_cookies_that_a_browser_keeps_on_loopback_http(jar: Jar, header: str) -> None:
    """Chromium takes Secure cookies on http://localhost."""
    jar.store(f"{APP}/", header)
    assert jar.rejected == []
    assert jar.header(f"{APP}/", same_site=True, top_level_get=True)


def test_secure_cookies_do_not_travel_over_plain_http() -> None:
    """RFC 6265bis section 5.7: not stored from, nor sent to, an insecure origin."""
    with pytest.raises(CookieRejected, match="insecure"):
        parse_set_cookie("http://app.test/", "a=1; Secure", 0)
    jar = Jar()
    jar.store("https://app.test/", "a=1; Secure")
    assert jar.header("http://app.test/", same_site=True, top_level_get=True) is None


@pytest.mark.parametrize(
    ("attribute", "same_site", "top_level_get", "sent"),
    [
        ("Strict", True, False, True),
        ("Strict", False, True, False),
        ("Strict", False, False, False),
        ("Lax", True, False, True),
        ("Lax", False, True, True),
        ("Lax", False, False, False),
        ("Nonsense", False, False, False),
        ("None; Secure", False, False, True),
    ],
)
def test_same_site_decides_what_is_sent(
    jar: Jar, attribute: str, same_site: bool, top_level_get: bool, sent: bool
) -> None:
    """RFC 6265bis section 5.8.3; without a known value the cookie is Lax."""
    jar.store(f"{APP}/", f"a=1; SameSite={attribute}")
    header = jar.header(f"{APP}/", same_site=same_site, top_level_get=top_level_get)
    assert (header == "a=1") is sent


def test_cookies_know_hosts_and_paths_but_no_ports(jar: Jar) -> None:
    """RFC 6265bis section 8.5: cookies are not isolated by port."""
    jar.store(f"{APP}/", "deep=1; Path=/bff")
    jar.store(f"{APP}/", "wide=2; Path=/")

    def sent(url: str) -> str | None:
        return jar.header(url, same_site=True, top_level_get=True)

    assert sent("http://localhost:9999/bff/user") == "deep=1; wide=2"
    assert sent("http://localhost:9999/bffx") == "wide=2"
    assert sent(f"{OP}/bff") is None


def test_a_deletion_must_match_what_was_set(jar: Jar) -> None:
    """RFC 6265bis section 5.7: name, host and path identify a cookie; a broken deletion is none."""
    jar.store(f"{APP}/", "__Host-a=1; Secure; Path=/")
    jar.store(f"{APP}/", "__Host-a=; Max-Age=0; Path=/")
    assert jar.get("__Host-a") == "1"
    jar.store(f"{APP}/", "__Host-a=; Max-Age=0; Path=/; Secure")
    assert jar.get("__Host-a") is None


@pytest.mark.parametrize("how", ["Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"])
def test_both_ways_of_expiring_work(jar: Jar, how: str) -> None:
    """RFC 6265bis section 5.6.1 and 5.6.2."""
    jar.store(f"{APP}/", "a=1")
    jar.store(f"{APP}/", f"a=; {how}")
    assert list(jar) == []


@pytest.mark.parametrize(
    ("initiator", "chain", "expected"),
    [
        (None, [f"{APP}/", f"{OP}/x", f"{APP}/"], "none"),
        (APP, [f"{APP}/a", f"{APP}/b"], "same-origin"),
        ("http://localhost:1", [f"{APP}/a"], "same-site"),
        (OP, [f"{APP}/a"], "cross-site"),
        (APP, [f"{APP}/a", f"{OP}/b", f"{APP}/c"], "cross-site"),
        (APP, [f"{APP}/a", "http://localhost:1/b", f"{APP}/c"], "same-site"),
        (APP, ["https://localhost:8080/a"], "cross-site"),
    ],
)
def test_fetch_site_is_the_worst_relation_of_the_chain(
    initiator: str | None, chain: list[str], expected: str
) -> None:
    """Fetch Metadata section 2.3: over every URL of the request, not the last alone."""
    assert fetch_site(initiator, chain) == expected


# --- the browser over sockets


@pytest.fixture
async def two_sites() -> AsyncIterator[tuple[str, str]]:
    """The origins of an application that sets cookies and of a site that redirects to it."""
    app_port, other_port = free_port(), free_port()
    app_origin, other = f"http://localhost:{app_port}", f"http://127.0.0.1:{other_port}"

    async def start(_request: web.Request) -> web.Response:
        response = web.Response(text='<form id="f" method="post" action="/show"></form>')
        response.content_type = "text/html"
        response.set_cookie("strict", "1", samesite="Strict")
        response.set_cookie("lax", "1", samesite="Lax")
        return response

    async def show(request: web.Request) -> web.Response:
        names = ("Cookie", "Origin", "X-CSRF", "Sec-Fetch-Site", "Sec-Fetch-Mode")
        return web.json_response({name: request.headers.get(name) for name in names})

    async def away(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{other}/back")

    async def back(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{app_origin}/show")

    async def form(_request: web.Request) -> web.Response:
        text = f'<form id="f" method="post" action="{app_origin}/show"></form>'
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", start), web.get("/away", away)])
    app.add_routes([web.get("/show", show), web.post("/show", show)])
    elsewhere = web.Application()
    elsewhere.add_routes([web.get("/back", back), web.get("/form", form)])
    async with serving(app, app_port), serving(elsewhere, other_port):
        yield app_origin, other


@pytest.mark.parametrize(("chain_counts", "cookies"), [(True, "lax=1"), (False, "strict=1; lax=1")])
async def test_strict_cookies_and_a_redirect_through_another_site(
    two_sites: tuple[str, str], chain_counts: bool, cookies: str
) -> None:
    """RFC 6265bis section 5.2 counts the redirect chain; Chromium looks at the initiator only."""
    app, _ = two_sites
    async with Browser(chain_counts=chain_counts) as browser:
        await browser.navigate(f"{app}/")
        seen = (await browser.click("/away")).json()
        assert seen["Cookie"] == cookies
        assert seen["Sec-Fetch-Site"] == "cross-site"


async def test_a_page_of_another_site_sends_no_strict_cookie(two_sites: tuple[str, str]) -> None:
    """RFC 6265bis section 5.2: Lax goes along with a GET only, Strict never."""
    app, other = two_sites
    async with Browser(chain_counts=False) as browser:
        await browser.navigate(f"{app}/")
        linked = await browser.navigate(f"{app}/show", initiator=other)
        assert linked.json()["Cookie"] == "lax=1"
        form = (await browser.navigate(f"{other}/form")).form("f")
        posted = (await browser.submit(form)).json()
        assert posted["Cookie"] is None
        assert posted["Origin"] == other
        typed = await browser.navigate(f"{app}/show")
        assert typed.json()["Cookie"] == "strict=1; lax=1"


async def test_fetch_looks_like_a_script_of_the_page(two_sites: tuple[str, str]) -> None:
    """The headers that the gateway's guard reads, and the one that only a script can set."""
    app, _ = two_sites
    async with Browser() as browser:
        await browser.navigate(f"{app}/")
        got = (await browser.fetch("GET", "/show")).json()
        assert got == {
            "Cookie": "strict=1; lax=1",
            "Origin": None,
            "X-CSRF": "1",
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
        }
        posted = (await browser.fetch("POST", "/show", json={}, csrf=False)).json()
        assert (posted["Origin"], posted["X-CSRF"]) == (app, None)
