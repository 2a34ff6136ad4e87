"""Several upstreams of one route, and the limits of a route and of a process."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.flows.apis import an_api, status_of
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.raw_upstream import Received, raw_upstream
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack
from tests.polling import until
from tests.wire.client import wired


@contextlib.asynccontextmanager
async def a_route(*ports: int, more: str = "") -> AsyncIterator[tuple[Stack, Browser]]:
    """A logged-in browser in front of a route over these ports."""
    upstreams = [f"http://127.0.0.1:{port}/" for port in ports]
    routes = f'[[routes]]\npath = "/api/"\nupstream = {upstreams}\n{more}\n'
    async with running_stack(routes=routes) as stack, Browser() as browser:
        await log_in(browser, stack)
        yield stack, browser


FAILURES = 1_100  # 2.0**1024 is more than a float holds


class Held:
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self.go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld")
        await writer.drain()


async def test_calls_are_spread_over_all_of_them() -> None:
    async with raw_upstream() as one, raw_upstream() as two, a_route(one.port, two.port) as found:
        for _ in range(6):
            assert (await found[1].fetch("GET", "/api/x")).status == 200
        assert (len(one.received), len(two.received)) == (3, 3)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_one_that_is_down_costs_no_call(method: str) -> None:
    async with raw_upstream() as up, a_route(free_port(), up.port) as (_, browser):
        statuses = [(await browser.fetch(method, "/api/x", data=b"x")).status for _ in range(10)]
        assert Counter(statuses) == {200: 10}
        assert len(up.received) == 10


@pytest.mark.rule("PX-15")
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_must_not_happen_twice_is_not_tried_at_another_one(method: str) -> None:
    """RFC 9110 section 9.2.2: an upstream that took the request and hung up may have done it."""

    async def hang_up(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.close()

    async with raw_upstream() as one, raw_upstream() as two, a_route(one.port, two.port) as found:
        one.responder = two.responder = hang_up
        for number in range(1, 5):
            answer = await found[1].fetch(method, "/api/x", data=b"once")
            assert (answer.status, answer.json()["code"]) == (502, "upstream_unreachable")
            assert len(one.received) + len(two.received) == number


@pytest.mark.parametrize("count", [1, 2])
async def test_an_outage_may_be_as_long_as_it_likes(count: int) -> None:
    """Past a thousand failures in a row: 502 each time, and 200 as soon as an upstream is back."""
    down = [free_port() for _ in range(count)]
    async with a_route(*down) as (stack, browser):
        head = (
            f"GET /api/x HTTP/1.1\r\nHost: {urlsplit(stack.public_url).netloc}\r\n"
            f"Cookie: bff={browser.cookies.get('bff')}\r\nX-CSRF: 1\r\n\r\n"
        )
        async with wired(stack.ports.gateway) as wire:
            wire.send(head.encode() * FAILURES)
            await until(lambda: wire.received.count(b"HTTP/1.1 ") == FAILURES, every=0.05)
            assert wire.received.count(b"HTTP/1.1 502 ") == FAILURES
        async with raw_upstream(port=down[-1]):
            assert (await browser.fetch("GET", "/api/x")).status == 200


async def test_one_that_switches_protocols_unasked_is_left_alone() -> None:
    """RFC 9110 section 15.2.2: such a 101 is as much of a failure as bytes that are no HTTP."""

    async def switch(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"
        )
        await writer.drain()

    async with raw_upstream() as one, raw_upstream() as two, a_route(one.port, two.port) as found:
        one.responder = switch
        statuses = Counter([(await found[1].fetch("GET", "/api/x")).status for _ in range(20)])
        assert statuses == {502: len(one.received), 200: len(two.received)}
        assert len(one.received) < 10  # one half, were it asked in its turn every time


async def test_the_least_busy_one_gets_the_next_call() -> None:
    more = 'balance = "least-connections"'
    held = Held()
    async with (
        raw_upstream() as slow,
        raw_upstream() as quick,
        a_route(slow.port, quick.port, more=more) as (_, browser),
    ):
        slow.responder = held
        waiting = asyncio.create_task(browser.fetch("GET", "/api/x"))
        await until(lambda: len(slow.received) + len(quick.received) == 1)
        for _ in range(4):
            await browser.fetch("GET", "/api/y")
        assert (len(slow.received), len(quick.received)) == (1, 4)
        held.go.set()
        assert (await waiting).body == b"held"


async def test_a_route_that_is_full_says_503_and_when() -> None:
    held = Held()
    async with an_api("max_concurrent = 2") as api:
        api.upstream.responder = held
        waiting = [asyncio.create_task(api.browser.fetch("GET", "/api/x")) for _ in range(2)]
        await until(lambda: len(api.upstream.received) == 2)
        refused = await api.browser.fetch("GET", "/api/x")
        assert (refused.status, refused.json()["code"]) == (503, "upstream_busy")
        assert refused.headers["Retry-After"] == "1"
        held.go.set()
        assert [(await one).status for one in waiting] == [200, 200]
        assert (await api.browser.fetch("GET", "/api/x")).status == 200


async def test_a_full_route_refuses_a_request_under_the_name_a_proxy_gave_it() -> None:
    """X-Request-ID: what a proxy in front logs can be found in the gateway's answer and log."""
    held = Held()
    async with an_api("max_concurrent = 1", 'trusted_proxies = ["127.0.0.1/32"]') as api:
        api.upstream.responder = held
        waiting = asyncio.create_task(api.browser.fetch("GET", "/api/x"))
        await until(lambda: len(api.upstream.received) == 1)
        answer = await api.raw(api.head("GET /api/x HTTP/1.1", "X-Request-ID: one-of-the-proxy"))
        assert status_of(answer) == 503
        assert b"\r\nX-Request-ID: one-of-the-proxy\r\n" in answer
        held.go.set()
        assert (await waiting).status == 200


async def test_an_exchange_that_takes_too_long_altogether_is_504() -> None:
    async def half(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK")
        await reader.read()
        writer.close()

    async with an_api('total_timeout = "300ms"') as api:
        api.upstream.responder = half
        answer = await api.browser.fetch("GET", "/api/x")
        assert (answer.status, answer.json()["code"]) == (504, "upstream_timeout")


@pytest.mark.rule("SM-06")
async def test_a_connection_too_many_is_told_so_and_the_others_are_served() -> None:
    async with an_api(server="max_connections = 5", user=None) as api:
        port = api.stack.ports.gateway
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        answer = await api.raw(b"")
        assert status_of(answer) == 503
        assert b"too_many_connections" in answer
        reader, writer = held[0]
        writer.write(api.head("GET /bff/user HTTP/1.1"))
        assert status_of(await reader.read()) == 401
        for _, other in held:
            other.close()

        async def is_served() -> bool:
            return status_of(await api.raw(api.head("GET /bff/user HTTP/1.1"))) == 401

        await until(is_served)
