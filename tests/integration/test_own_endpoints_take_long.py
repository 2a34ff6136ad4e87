"""An own endpoint may take as long as it needs, also on an internal connection that lay idle: the
event stream lives as long as its session, a login as long as the OP takes to answer. What a login
did for a browser that has hung up meanwhile is undone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from bff.model import Session
from tests.flows.logins import log_in
from tests.integration.other_parts import InternalConnections, a_listener, context_of
from tests.parts.browser import DEMO_PASSWORDS, Browser
from tests.parts.browser_pages import Page
from tests.parts.stack import Stack, running_stack
from tests.polling import until
from tests.wire.client import Wire, wired

IDLE_SECONDS = 0.2


class SlowOp:
    """An OP whose token endpoint answers when it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    def prepare(self, application: web.Application) -> None:
        @web.middleware
        async def wait(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == "/token":
                self.asked += 1
                await self.go.wait()
            return await handler(request)

        application.middlewares.append(wait)


def own_lines(stack: Stack, browser: Browser) -> str:
    """What a browser's requests to own endpoints say of it."""
    cookies = "; ".join(f"{name}={browser.cookies.get(name)}" for name in ("bff", "bff-login"))
    host = f"Host: {urlsplit(stack.public_url).netloc}\r\n"
    return f"{host}Cookie: {cookies}\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n"


async def ask(port: int, target: str, lines: str) -> bytes:
    async with wired(port) as wire:
        wire.send(f"GET {target} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        return await wire.until_end()


@contextlib.asynccontextmanager
async def on_a_used_connection(
    stack: Stack, browser: Browser
) -> AsyncIterator[tuple[int, InternalConnections]]:
    """A listener whose only internal connection has served a request and lies idle."""
    internal = InternalConnections(stack.gateway, idle_seconds=IDLE_SECONDS)
    async with a_listener(stack.gateway, local=internal.pool) as other:
        await ask(other.port, "/bff/user", own_lines(stack, browser))
        yield other.port, internal
    await internal.pool.close()


async def test_the_event_stream_lives_as_long_as_its_session() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        lines = own_lines(stack, browser)
        async with on_a_used_connection(stack, browser) as (port, internal), wired(port) as wire:
            wire.send(f"GET /bff/events HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            await wire.until_received(b"event: session\n")
            for _ in range(3):
                await ask(port, "/bff/user", lines)
                await internal.until_idle_ones_are_gone(busy=1)
            assert (await browser.fetch("POST", "/bff/logout")).status == 200
            received = await wire.until_end()
    assert b'event: ended\ndata: {"reason": "logout"}' in received
    assert received.endswith(b"0\r\n\r\n")


@contextlib.asynccontextmanager
async def a_slow_login(
    stack: Stack, browser: Browser, op: SlowOp, port: int
) -> AsyncIterator[Wire]:
    """The browser's callback, sent to `port`, while the OP takes its time."""
    page = await begun(browser, stack)
    assert page.location is not None
    target = page.location.removeprefix(stack.public_url)
    op.go.clear()
    asked = op.asked
    async with wired(port) as wire:
        wire.send(f"GET {target} HTTP/1.1\r\n{own_lines(stack, browser)}\r\n".encode())
        await until(lambda: op.asked > asked)
        yield wire


async def begun(browser: Browser, stack: Stack) -> Page:
    """The redirect back from the OP, which is not followed."""
    page = await browser.navigate(f"{stack.public_url}/bff/login?prompt=consent")
    if page.has_form("login"):
        values = {"username": "alice", "password": DEMO_PASSWORDS["alice"]}
        page = await browser.submit(page.form("login"), values, button="login")
    return await browser.submit(page.form("consent"), button="allow", follow=False)


async def hung_up(stack: Stack) -> None:
    """Return when the gateway has noticed: no own endpoint is asked for anything."""
    server = context_of(stack.gateway).local._server
    assert server is not None
    await until(lambda: not server.connections)


async def sessions_of_alice(stack: Stack) -> list[Session]:
    return await stack.gateway._core.sessions.of_subject(stack.issuer, "alice")


async def test_a_login_may_take_as_long_as_the_op_needs() -> None:
    op = SlowOp()
    async with running_stack(prepare_op=op.prepare) as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        async with (
            on_a_used_connection(stack, browser) as (port, internal),
            a_slow_login(stack, browser, op, port) as wire,
        ):
            for _ in range(3):
                await ask(port, "/bff/user", own_lines(stack, browser))
                await internal.until_idle_ones_are_gone(busy=1)
            op.go.set()
            await wire.until_received(b"\r\n\r\n")
    assert wire.received.startswith(b"HTTP/1.1 302 ")
    assert b"Set-Cookie: bff=" in wire.received


async def test_a_login_whose_browser_hangs_up_leaves_neither_session_nor_tokens() -> None:
    op = SlowOp()
    async with running_stack(prepare_op=op.prepare) as stack, Browser() as browser:
        async with a_slow_login(stack, browser, op, stack.ports.gateway):
            pass
        await hung_up(stack)
        op.go.set()
        await until(lambda: stack.op.revocations > 0)
        assert await sessions_of_alice(stack) == []


async def test_a_second_login_whose_browser_hangs_up_leaves_the_first_as_it_is() -> None:
    """Its tokens may hang on the same grant, so that revoking the new ones would end it."""
    op = SlowOp()
    async with running_stack(prepare_op=op.prepare) as stack, Browser() as browser:
        await log_in(browser, stack)
        [before] = await sessions_of_alice(stack)
        async with a_slow_login(stack, browser, op, stack.ports.gateway):
            pass
        await hung_up(stack)
        op.go.set()
        ended = b'bff_sessions_ended_total{reason="abandoned"} 1.0'
        await until(lambda: ended in stack.gateway._core.metrics.exposition())
        assert [session.key for session in await sessions_of_alice(stack)] == [before.key]
        answer = await ask(stack.ports.gateway, "/bff/user", own_lines(stack, browser))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert stack.op.revocations == 0
