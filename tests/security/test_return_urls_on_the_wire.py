"""Return URLs through a running gateway: at the login, a silent one, and the logout; the browser is
sent to a path of the application or to `/`, never away (RFC 9700 section 4.11.1)."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from tests.parts.scripted_op import ScriptedOp
from tests.security import corpus_return_urls
from tests.security.scripted_installation import (
    LIMITS,
    ORIGIN,
    ScriptedInstallation,
    Visitor,
    code_of,
    location_of,
    scripted_installation,
)

AWAY = [url for entries in corpus_return_urls.GO_HOME.values() for url in entries]
SENDABLE = [url for url in AWAY if url.isprintable() and all(ord(char) < 256 for char in url)]


@pytest.fixture
async def installation() -> AsyncIterator[ScriptedInstallation]:
    async with scripted_installation() as running:
        yield running


HOME_TOLD = "/?bff_error=login_required"


async def silently(visitor: Visitor, query: str, *lines: str) -> str:
    """Where a silent login ends that the OP can't do without the user."""
    state = await visitor.start(f"prompt=none{query}", *lines)
    reply = await visitor.come_back(state, error="login_required")
    assert reply.status == 302
    return location_of(reply)


def encoded(url: str) -> str:
    return quote(url, safe="", errors="surrogatepass")


def is_no_parameter(url: str) -> bool:
    """With bytes that no query holds, or escapes that are not UTF-8."""
    return "#" in url or not url.isascii() or "%c0" in url


def is_text(url: str) -> bool:
    return all(not 0xD800 <= ord(char) < 0xE000 for char in url)


@pytest.mark.rule("AZ-12")
@pytest.mark.rule("CVE-2020-5233")
@pytest.mark.rule("CVE-2022-23527")
async def test_a_silent_login_never_leads_away(installation: ScriptedInstallation) -> None:
    """Under both names of the parameter; and whatever else a parameter may be called."""
    found = {}
    visitor = installation.visitor
    for url in filter(is_text, AWAY):
        for name in ("returnUrl", "return_to", "rd", "redirect_uri"):
            found[name, url] = await silently(visitor, f"&{name}={encoded(url)}")
        found["twice", url] = await silently(visitor, f"&returnUrl={encoded(encoded(url))}")
    assert {key: where for key, where in found.items() if where != HOME_TOLD} == {}
    assert len(found) > 900


@pytest.mark.rule("AZ-12")
async def test_a_return_url_that_is_no_text_starts_no_login(
    installation: ScriptedInstallation,
) -> None:
    for url in ("%ED%A0%80", "%ff", "/%C0%AF", "/%80", "%fe%ff%00/"):
        reply = await installation.visitor.get(f"/bff/login?returnUrl={url}")
        assert (reply.status, code_of(reply)) == (400, "bad_request")
    assert installation.op.count("token") == 0


@pytest.mark.rule("AZ-12")
async def test_an_unencoded_return_url_never_leads_away(installation: ScriptedInstallation) -> None:
    """As a page writes it into a link: it is no parameter, or the login ends at home."""
    visitor = installation.visitor
    refused = 0
    for url in (url for url in SENDABLE if " " not in url):
        reply = await visitor.get(f"/bff/login?prompt=none&returnUrl={url}")
        refused += reply.status == 400
        if reply.status != 400:
            (state,) = parse_qs(urlsplit(location_of(reply)).query)["state"]
            back = await visitor.come_back(state, error="login_required")
            kept = ORIGIN + unquote(url)
            told = f"{kept}{'&' if '?' in kept else '?'}bff_error=login_required"
            assert location_of(back) in (HOME_TOLD, told), url
    assert refused == len([url for url in SENDABLE if " " not in url and is_no_parameter(url)])


@pytest.mark.rule("AZ-12")
@pytest.mark.rule("CVE-2022-24794")
async def test_where_a_browser_comes_from_is_not_where_it_is_sent(
    installation: ScriptedInstallation,
) -> None:
    """Nothing is derived from Referer, Origin or the forwarded headers."""
    visitor = installation.visitor
    for url in SENDABLE:
        for name in ("Referer", "Origin", "X-Original-URL", "X-Forwarded-Uri"):
            assert await silently(visitor, "", f"{name}: {url}") == HOME_TOLD, (name, url)


@pytest.mark.rule("AZ-12")
async def test_a_full_login_ends_in_the_application(installation: ScriptedInstallation) -> None:
    """The code is redeemed, the session made, and the browser sent home or where it may go."""
    visitor = installation.visitor
    wanted = {**dict.fromkeys(SENDABLE, "/"), **corpus_return_urls.KEPT}
    for url, where in wanted.items():
        reply = await visitor.come_back(await visitor.start(f"returnUrl={encoded(url)}"))
        assert (reply.status, location_of(reply)) == (302, where), url
        assert len(reply.values(b"set-cookie")) == 1
    assert len(await installation.sessions()) == 1  # each login ends the one before


@pytest.mark.rule("AZ-12")
@pytest.mark.rule("CVE-2021-29456")
@pytest.mark.rule("CVE-2020-5233")
async def test_a_logout_leads_to_the_op_or_home(installation: ScriptedInstallation) -> None:
    """There is no parameter that names another place, with a session or without one."""
    visitor, op = installation.visitor, installation.op
    for name in ("returnUrl", "return_to", "post_logout_redirect_uri", "redirect_uri", "state"):
        for url in filter(is_text, AWAY):
            reply = await visitor.get(f"/bff/logout?{name}={encoded(url)}")
            assert (reply.status, location_of(reply)) == (303, "/"), (name, url)
    for url in (url for url in AWAY[::16] if len(url) < 1000):
        await visitor.log_in()
        user = await visitor.get("/bff/user")
        logout_url = user.body.decode().partition('"logout_url": "')[2].partition('"')[0]
        referer = f"Referer: {url}" if url in SENDABLE else "Referer: https://evil.example/"
        more = f"&returnUrl={encoded(url)}&post_logout_redirect_uri={encoded(url)}"
        reply = await visitor.get(logout_url + (more if is_text(url) else ""), referer)
        assert reply.status == 303
        where = location_of(reply)
        assert where.startswith(f"{op.issuer}/logout?"), where
        assert f"post_logout_redirect_uri={quote(ORIGIN + '/', safe='')}" in where
        assert where.count("post_logout_redirect_uri") == 1
        assert "evil" not in where


ANY_PAGE = f"""{LIMITS}
[session]
logout_return_paths = ["/"]
"""


@pytest.mark.rule("AZ-12")
async def test_a_logout_may_name_what_a_login_may_name() -> None:
    """One rule for both, here at an OP that has no logout page of its own."""

    def without_logout(op: ScriptedOp) -> None:
        op.metadata_changes = {"end_session_endpoint": None}

    async with scripted_installation(prepare=without_logout, limits=ANY_PAGE) as installation:
        visitor = installation.visitor
        for url, where in {**dict.fromkeys(AWAY[::8], "/"), **corpus_return_urls.KEPT}.items():
            if not is_text(url):
                continue
            await visitor.log_in()
            user = await visitor.get("/bff/user")
            logout_url = user.body.decode().partition('"logout_url": "')[2].partition('"')[0]
            reply = await visitor.get(f"{logout_url}&returnUrl={encoded(url)}")
            assert (reply.status, location_of(reply)) == (303, where), url
            assert len(reply.values(b"set-cookie")) == 1, "there is nothing to keep"


@pytest.mark.rule("AZ-12")
async def test_a_return_from_the_op_leads_to_what_a_login_may_name() -> None:
    async with scripted_installation(limits=ANY_PAGE) as installation:
        visitor, op = installation.visitor, installation.op
        back = quote(f"{ORIGIN}/bff/logged-out", safe="")
        for url, where in {**dict.fromkeys(AWAY[::8], "/"), **corpus_return_urls.KEPT}.items():
            if not is_text(url):
                continue
            await visitor.log_in()
            user = await visitor.get("/bff/user")
            logout_url = user.body.decode().partition('"logout_url": "')[2].partition('"')[0]
            reply = await visitor.get(f"{logout_url}&returnUrl={encoded(url)}")
            assert location_of(reply).startswith(f"{op.issuer}/logout?"), url
            assert f"post_logout_redirect_uri={back}&" in f"{location_of(reply)}&"
            reply = await visitor.get("/bff/logged-out")
            assert (reply.status, location_of(reply)) == (303, where), url
            assert "__Host-Http-bff-logout" not in visitor.cookies
