"""`/bff/auth` itself, asked directly: for trusted proxies only, on a listener of its own."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from bff.clock import ManualClock
from tests.flows.apis import status_of
from tests.flows.logins import log_in
from tests.flows.test_workers import installation, logged_in, served
from tests.parts.browser import Browser
from tests.parts.configuration import BY_NEWS_ONLY, free_ports, gateway_toml
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack
from tests.polling import HANG_SECONDS, until

TRUSTED = 'trusted_proxies = ["127.0.0.1/32"]'
ROUTES = """
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:1/"
methods = ["GET", "POST"]
websocket = true

[[routes]]
path = "/api/public/"
upstream = "http://127.0.0.1:1/"
token = "none"

[[routes]]
path = "/api/themed/"
upstream = "http://127.0.0.1:1/"
forward_cookies = ["theme", "wide"]
"""


@dataclass(slots=True)
class Said:
    status: int
    headers: CIMultiDict[str]
    body: str


@dataclass(slots=True)
class Asker:
    """A proxy in front of which a browser has logged in, and how it asks."""

    stack: Stack
    browser: Browser
    http: aiohttp.ClientSession
    url: str

    async def ask(
        self,
        target: str = "/api/x",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        *,
        by: str = "GET",
        url: str | None = None,
        cookie: str | None = None,
    ) -> Said:
        """About a call by the logged-in browser; `headers` are added, or left out if empty."""
        given = CIMultiDict(
            {
                "Host": self.stack.public_url.partition("://")[2],
                "Cookie": cookie or f"theme=dark; bff={self.browser.cookies.get('bff')}",
                "X-CSRF": "1",
                "X-Forwarded-Method": method,
                "X-Forwarded-Uri": target,
            }
        )
        given.update(headers or {})
        sent = {name: value for name, value in given.items() if value}
        where = URL(url or self.url, encoded=True)
        async with self.http.request(by, where, headers=sent, allow_redirects=False) as answer:
            return Said(answer.status, CIMultiDict(answer.headers), await answer.text())


@asynccontextmanager
async def asking(
    server: str = TRUSTED, *, listen: str = "", clock: ManualClock | None = None
) -> AsyncIterator[Asker]:
    listen = listen or f"127.0.0.1:{free_port()}"
    server = f'auth_listen = "{listen}"\n{server}'
    unix = listen.startswith("unix:")
    connector = aiohttp.UnixConnector(listen.removeprefix("unix:")) if unix else None
    async with (
        running_stack(server=server, routes=ROUTES, clock=clock) as stack,
        Browser() as browser,
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        await log_in(browser, stack)
        yield Asker(stack, browser, http, f"http://{'localhost' if unix else listen}/bff/auth")


async def test_a_request_that_may_pass_comes_with_what_the_proxy_copies() -> None:
    """The token, an id, and the cookies that the route lists; nothing to keep."""
    async with asking() as asker:
        for by in ("GET", "HEAD"):
            said = await asker.ask("/api/themed/x?y=%2f", by=by)
            assert (said.status, said.body) == (204, "")
            assert said.headers["Authorization"].startswith("Bearer eyJ")
            assert said.headers["Cookie"] == "theme=dark"
            assert said.headers["Cache-Control"] == "no-store"
            assert said.headers["Server"] == "bff"
            assert len(said.headers["X-Request-ID"]) >= 8
            # No field of the browser's that a proxy could copy by mistake.
            assert not {"Accept", "User-Agent", "Via", "X-Forwarded-For"} & said.headers.keys()
        said = await asker.ask("/api/x", "POST", {"X-Request-ID": "one-of-the-proxy"})
        assert said.headers["X-Request-ID"] == "one-of-the-proxy"
        assert "Cookie" not in said.headers
        untold = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
        assert (await asker.ask("/api/x", "POST", untold)).status == 204
        said = await asker.ask("/api/public/x", cookie="none=1")
        assert (said.status, "Authorization" in said.headers) == (204, False)
        wide = f"wide=é; bff={asker.browser.cookies.get('bff')}"
        assert (await asker.ask("/api/themed/x", cookie=wide)).headers["Cookie"] == "wide=é"


@pytest.mark.rule("PX-20")
async def test_only_a_trusted_proxy_gets_an_answer() -> None:
    """Not even with a session: the answer would hold the token."""
    async with asking('trusted_proxies = ["192.0.2.0/24"]') as asker:
        for headers in ({}, {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-Uri": "/api/public/x"}):
            said = await asker.ask(headers=headers)
            assert (said.status, '"proxy_not_trusted"' in said.body) == (403, True)
            assert said.headers["Connection"] == "close"
            assert "Authorization" not in said.headers


@pytest.mark.rule("PX-20")
async def test_the_public_listener_has_no_such_path() -> None:
    """A proxy hands everything below the prefix to it, for browsers; and so is every other path."""
    async with asking() as asker:
        for path in ("/bff/auth", "/bff/auth?x", "/bff/auth/", "/bff/auth/x"):
            for by in ("GET", "HEAD", "POST"):
                said = await asker.ask(by=by, url=asker.stack.public_url + path)
                assert (said.status, "Authorization" in said.headers) == (404, False), path


async def test_nothing_else_is_on_the_listener_for_proxies() -> None:
    async with asking() as asker:
        origin = asker.url.removesuffix("/bff/auth")
        for path in (
            "/",
            "/bff/auth/",
            "/bff/Auth",
            "/bff/%61uth",
            "/bff/user",
            "/api/x",
            "/x/../bff/auth",
        ):
            said = await asker.ask(url=origin + path)
            assert (said.status, "Authorization" in said.headers) == (404, False), path
        for by in ("POST", "PUT", "DELETE", "OPTIONS"):
            said = await asker.ask(by=by)
            assert (said.status, said.headers["Allow"]) == (405, "GET, HEAD"), by


async def test_it_is_not_served_unless_configured() -> None:
    async with running_stack(server=TRUSTED) as stack:
        assert stack.gateway.addresses.auth == ()


async def test_own_endpoints_and_the_app_are_not_for_proxies_to_ask_about() -> None:
    """There is no token in them, and the gateway serves them itself."""
    async with asking() as asker:
        for target in ("/bff/user", "/bff/login", "/bff/auth", "/", "/index.html", "/app.js"):
            said = await asker.ask(target)
            assert (said.status, "Authorization" in said.headers) == (404, False), target


REFUSED: list[tuple[str, dict[str, str], int, str]] = [
    ("no session", {"Cookie": "bff=x"}, 401, "not_authenticated"),
    ("no CSRF header", {"X-CSRF": ""}, 403, "csrf_header_missing"),
    ("another site", {"Sec-Fetch-Site": "same-site"}, 403, "csrf_cross_site"),
    ("another origin", {"Origin": "https://evil.example"}, 403, "csrf_foreign_origin"),
    ("an origin that is not told", {"Origin": "null"}, 403, "csrf_foreign_origin"),
    ("another host", {"Host": "evil.example"}, 421, "misdirected_host"),
    ("another host, forwarded", {"X-Forwarded-Host": "evil.example"}, 421, "misdirected_host"),
    ("no such route", {"X-Forwarded-Uri": "/apix"}, 404, "not_found"),
    ("method", {"X-Forwarded-Method": "DELETE"}, 405, "method_not_allowed"),
    ("no method", {"X-Forwarded-Method": "get"}, 405, "method_not_allowed"),
    ("not described", {"X-Forwarded-Uri": ""}, 400, "bad_request"),
    ("described twice", {"X-Original-URI": "/api/public/x"}, 400, "bad_request"),
    ("path", {"X-Forwarded-Uri": "/api/public/../x"}, 400, "ambiguous_path"),
    ("authority", {"X-Forwarded-Uri": "http://evil.example/api/x"}, 421, "misdirected_host"),
    ("no path", {"X-Forwarded-Uri": "api/x"}, 400, "bad_request"),
    ("too long", {"X-Forwarded-Uri": "/api/" + "x" * 9000}, 414, "target_too_long"),
    ("upgrade", {"Upgrade": "websocket, h2c"}, 501, "upgrade_not_supported"),
]


async def test_refusals_are_those_of_the_gate() -> None:
    """Status and code as on the public listener, and a page for a navigation; never a redirect."""
    async with asking() as asker:
        said = {name: await asker.ask(headers=headers) for name, headers, *_ in REFUSED}
        assert {name: answer.status for name, answer in said.items()} == {
            name: status for name, _, status, _ in REFUSED
        }
        for name, _, _, code in REFUSED:
            assert f'"code": "{code}"' in said[name].body, name
            assert "Authorization" not in said[name].headers
            assert said[name].headers["Cache-Control"] == "no-store"
        page = {"Cookie": "bff=x", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
        answer = await asker.ask(headers=page)
        assert (answer.status, answer.headers["Content-Type"]) == (401, "text/html; charset=utf-8")


async def test_a_handshake_ends_the_connection_it_was_asked_about_on() -> None:
    """The parser takes what follows for another protocol: no further question would be heard."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    async with asking() as asker:
        said = await asker.ask(headers=handshake)
        assert (said.status, '"csrf_origin_unknown"' in said.body) == (403, True)
        said = await asker.ask(headers={**handshake, "Origin": asker.stack.public_url})
        assert (said.status, said.headers["Connection"]) == (204, "close")
        assert (await asker.ask()).status == 204


async def test_what_can_not_be_read_is_refused_in_our_words() -> None:
    """RFC 9110 section 5.3: a field twice that must be there once."""
    async with asking() as asker:
        host, port = asker.url.removeprefix("http://").removesuffix("/bff/auth").split(":")
        for field in ("User-Agent: marker\r\nUser-Agent: marker", "No colon", "A : b"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /bff/auth HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode())
            async with asyncio.timeout(HANG_SECONDS):
                answer = await reader.read()
            writer.close()
            assert status_of(answer) == 400, field
            assert b'"code": "bad_request"' in answer
            assert b"marker" not in answer
            assert b"aiohttp" not in answer


@pytest.mark.rule("TK-06")
async def test_a_question_waits_for_a_refresh_and_counts_as_activity() -> None:
    """Many share one refresh, and a session in use does not go idle."""
    clock = ManualClock()
    async with asking(clock=clock) as asker:
        before = (await asker.ask()).headers["Authorization"]
        clock.advance(61)
        said = await asyncio.gather(*(asker.ask() for _ in range(10)))
        tokens = {answer.headers["Authorization"] for answer in said}
        assert len(tokens) == 1
        assert tokens != {before}
        assert asker.stack.op.refreshes == 1
        for _ in range(4):
            clock.advance(1000)  # the idle timeout is 1800
            assert (await asker.ask()).status == 204


async def test_a_peer_on_a_unix_socket_is_a_trusted_proxy(tmp_path: Path) -> None:
    """The socket's permissions decide who that is."""
    async with asking("", listen=f"unix:{tmp_path}/auth.sock") as asker:
        said = await asker.ask()
        assert (said.status, "Authorization" in said.headers) == (204, True)


@pytest.mark.rule("SE-06")
async def test_every_worker_answers_and_hears_of_a_logout(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """One address for all of them, as for browsers; the log names it."""
    ports, auth = free_ports(), free_port()
    server = f'workers = 2\nauth_listen = "127.0.0.1:{auth}"\n{TRUSTED}'
    toml = gateway_toml(ports, store=own_redis.url, server=server, session=BY_NEWS_ONLY)
    async with (
        installation(ports),
        served(ports, tmp_path, toml) as service,
        logged_in(service) as (browser, fields),
    ):
        asked = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/api/x", **fields}
        asked["Host"] = f"localhost:{ports.gateway}"

        async def statuses() -> set[int]:
            """Over connections of their own, so that both workers are among those who answer."""
            found = set()
            for _ in range(20):
                async with aiohttp.ClientSession() as http:
                    url = f"http://127.0.0.1:{auth}/bff/auth"
                    async with http.get(url, headers=asked) as answer:
                        found.add(answer.status)
            return found

        assert await statuses() == {204}
        passed = 'bff_answers_total{code="none",frontend="default",kind="auth",status="204"}'

        async def all_are_counted() -> bool:
            return await service.program.metric(passed) == 20

        await until(all_are_counted)
        assert (await browser.fetch("POST", f"{service.public_url}/bff/logout")).status == 200

        async def is_ended() -> bool:
            return await statuses() == {401}

        await until(is_ended)
        service.program.signal(signal.SIGTERM)
        assert await service.program.exit_code() == 0
        [started] = service.program.events("started")
        assert started["auth_listen"] == [f"127.0.0.1:{auth}"]
