"""Connections to upstreams: used again, given up, and replaced only where that is safe.

RFC 9110 section 9.2.2 (retries); RFC 9112 sections 9.2 (answers nobody asked for), 9.3.1 and 9.6.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.polling import until
from tests.raw_upstream import OK, Received, read_body
from tests.wire.client import everything
from tests.wire.fronts import Front, the_gateway
from tests.wire.reading import Answer, read_answers

BEGUN = b"HTTP/1.1 2"


@pytest.fixture
async def gateway() -> AsyncIterator[Front]:
    async with the_gateway('timeout = "5s"', "") as front:
        yield front


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
async def test_bytes_on_an_idle_connection_are_nobodys_answer(gateway: Front) -> None:
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
