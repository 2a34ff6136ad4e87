"""Several applications behind one gateway: none has any use for what is another's."""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from bff.cli.sessions import _rows, table
from bff.oidc.jwt.logout_token import LOGOUT_EVENT
from tests.parts.servers import free_port
from tests.polling import until
from tests.security.kept_connection import kept_connection
from tests.security.scripted_installation import code_of, location_of
from tests.security.three_frontends import (
    BASES,
    COOKIES,
    HOSTS,
    NAMES,
    ThreeFrontends,
    three_frontends,
)

PAIRS = list(itertools.permutations(NAMES, 2))


@pytest.fixture
async def there() -> AsyncIterator[ThreeFrontends]:
    async with three_frontends() as running:
        yield running


async def log_all_in(there: ThreeFrontends, sid: str | None = "s1") -> None:
    there.ops["corp"].id_token_changes = {"sid": sid, "email": "a@example.test", "name": "Alice"}
    for visitor in there.visitors.values():
        await visitor.log_in()


def logout_token(there: ThreeFrontends, **changes: object) -> str:
    op = there.ops["corp"]
    claims = {"nonce": None, "jti": "j1", "events": {LOGOUT_EVENT: {}}, "sid": None, **changes}
    return op.keys[0].sign(op.id_token_claims(**claims), typ="logout+jwt")


# --- which one it is


@pytest.mark.rule("FE-01")
@pytest.mark.parametrize("lines", [(), ("X-Forwarded-Host: shop.example",)])
async def test_an_unknown_host_is_refused_before_anything_is_asked(
    there: ThreeFrontends, lines: tuple[str, ...]
) -> None:
    """RFC 9110 section 15.5.20. The session cookie and the login are those of a known host."""
    shop = there.visitors["shop"]
    await shop.log_in()
    asked = len(there.ops["corp"].received), len(there.upstream.received)
    store = there.gateway._core.store
    await store.close()  # from here on it answers no question
    for target in ("/", "/api/x", "/bff/user", "/bff/login", "/bff/callback/corp?state=x&code=y"):
        reply = await shop.ask("GET", target, *lines, host="other.example")
        assert (reply.status, code_of(reply)) == (421, "misdirected_host"), target
        assert reply.values(b"set-cookie") == []
    assert asked == (len(there.ops["corp"].received), len(there.upstream.received))
    assert 'code="misdirected_host",frontend="none"' in await there.admin.metrics()


@pytest.mark.rule("FE-01")
@pytest.mark.parametrize(
    ("said", "status"),
    [
        (("shop.example",), 200),
        (("crm.example", "shop.example"), 400),
        (("shop.example", "shop.example"), 400),
        (("shop.example, crm.example",), 421),
        (("",), 200),
    ],
)
async def test_a_proxy_says_once_which_host_was_asked_for(
    said: tuple[str, ...], status: int
) -> None:
    async with three_frontends(server='trusted_proxies = ["127.0.0.1/32"]') as there:
        shop = there.visitors["shop"]
        await shop.log_in()
        lines = (f"X-Forwarded-Host: {host}" for host in said)
        reply = await shop.ask("GET", "/bff/user", *lines)
        assert reply.status == status


@pytest.mark.rule("FE-01")
async def test_the_longest_path_of_a_host_says_which_application_it_is(
    there: ThreeFrontends,
) -> None:
    """On segment boundaries, and only by the path as it will be forwarded."""
    await log_all_in(there)
    crm, wiki = there.visitors["crm"], there.visitors["wiki"]
    assert (await wiki.get("/wiki/pages/x")).status == 200
    assert there.upstream.received[-1].request_line == b"GET /wiki-api/x HTTP/1.1"
    assert (await crm.get("/api/x")).status == 200
    assert there.upstream.received[-1].request_line == b"GET /x HTTP/1.1"
    wiki.cookies |= crm.cookies  # as a browser sends both below /wiki
    asked = len(there.upstream.received)
    for target in (
        "/wiki/api/x",
        "/wikix/pages/x",
        "/pages/x",
        "/wiki//pages/x",
        "/%77iki/pages/x",
    ):
        reply = await wiki.get(target)
        # Pages of one of the two applications, or refused; never an API of the other one.
        assert (reply.status, len(there.upstream.received)) in {(200, asked), (400, asked)}, target


async def test_a_further_host_of_an_application_is_answered(there: ThreeFrontends) -> None:
    """All that is told of it names its public URL."""
    reply = await there.visitors["shop"].ask("GET", "/bff/login", host="www.shop.example")
    sent = parse_qs(urlsplit(location_of(reply)).query)
    assert sent["redirect_uri"] == ["https://shop.example/bff/callback/corp"]


# --- sessions


@pytest.mark.rule("FE-02")
@pytest.mark.parametrize(("made_at", "shown_at"), PAIRS)
async def test_a_cookie_of_one_is_nothing_in_another(
    there: ThreeFrontends, made_at: str, shown_at: str
) -> None:
    """Also while its session is in memory, under whichever name it is shown."""
    maker, other = there.visitors[made_at], there.visitors[shown_at]
    await maker.log_in()
    assert (await maker.user())["sub"] == "alice"
    other.cookies[COOKIES[shown_at]] = maker.cookie
    asked = len(there.upstream.received)
    own = "/pages/x" if shown_at == "wiki" else "/api/x"
    for target in (own, "/bff/user", "/bff/sessions", "/bff/events"):
        reply = await other.get(f"{other.base}{target}", "Sec-Fetch-Site: same-origin")
        assert (reply.status, code_of(reply)) == (401, "not_authenticated"), target
    # The logout link of its session proves nothing here either.
    sid = (await maker.user())["bff"]["logout_url"].partition("sid=")[2].partition("&")[0]
    await other.get(f"{other.base}/bff/logout?sid={sid}", "Sec-Fetch-Mode: navigate")
    assert len(there.upstream.received) == asked
    assert (await maker.user())["sub"] == "alice"


@pytest.mark.rule("FE-03")
@pytest.mark.parametrize(("begun_at", "comes_to"), PAIRS)
async def test_a_login_comes_back_where_it_was_begun(
    there: ThreeFrontends, begun_at: str, comes_to: str
) -> None:
    """RFC 9700 section 4.4: at another application its state is unknown, and stays good."""
    maker, other = there.visitors[begun_at], there.visitors[comes_to]
    state = await maker.start()
    other.cookies |= {
        f"{COOKIES[comes_to]}-login": maker.cookies[f"{COOKIES[begun_at]}-login"],
    }
    reply = await other.come_back(state)
    assert (reply.status, code_of(reply)) == (400, "login_expired")
    assert there.ops["corp"].count("token") == 0
    assert (await maker.come_back(state)).status == 302


@pytest.mark.rule("FE-03")
async def test_a_browser_known_to_one_is_unknown_to_another(there: ThreeFrontends) -> None:
    """The cookie that ties a login to its browser has one application's signature."""
    shop, crm = there.visitors["shop"], there.visitors["crm"]
    await crm.start()
    state = await shop.start()
    shop.cookies["__Host-Http-bff-login"] = crm.cookies["__Host-Http-bff-login"]
    assert code_of(await shop.come_back(state)) == "login_browser_mismatch"


@pytest.mark.rule("FE-04")
@pytest.mark.parametrize(("by", "told_at"), [("sid", "crm"), ("sid", "wiki"), ("sub", "shop")])
async def test_a_logout_at_the_op_reaches_all_of_them(
    there: ThreeFrontends, by: str, told_at: str
) -> None:
    """OpenID Connect Back-Channel Logout 1.0: one session at the OP is a session at each."""
    await log_all_in(there)
    token = logout_token(there, **({"sid": "s1", "sub": None} if by == "sid" else {}))
    assert (await there.tell(token, told_at)).status == 200
    for visitor in there.visitors.values():
        assert await visitor.user() is None
    assert await there.admin.sessions() == []


@pytest.mark.rule("FE-05")
async def test_devices_and_their_limit_are_those_of_one_application(there: ThreeFrontends) -> None:
    await log_all_in(there)
    shop, crm = there.visitors["shop"], there.visitors["crm"]
    ids = {one["frontend"]: one["id"] for one in await there.admin.sessions()}
    listed = json.loads((await crm.get("/bff/sessions")).body)["sessions"]
    assert [one["id"] for one in listed] == [ids["crm"]]
    assert (await crm.ask("DELETE", f"/bff/sessions/{ids['shop']}")).status == 404
    assert json.loads((await crm.ask("DELETE", "/bff/sessions")).body) == {"ended": 0}
    async with there.visitor("shop") as second, there.visitor("shop") as third:
        await second.log_in()  # shop allows two
        assert await shop.user() is not None
        there.clock.advance(1)
        await third.log_in()
        assert [await one.user() is None for one in (shop, second, third)].count(True) == 1
    assert await crm.user() is not None


async def test_each_has_its_own_claims_lifetimes_and_providers(there: ThreeFrontends) -> None:
    """What it does not say is as the top level says it, before a refresh and after it."""
    await log_all_in(there)
    shop, crm, wiki = there.visitors.values()
    there.ops["corp"].id_token_changes["nonce"] = None  # which belongs to a login
    for _ in range(2):
        assert (await shop.user()).keys() == {"sub", "bff", "email"}
        assert (await crm.user()).keys() == {"sub", "bff", "name", "email"}
        there.clock.advance(61)
        assert (await shop.get("/api/x")).status == 200
        assert (await crm.get("/api/x")).status == 200
    assert (await wiki.user())["bff"]["idle_expires_in"] == 1800
    assert (await shop.user())["bff"]["idle_expires_in"] == 600
    there.clock.advance(700)
    assert [await one.user() is None for one in (shop, crm, wiki)] == [True, False, False]
    reply = await crm.get("/bff/login?idp=evil")
    assert (reply.status, code_of(reply)) == (400, "unknown_provider")


@pytest.mark.rule("CK-10")
async def test_each_says_whether_its_cookie_outlives_the_browser(there: ThreeFrontends) -> None:
    for name, is_persistent in (("shop", True), ("crm", False)):
        reply = await there.visitors[name].log_in()
        (header,) = [one for one in reply.values(b"set-cookie") if b"-login=" not in one]
        assert (b"; Max-Age=43200; " in header) is is_persistent
        assert (b"max-age" in header.lower()) is is_persistent


@pytest.mark.parametrize(
    ("frontend", "hint", "provider"),
    [
        ("shop", "a@shop.example", "evil"),
        ("shop", "a@SHOP.example", "evil"),
        ("shop", "a@staff.example", "corp"),
        ("shop", "a@evil.example", "corp"),
        ("crm", "a@corp.example", "corp"),
        ("crm", "a@shop.example", "corp"),
    ],
)
async def test_each_has_its_own_domains_of_users(
    there: ThreeFrontends, frontend: str, hint: str, provider: str
) -> None:
    """In the place of those that the providers name. One without any has theirs."""
    reply = await there.visitors[frontend].get(f"/bff/login?login_hint={hint}")
    assert location_of(reply).startswith(there.ops[provider].issuer)


async def test_a_chooser_offers_what_the_application_has(there: ThreeFrontends) -> None:
    """Its own providers and no others, each by an address that it answers."""
    for name, providers in (("shop", ["corp", "evil"]), ("crm", ["corp"]), ("wiki", ["corp"])):
        visitor = there.visitors[name]
        offered = json.loads((await visitor.get(f"{visitor.base}/bff/providers")).body)
        assert [one["name"] for one in offered] == providers
        for one in offered:
            reply = await visitor.get(one["login_url"])
            sent = parse_qs(urlsplit(location_of(reply)).query)
            redirect_uri = f"https://{HOSTS[name]}{visitor.base}/bff/callback/{one['name']}"
            assert sent["redirect_uri"] == [redirect_uri]


CLIENT_ROUTE = """
[[frontends]]
name = "{name}"
public_url = "https://{name}.example"
providers = {providers}
[[frontends.routes]]
path = "/bot/"
upstream = "http://127.0.0.1:{{api}}/"
token = "client"
anonymous = true
"""


async def test_a_token_of_the_gateways_own_is_from_a_provider_of_the_application() -> None:
    """Its default. Another provider's token would tell an API what is meant for another one."""
    others = CLIENT_ROUTE.format(name="desk", providers='["evil", "corp"]')
    others += CLIENT_ROUTE.format(name="bot", providers='["corp"]')
    async with three_frontends(others=others) as there:
        for name, op in there.ops.items():
            op.token_changes = {"access_token": f"own-of-{name}", "id_token": None}
        crm = there.visitors["crm"]
        for host, provider in (("desk", "evil"), ("bot", "corp"), ("desk", "evil")):
            assert (await crm.ask("GET", "/bot/x", host=f"{host}.example")).status == 200
            sent = there.upstream.received[-1].values(b"authorization")
            assert sent == [f"Bearer own-of-{provider}".encode()]
        assert [op.count("token") for op in there.ops.values()] == [1, 1]


@pytest.mark.rule("FE-02")
async def test_a_proxy_that_asks_gets_the_token_of_the_application_it_asks_about() -> None:
    """Forward authentication: which one that is says the host that the proxy names."""
    port = free_port()
    server = f'auth_listen = "127.0.0.1:{port}"\ntrusted_proxies = ["127.0.0.1/32"]'
    async with three_frontends(server=server) as there, kept_connection(port) as asking:
        await log_all_in(there)

        async def ask(shown_by: str, host: str, uri: str) -> tuple[int, bool]:
            cookies = there.visitors[shown_by].cookies.items()
            lines = [
                "GET /bff/auth HTTP/1.1",
                "Host: 127.0.0.1",
                f"X-Forwarded-Host: {host}",
                f"X-Forwarded-Uri: {uri}",
                "X-Forwarded-Method: GET",
                "X-CSRF: 1",
                f"Cookie: {'; '.join(f'{name}={value}' for name, value in cookies)}",
            ]
            reply = await asking.ask(("\r\n".join(lines) + "\r\n\r\n").encode())
            return reply.status, bool(reply.values(b"authorization"))

        assert await ask("crm", "crm.example", "/api/x") == (204, True)
        assert await ask("wiki", "crm.example", "/wiki/pages/x") == (204, True)
        assert await ask("crm", "crm.example", "/wiki/pages/x") == (401, False)
        assert await ask("wiki", "crm.example", "/api/x") == (401, False)
        assert await ask("shop", "crm.example", "/api/x") == (401, False)
        assert await ask("shop", "other.example", "/api/x") == (421, False)
        assert await ask("crm", "crm.example", "/bff/user") == (404, False)


# --- other sites


@pytest.mark.rule("FE-06")
async def test_one_application_is_another_site_to_the_other(there: ThreeFrontends) -> None:
    """By Origin, and by a header that only its own scripts know to send."""
    await log_all_in(there)
    shop, crm, wiki = there.visitors.values()
    for visitor, origin in ((shop, "https://crm.example"), (crm, "https://shop.example")):
        reply = await visitor.ask("POST", "/api/x", f"Origin: {origin}")
        assert (reply.status, code_of(reply)) == (403, "csrf_foreign_origin")
    assert (await wiki.ask("POST", "/wiki/pages/x", "Origin: https://crm.example")).status == 200
    shop.csrf_header = crm.csrf_header
    assert code_of(await shop.ask("POST", "/api/x")) == "csrf_header_missing"


# --- below a path


@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize(
    "elsewhere",
    ["/wiki", "/wiki/page", "/wiki/bff/logout?sid=x", "/w%69ki/", "https://crm.example/wiki/"],
)
async def test_a_login_does_not_lead_into_the_application_below(
    there: ThreeFrontends, elsewhere: str
) -> None:
    """Its endpoints are no place to return to, and its pages are not those of this one."""
    crm = there.visitors["crm"]
    state = await crm.start(query=f"&returnUrl={quote(elsewhere, safe='')}")
    assert location_of(await crm.come_back(state)) == "/"
    state = await crm.start(query="&returnUrl=/wikipedia")
    assert location_of(await crm.come_back(state)) == "/wikipedia"
    wiki = there.visitors["wiki"]
    state = await wiki.start(query="&returnUrl=/wiki/page")
    assert location_of(await wiki.come_back(state)) == "/wiki/page"


@pytest.mark.rule("FE-07")
async def test_an_application_below_a_path_stays_there(there: ThreeFrontends) -> None:
    """Its cookies, its addresses at the OP, and wherever a browser is sent."""
    wiki = there.visitors["wiki"]
    problem = json.loads((await wiki.get("/wiki/bff/user")).body)
    assert problem["login_url"] == "/wiki/bff/login"
    login = await wiki.get("/wiki/bff/login")
    assert all(b"; Path=/wiki;" in value for value in login.values(b"set-cookie"))
    sent = parse_qs(urlsplit(location_of(login)).query)
    assert sent["redirect_uri"] == ["https://crm.example/wiki/bff/callback/corp"]
    back = await wiki.log_in()
    assert location_of(back) == "/wiki/"
    [cookie] = back.values(b"set-cookie")
    assert cookie.startswith(b"__Secure-bff-wiki=")
    assert b"; Path=/wiki; Secure; HttpOnly; SameSite=Strict" in cookie
    form = there.ops["corp"].last("token").form
    assert form["redirect_uri"] == "https://crm.example/wiki/bff/callback/corp"
    logout_url = (await wiki.user())["bff"]["logout_url"]
    assert logout_url.startswith("/wiki/bff/logout?sid=")
    end = await wiki.get(logout_url, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert end.status == 303
    sent = parse_qs(urlsplit(location_of(end)).query)
    assert sent["post_logout_redirect_uri"] == ["https://crm.example/wiki/"]
    assert b"; Path=/wiki; Max-Age=0;" in end.values(b"set-cookie")[0]


@pytest.mark.rule("FE-07")
@pytest.mark.parametrize(
    "return_url",
    [
        "/",
        "/wikix",
        "/wiki/bff/user",
        "/wiki/../bff/user",
        "/wiki/%2e%2e/x",
        "/wiki%2f..%2fx",
        "/wiki\\..\\x",
        "https://crm.example/",
        "https://shop.example/wiki/",
        "//shop.example/wiki/",
    ],
)
async def test_a_login_below_a_path_returns_below_it(
    there: ThreeFrontends, return_url: str
) -> None:
    wiki = there.visitors["wiki"]
    for offered, expected in ((return_url, "/wiki/"), ("/wiki/a?b=c", "/wiki/a?b=c")):
        state = await wiki.start(query=f"&returnUrl={quote(offered, safe='')}")
        assert location_of(await wiki.come_back(state)) == expected


@pytest.mark.rule("FE-07")
async def test_files_and_pages_of_an_application_below_a_path(there: ThreeFrontends) -> None:
    """The page itself is a directory's, so that what it names relative to itself is found."""
    wiki = there.visitors["wiki"]
    assert location_of(await wiki.get("/wiki?a=b")) == "/wiki/?a=b"
    page = await wiki.get("/wiki/", "Sec-Fetch-Mode: navigate", "Accept: text/html")
    assert page.status == 200
    assert page.body == (await wiki.get("/wiki/index.html")).body
    assert (await wiki.get("/wiki/bff/client/bff-client.js")).status == 200
    assert (await wiki.get("/wiki/missing.js")).status == 404
    lost = await wiki.get(
        "/wiki/bff/callback/corp?state=x&code=y", "Sec-Fetch-Mode: navigate", "Accept: text/html"
    )
    assert b'href="/wiki/bff/resume?' in lost.body
    assert b'href="/bff' not in lost.body
    refused = await wiki.get("/wiki/bff/x", "Sec-Fetch-Mode: navigate", "Accept: text/html")
    assert b'href="/wiki/"' in refused.body


async def test_what_operators_see_names_the_application(there: ThreeFrontends) -> None:
    """The admin API, and a label of metrics that takes the names of the configuration only."""
    await log_all_in(there)
    sessions = await there.admin.sessions()
    assert {one["frontend"] for one in sessions} == set(NAMES)
    head, *rows = table(_rows(sessions)).splitlines()
    assert head.split()[:3] == ["ID", "FRONTEND", "SUB"]
    assert {tuple(row.split()[1:3]) for row in rows} == {(name, "alice") for name in NAMES}
    metrics = await there.admin.metrics()
    for name in NAMES:
        named = f'frontend="{name}",outcome="ok",provider="corp"'
        assert f"bff_logins_total{{{named}}} 1.0" in metrics
        started = f'bff_logins_started_total{{frontend="{name}",provider="corp"}} 1.0'
        assert started in metrics
    asked = 'bff_op_requests_total{endpoint="token",outcome="answered",provider="corp"} 3.0'
    assert asked in metrics
    assert 'bff_op_request_duration_seconds_count{endpoint="token"} 3.0' in metrics
    assert set(HOSTS) == set(BASES) == set(NAMES)


async def test_no_request_makes_up_a_label_of_a_metric(there: ThreeFrontends) -> None:
    """A callback's path names a provider, and there may be none of that name."""
    visitor = there.visitors["shop"]
    await visitor.get(f"{visitor.base}/bff/callback/made-up?code=c&state=s")
    metrics = await there.admin.metrics()
    assert "made-up" not in metrics
    refused = [line for line in metrics.splitlines() if line.startswith("bff_logins_total{")]
    assert [line for line in refused if 'frontend="shop"' in line and 'provider="none"' in line]


async def test_lines_of_the_access_log_name_the_application(tmp_path: Path) -> None:
    """Its name in the configuration, whether a request was let in or not."""
    file = tmp_path / "access.log"
    log = f'[access_log]\nenabled = true\nfile = "{file}"\n'
    async with three_frontends(others=log) as there:
        await there.visitors["shop"].log_in()
        assert (await there.visitors["shop"].get("/api/x")).status == 200
        assert (await there.visitors["crm"].get("/api/x")).status == 401

        def entries() -> set[tuple[str, int]]:
            lines = map(json.loads, file.read_text().splitlines())
            return {
                (line["frontend"], line["status"]) for line in lines if line["route"] == "/api/"
            }

        await until(lambda: {("shop", 200), ("crm", 401)} == entries())
