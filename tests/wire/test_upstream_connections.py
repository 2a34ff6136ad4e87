"""Connections to upstreams: used again, given up, and replaced only where that is safe.

RFC 9110 section 9.2.2 (retries); RFC 9112 sections 9.2 (answers without a request), 9.3.1 and 9.6.
"""

import asyncio
import gc

import pytest

from bff.proxy.upstream.connection import UpstreamConnection
from bff.proxy.upstream.pool import UpstreamPool
from tests.parts.configuration import Ports, gateway_toml, settings_from
from tests.parts.raw_upstream import OK, Received, read_body
from tests.polling import until
from tests.wire.client import everything
from tests.wire.fronts import Front, the_gateway
from tests.wire.reading import Answer, read_answers

BEGUN = b"HTTP/1.1 2"


async def ask(gateway: Front, method: str = "GET", body: str = "") -> Answer:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} /api/x HTTP/1.1\r\n{{ours}}Connection: close\r\n{length}\r\n"
    received, _ = await everything(gateway.port, gateway.text(head) + body.encode())
    (answer,) = read_answers(received, [method]).messages
    return answer


def hang_up(gateway: Front, *, after: bytes = b"", times: int = 1) -> None:
    """Have the upstream read a request and hang up so many times, then answer again."""
    left = times

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            gateway.upstream.responder = None
        await read_body(request, reader)
        writer.write(after)
        await writer.drain()
        writer.close()

    gateway.upstream.responder = respond


async def test_a_connection_serves_one_request_after_the_other(gateway: Front) -> None:
    for method, body in (("GET", ""), ("POST", "x"), ("GET", "")):
        assert (await ask(gateway, method, body)).status == 200
    assert gateway.upstream.connections == 1


@pytest.mark.rule("PX-15")
@pytest.mark.parametrize(
    ("method", "body"), [("GET", ""), ("HEAD", ""), ("PUT", "again"), ("DELETE", "")]
)
async def test_a_request_is_sent_again_when_its_connection_was_stale(
    gateway: Front, method: str, body: str
) -> None:
    """The upstream closed it while it lay idle; twice is as good as once for these methods."""
    await ask(gateway)
    hang_up(gateway)
    assert (await ask(gateway, method, body)).status == 200
    assert [request.body for request in gateway.upstream.received] == [b"", *[body.encode()] * 2]
    assert gateway.upstream.connections == 2


@pytest.mark.rule("PX-15")
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_must_not_happen_twice_is_not_sent_twice(gateway: Front, method: str) -> None:
    await ask(gateway)
    hang_up(gateway)
    assert (await ask(gateway, method, "once")).status == 502
    assert [request.body for request in gateway.upstream.received] == [b"", b"once"]


@pytest.mark.rule("PX-15")
async def test_a_request_is_not_sent_again_once_an_answer_has_begun(gateway: Front) -> None:
    await ask(gateway)
    hang_up(gateway, after=BEGUN)
    assert (await ask(gateway)).status == 502
    assert len(gateway.upstream.received) == 2


@pytest.mark.rule("PX-15")
async def test_a_request_is_not_sent_again_from_a_new_connection(gateway: Front) -> None:
    """It was not stale: the upstream hangs up on the request."""
    hang_up(gateway)
    assert (await ask(gateway)).status == 502
    assert len(gateway.upstream.received) == 1


@pytest.mark.rule("PX-15")
async def test_a_request_is_sent_again_once_at_most(gateway: Front) -> None:
    await ask(gateway)
    hang_up(gateway, times=3)
    assert (await ask(gateway)).status == 502
    assert len(gateway.upstream.received) == 3


@pytest.mark.rule("PX-15")
async def test_a_body_that_is_not_kept_is_not_sent_again(gateway: Front) -> None:
    """Not even for a method that allows it: what has been sent of a large one is gone."""
    await ask(gateway)
    hang_up(gateway)
    assert (await ask(gateway, "PUT", "x" * 300_000)).status == 502
    assert len(gateway.upstream.received) == 2


@pytest.mark.rule("SM-07")
async def test_bytes_on_an_idle_connection_are_no_answer(gateway: Front) -> None:
    answered = asyncio.Event()

    async def one_more(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gateway.upstream.responder = None
        writer.write(OK)
        await answered.wait()  # now the connection lies idle
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await reader.read()
        writer.close()

    gateway.upstream.responder = one_more
    assert (await ask(gateway)).body == b"ok"
    answered.set()
    await until(lambda: gateway.upstream.closed == 1)
    assert (await ask(gateway)).body == b"ok"
    assert gateway.upstream.connections == 2


async def test_a_connection_the_upstream_closes_is_not_used_again(gateway: Front) -> None:
    async def close(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gateway.upstream.responder = None
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await reader.read()  # it is the gateway that closes, and at once
        writer.close()

    gateway.upstream.responder = close
    await ask(gateway)
    await until(lambda: gateway.upstream.closed == 1)
    assert (await ask(gateway, "POST", "x")).status == 200
    assert gateway.upstream.connections == 2


async def test_a_connection_that_was_closed_while_it_lay_idle_is_forgotten(gateway: Front) -> None:
    """Once that is known, nothing has to be tried on it, not even what must not happen twice."""
    answered = asyncio.Event()

    async def leave(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gateway.upstream.responder = None
        writer.write(OK)
        await answered.wait()  # now the connection lies idle
        writer.write_eof()
        await reader.read()  # until the other side has closed it as well
        writer.close()

    gateway.upstream.responder = leave
    await ask(gateway)
    answered.set()
    await until(lambda: gateway.upstream.closed == 1)
    assert (await ask(gateway, "POST", "x")).status == 200
    assert gateway.upstream.connections == 2


COMMON_SERVERS_KEEP_SECONDS = 5.0  # Node.js, uvicorn


async def test_a_connection_that_lies_idle_is_closed_before_the_upstream_would() -> None:
    """A POST that meets one which is just being closed fails, and can't be sent again."""
    async with the_gateway('keepalive_timeout = "50ms"', "") as gateway:
        assert (await ask(gateway)).status == 200
        await until(lambda: gateway.upstream.closed == 1)
        assert (await ask(gateway, "POST", "x")).status == 200
        assert gateway.upstream.connections == 2
    routes = '[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:1/"'
    settings = settings_from(gateway_toml(Ports(1, 2, 3, 4), routes=routes))
    assert settings.routes[0].keepalive_timeout < COMMON_SERVERS_KEEP_SECONDS


def remembered() -> int:
    """How many connections to upstreams there are in memory, open ones or not."""
    gc.collect()
    found = (one for one in gc.get_objects() if isinstance(one, UpstreamConnection))
    return sum(isinstance(one._pool, UpstreamPool) for one in found)


async def test_connections_that_are_closed_are_not_remembered(gateway: Front) -> None:
    """Round after round, with one that lives on: what lies below it must go as well."""
    before = remembered()
    for _ in range(20):
        gateway.upstream.responder = Together(5)
        await asyncio.gather(*(ask(gateway) for _ in range(5)))
        await until(lambda: gateway.upstream.closed == gateway.upstream.connections)
    await until(lambda: remembered() == before)


class Together:
    """Answers once so many have asked, and hangs up: so each has a connection of its own."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._all = asyncio.Event()

    async def __call__(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._left -= 1
        if self._left == 0:
            self._all.set()
        await self._all.wait()
        writer.write(OK)
        await writer.drain()
        writer.write_eof()  # it has become idle at the gateway, or is about to
        await reader.read()
        writer.close()
