"""Browsers that take their time: a head must come as a whole, a body must not fall silent.

RFC 9110 section 15.5.9 (408).
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tests.parts.raw_upstream import Received
from tests.polling import until
from tests.wire.client import End, Wire, wired
from tests.wire.fronts import PROBE, Front, the_gateway
from tests.wire.loops import ON_UVLOOP
from tests.wire.reading import read_answers, statuses

pytestmark = ON_UVLOOP

TIMES = 'head_timeout = "500ms"\nbody_timeout = "500ms"\nkeepalive_timeout = "1s"'


@pytest.fixture
async def gateway() -> AsyncIterator[Front]:
    async with the_gateway("", TIMES) as front:
        yield front


async def dripping(wire: Wire, data: bytes, *, every: float) -> None:
    """Send a byte now and a byte then, until the other side has had enough."""
    for byte in data:
        if wire.end is not End.OPEN:
            return
        wire.send(bytes([byte]))
        await asyncio.sleep(every)


@pytest.mark.rule("SM-06")
@pytest.mark.parametrize("begun", ["GET /api/x HTT", "GET /api/x HTTP/1.1\r\nX: y"])
async def test_a_head_that_stops_is_408(gateway: Front, begun: str) -> None:
    async with wired(gateway.port) as wire:
        wire.send(begun.encode())
        (answer,) = read_answers(await wire.until_end()).messages
    assert answer.status == 408
    assert answer.values(b"connection") == [b"close"]
    assert b"request_timeout" in answer.body


@pytest.mark.rule("SM-06")
async def test_a_head_that_drips_is_408(gateway: Front) -> None:
    """Each byte would be in time; the whole is not."""
    async with wired(gateway.port) as wire:
        await dripping(wire, b"GET /api/x HTTP/1.1\r\n" + b"X: y\r\n" * 99, every=0.1)
        received = await wire.until_end()
    assert statuses(read_answers(received).messages) == [408]
    assert not gateway.upstream.received


@pytest.mark.rule("SM-06")
async def test_the_head_of_a_later_request_has_no_more_time(gateway: Front) -> None:
    async with wired(gateway.port) as wire:
        wire.send(gateway.text("GET /api/x HTTP/1.1\r\n{ours}\r\nGET /api"))
        received = await wire.until_end()
    assert statuses(read_answers(received).messages) == [200, 408]


@pytest.mark.rule("SM-06")
@pytest.mark.parametrize("framing", ["Content-Length: 9", "Transfer-Encoding: chunked"])
async def test_a_body_that_stops_is_408(gateway: Front, framing: str) -> None:
    async def wait(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()
        writer.close()

    gateway.upstream.responder = wait
    async with wired(gateway.port) as wire:
        wire.send(gateway.text(f"POST /api/x HTTP/1.1\r\n{{ours}}{framing}\r\n\r\n4\r\n"))
        received = await wire.until_end()
    assert statuses(read_answers(received).messages) == [408]
    await until(lambda: gateway.upstream.closed == 1)


async def test_a_body_may_take_its_time_as_long_as_it_comes() -> None:
    server = 'body_timeout = "2s"\nkeepalive_timeout = "1s"'
    async with the_gateway("", server) as gateway, wired(gateway.port) as wire:
        wire.send(gateway.text("POST /api/x HTTP/1.1\r\n{ours}Content-Length: 8\r\n\r\n"))
        await dripping(wire, b"in time!", every=0.35)
        wire.send(gateway.text(PROBE))
        received = await wire.until_end()
    assert statuses(read_answers(received).messages) == [200, 200]
    assert gateway.upstream.received[0].body == b"in time!"


@pytest.mark.parametrize("first", ["", "GET /api/x HTTP/1.1\r\n{ours}\r\n"])
async def test_a_connection_without_a_request_ends_without_a_word(
    gateway: Front, first: str
) -> None:
    """No peer is there to read an answer to nothing."""
    async with wired(gateway.port) as wire:
        wire.send(gateway.text(first))
        received = await wire.until_end()
    assert statuses(read_answers(received).messages) == ([200] if first else [])
    assert wire.end is End.CLOSED


# --- browsers that take nothing


async def pour(
    request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """An answer that is larger than any browser takes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


@pytest.mark.rule("PX-14")
async def test_a_browser_that_takes_nothing_does_not_keep_an_upstream() -> None:
    async with the_gateway('timeout = "500ms"', TIMES) as gateway, wired(gateway.port) as wire:
        gateway.upstream.responder = pour
        wire.stop_reading()
        wire.send(gateway.text("GET /api/x HTTP/1.1\r\n{ours}\r\n"))
        await until(lambda: gateway.upstream.closed == 1)


async def test_a_browser_may_take_its_time_as_long_as_it_takes_something() -> None:
    """Longer than the API may be silent, which it is meanwhile only because no request reaches
    it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as browser:
        browser.setblocking(False)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        async with the_gateway('timeout = "1500ms"', TIMES) as gateway:
            gateway.upstream.responder = pour
            await loop.sock_connect(browser, ("127.0.0.1", gateway.port))
            await loop.sock_sendall(browser, gateway.text("GET /api/x HTTP/1.1\r\n{ours}\r\n"))
            for _ in range(30):
                assert await loop.sock_recv(browser, 65_536)
                await asyncio.sleep(0.1)
            assert gateway.upstream.closed == 0


def _is_cut_off(wire: Wire) -> bool:
    wire.send(b"?")  # to hear of it: what is not read tells nothing
    return wire.end is not End.OPEN


async def test_a_browser_that_takes_none_of_many_answers_is_cut_off(gateway: Front) -> None:
    async with wired(gateway.port) as wire:
        wire.stop_reading()
        wire.send(b"GET /x HTTP/1.1\r\n\r\n" * 100_000)
        await until(lambda: _is_cut_off(wire))
