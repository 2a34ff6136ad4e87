"""The ways beside the usual flow: streams, WebSockets, proxies that ask, APIs and an OP in trouble,
commands, a store that goes away. No token, code, secret or session id leaves by any of them.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.flows.test_unauthorized import Revoking
from tests.flows.test_websocket import EchoApi
from tests.flows.witness import (
    Witness,
    every_repr,
    everything_scripts_can_see,
    everything_written,
    require_none,
)
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.command import bff
from tests.parts.configuration import CLIENT_SECRET, SESSION_SECRET
from tests.parts.raw_upstream import raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port, serving
from tests.parts.stack import Stack, running_stack
from tests.polling import until

STORE_PASSWORD = "wonderland-of-the-store"
CANARIES = {
    "client secret": CLIENT_SECRET,
    "session secret": SESSION_SECRET,
    "store password": STORE_PASSWORD,
    "a JWT": "eyJ",
    "the OP's text": "canary-of-the-op",
    "callback code": "canary-code",
    "callback state": "canary-state",
}

Answer = Callable[[web.Response], web.Response]
OPAQUE = '"access_token": "canary-of-the-op-at", "refresh_token": "canary-of-the-op-rt"'
FAULTS: dict[str, Answer] = {
    "a page": lambda good: web.Response(text=f"<p>{good.text}", content_type="text/html"),
    "half an answer": lambda good: web.Response(
        text=(good.text or "")[:-9], content_type="application/json"
    ),
    "an error with tokens": lambda good: web.Response(
        status=500, text=good.text, content_type="application/json"
    ),
    "an unknown error": lambda _: web.json_response(
        {
            "error": "canary-of-the-op",
            "error_description": "canary-of-the-op\r\nx",
            "error_uri": "https://canary-of-the-op.example",
        },
        status=400,
    ),
    "a type we can't use": lambda _: web.Response(
        text=f'{{{OPAQUE}, "token_type": "canary-of-the-op"}}', content_type="application/json"
    ),
    "an ID token that is none": lambda _: web.Response(
        text=f'{{{OPAQUE}, "token_type": "Bearer", "id_token": "canary-of-the-op.x.y"}}',
        content_type="application/json",
    ),
}


@dataclass(slots=True)
class FaultyOp:
    """Tells the witness first, then spoils the answer of the token endpoint."""

    witness: Witness = field(default_factory=Witness)
    spoil: Answer | None = None

    def attach(self, op: web.Application) -> None:
        @web.middleware
        async def spoiling(
            request: web.Request,
            handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        ) -> web.StreamResponse:
            good = await handler(request)
            if request.path != "/token" or not isinstance(good, web.Response):
                return good
            await self.witness.look(request, good)
            return good if self.spoil is None else self.spoil(good)

        op.middlewares.append(spoiling)


@dataclass(slots=True)
class Site:
    """A running installation with a user logged in, and all that was seen of it."""

    stack: Stack
    browser: Browser
    op: FaultyOp
    clock: ManualClock
    redis: RedisServer
    auth_url: str
    pages: list[Page] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    async def fetch(self, method: str, path: str) -> Page:
        self.pages.append(await self.browser.fetch(method, path))
        return self.pages[-1]

    @property
    def cookie(self) -> str:
        return self.browser.cookies.get("bff") or ""


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    api, echo, ports = Revoking(), EchoApi(), [free_port() for _ in range(3)]
    redis, op, clock = RedisServer(tcp=True), FaultyOp(), ManualClock()
    redis.command("ACL", "SETUSER", "bff", "on", f">{STORE_PASSWORD}", "~*", "&*", "+@all")
    async with (
        raw_upstream() as refusing,
        raw_upstream() as silent,
        serving(echo.application(), ports[0]),
    ):
        refusing.responder, silent.answer = api, b""
        api.revoked.add(b"*")
        async with (
            running_stack(
                clock=clock,
                store=f"redis://bff:{STORE_PASSWORD}@127.0.0.1:{redis.port}/0",
                prepare_op=op.attach,
                server=f'auth_listen = "127.0.0.1:{ports[1]}"\ntrusted_proxies = ["127.0.0.1/32"]',
                extra='[limits]\nfailed_callbacks = "2/minute"',
                routes=f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{ports[0]}/"
websocket = true

[[routes]]
path = "/refusing/"
upstream = "http://127.0.0.1:{refusing.port}/"

[[routes]]
path = "/silent/"
upstream = "http://127.0.0.1:{silent.port}/"
timeout = "100ms"

[[routes]]
path = "/dead/"
upstream = ["http://127.0.0.1:{ports[2]}/", "http://127.0.0.1:1/"]
""",
            ) as stack,
            Browser() as browser,
        ):
            site = Site(stack, browser, op, clock, redis, f"http://127.0.0.1:{ports[1]}/bff/auth")
            site.pages.append(await log_in(browser, stack, to="/session"))
            try:
                yield site
            finally:
                redis.close()


async def streams_and_sockets(site: Site) -> None:
    origin = site.stack.public_url
    headers = {"Origin": origin, "Cookie": f"bff={site.cookie}"}
    async with (
        site.browser.stream("/bff/events") as events,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.ws_connect(f"{origin}/api/ws", headers=headers) as socket,
    ):
        await socket.send_str("hello")
        site.other += [str(await socket.receive_str()), str(socket._response.headers)]
        site.other.append((await events.content.readuntil(b"\n\n")).decode())
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{origin}/api/ws", headers=headers | {"Origin": "http://evil"})
        site.other.append(f"{refused.value} {refused.value.headers}")


async def apis_in_trouble(site: Site) -> None:
    assert (await site.fetch("GET", "/refusing/x?q=1")).status == 401
    assert (await site.fetch("POST", "/refusing/x")).status == 401
    assert (await site.fetch("GET", "/dead/x")).status == 502
    assert (await site.fetch("GET", "/silent/x")).status == 504
    assert (await site.fetch("GET", "/api/nothing")).status == 404


async def a_proxy_asks(site: Site) -> None:
    """The bearer token is for the proxy: all else that it hears is looked at."""
    asked = {
        "Host": urlsplit(site.stack.public_url).netloc,
        "X-CSRF": "1",
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/api/x",
    }
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        for cookie, status in ((site.cookie, 204), (f"{site.cookie}x", 401), ("", 401)):
            headers = asked | {"Cookie": f"bff={cookie}"}
            async with http.get(site.auth_url, headers=headers) as answer:
                assert answer.status == status
                said = [line for line in answer.headers.items() if line[0] != "Authorization"]
                site.other.append(f"{said} {await answer.text()}")
                assert ("Authorization" in answer.headers) is (status == 204)


async def failed_callbacks(site: Site) -> None:
    for _ in range(3):
        page = await site.fetch("GET", "/bff/callback?code=canary-code&state=canary-state")
    assert page.status == 429
    await site.fetch(
        "GET", "/bff/callback?error=canary-of-the-op&error_description=canary-of-the-op"
    )
    site.clock.advance(60)


async def an_op_in_trouble(site: Site) -> None:
    for fault in FAULTS.values():
        site.op.spoil = fault
        site.clock.advance(120)  # the token is over, and so is the pause after the last fault
        # 200 where the answer to the refresh is worse than it should be, and good enough.
        assert (await site.fetch("GET", "/api/plain")).status in (200, 401, 503)
        async with Browser() as other:
            site.pages.append(await log_in(other, site.stack))
    site.op.spoil = None


async def commands(site: Site, folder: Path) -> None:
    config = folder / "bff.toml"
    config.write_text(site.stack.toml)
    for arguments, code in (
        (("check",), 1),  # one of the APIs is down
        (("sessions", "list", "--sub", "alice"), 0),
        (("sessions", "list", "--sub", "alice", "--json"), 0),
        (("sessions", "revoke", "--sub", "nobody"), 0),
    ):
        done = await bff(*arguments, "--config", str(config))
        assert done.code == code, done
        site.other.append(done.out + done.err)
    async with aiohttp.ClientSession() as http:
        for path in ("/metrics", "/readyz", "/sessions?sub=alice", "/sessions?sub=", "/nothing"):
            async with http.get(site.stack.admin_url + path) as answer:
                site.other.append(f"{answer.headers} {await answer.text()}")


async def without_a_store(site: Site) -> None:
    site.redis.stop()

    async def is_told() -> bool:
        page = await site.fetch("GET", "/bff/user")
        return page.status == 503

    await until(is_told)
    await site.fetch("GET", "/bff/login")
    await site.fetch("POST", "/bff/logout")
    await a_proxy_asks_in_vain(site)


async def a_proxy_asks_in_vain(site: Site) -> None:
    async with aiohttp.ClientSession() as http, http.get(site.auth_url) as answer:
        site.other.append(f"{answer.headers} {await answer.text()}")


@pytest.mark.rule("CVE-2024-39315")
@pytest.mark.rule("TK-12")
@pytest.mark.rule("OP-01")
async def test_nothing_secret_leaves_by_a_side_door(tmp_path: Path) -> None:
    with everything_written() as output:
        async with site() as here:
            await streams_and_sockets(here)
            await apis_in_trouble(here)
            await a_proxy_asks(here)
            await failed_callbacks(here)
            stored, said = here.redis.everything().decode("latin-1"), every_repr()
            await commands(here, tmp_path)
            await an_op_in_trouble(here)
            session_id = here.cookie.partition(".")[0]
            await without_a_store(here)
    secrets = here.op.witness.secrets | CANARIES | {"session id": session_id}
    assert len(session_id) == 43
    assert len([name for name in secrets if "refresh_token" in name]) >= 2
    written, other = output.getvalue(), "\n".join(here.other)
    for event in ("login_succeeded", "login_failed", "refresh_failed", "rate_limited", "refused"):
        assert f'"event": "{event}"' in written
    for line in written.splitlines():
        json.loads(line)
    assert "alice" in other
    assert "Session(" in said
    require_none(
        secrets,
        {
            "the output": written,
            "what scripts can see": everything_scripts_can_see(here.pages),
            "streams, proxies, commands, administration": other,
            "a repr": said,
            "the store": stored,
        },
    )
