"""Time limits of connections, on an event loop whose clock is moved on by the test: none of them is
waited for, and a machine that stands still for a while changes nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from bff.proxy.downstream.connection import NEW_SECONDS
from bff.proxy.listener import MOST_REFUSED
from tests.integration.other_parts import a_listener, context_of
from tests.movable_loop import later, on_a_movable_loop
from tests.parts.raw_upstream import RawUpstream, Received, raw_upstream, read_body
from tests.polling import until
from tests.wire.client import End, Wire, wired
from tests.wire.reading import read_answers, statuses
from tests.wire.users import Users, a_gateway_for_users

LIMIT_SECONDS = 240.0
NEARLY = LIMIT_SECONDS * 0.75  # twice as much is beyond the limit
TIMES = f"""
head_timeout = "{LIMIT_SECONDS:.0f}s"
body_timeout = "{LIMIT_SECONDS:.0f}s"
keepalive_timeout = "{LIMIT_SECONDS:.0f}s"
"""
ROUTE = f"""
timeout = "{LIMIT_SECONDS:.0f}s"
keepalive_timeout = "{LIMIT_SECONDS:.0f}s"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """`lines` are those of a user in a head."""

    users: Users
    upstream: RawUpstream
    lines: str

    def request(self, method: str = "GET", path: str = "/api/x", more: str = "") -> bytes:
        return f"{method} {path} HTTP/1.1\r\n{self.lines}{more}\r\n".encode()


@asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    async with raw_upstream() as upstream:
        async with a_gateway_for_users(upstream.port, route=ROUTE, server=TIMES) as users:
            lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
            yield Place(users, upstream, lines)
        await until(lambda: upstream.closed == upstream.connections)
        await later(0)


def answers_of(wire: Wire) -> list[int]:
    return statuses(read_answers(bytes(wire.received)).messages)


def is_ended(wire: Wire) -> bool:
    return wire.end is not End.OPEN


# --- an upstream that takes its time


class InPieces:
    """An API that sends the next piece of its answer each time it may, and then nothing."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.may_go_on = asyncio.Semaphore(0)

    async def __call__(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(request, reader)
        for piece in self._pieces:
            await self.may_go_on.acquire()
            writer.write(piece)
        await reader.read()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


@on_a_movable_loop
async def test_an_answer_may_take_its_time_as_long_as_it_comes() -> None:
    """The timeout of a route is for silence, not for the whole."""
    async with a_place() as place, wired(place.users.port) as wire:
        place.upstream.responder = api = InPieces(HEAD + b"a", b"b", b"c")
        wire.send(place.request())
        await until(lambda: bool(place.upstream.received))
        for so_far in (b"a", b"ab", b"abc"):
            await later(NEARLY)
            api.may_go_on.release()
            await wire.until_received(b"\r\n\r\n" + so_far)
        assert answers_of(wire) == [200]


@on_a_movable_loop
async def test_an_answer_that_does_not_come_is_504() -> None:
    """RFC 9110 section 15.6.5."""
    async with a_place() as place, wired(place.users.port) as wire:
        place.upstream.responder = InPieces()
        wire.send(place.request())
        await until(lambda: bool(place.upstream.received))
        await later(NEARLY)
        assert not wire.received
        await later(NEARLY)
        await wire.until_received(b"upstream_timeout")
        assert answers_of(wire) == [504]


@on_a_movable_loop
async def test_an_answer_that_falls_silent_is_cut() -> None:
    async with a_place() as place, wired(place.users.port) as wire:
        place.upstream.responder = api = InPieces(HEAD + b"a")
        wire.send(place.request())
        api.may_go_on.release()
        await wire.until_received(b"\r\n\r\na")
        await later(NEARLY)
        assert not is_ended(wire)
        await later(NEARLY)
        await wire.until_end()
        assert wire.end is End.RESET


@on_a_movable_loop
async def test_a_connection_to_an_upstream_lies_idle_for_so_long() -> None:
    async with a_place() as place:
        for _ in range(2):  # its time begins anew with each answer
            async with wired(place.users.port) as wire:
                wire.send(place.request())
                await wire.until_received(b"ok")
            await later(NEARLY)
        assert (place.upstream.connections, place.upstream.closed) == (1, 0)
        await later(NEARLY)
        await until(lambda: place.upstream.closed == 1)


# --- a browser that takes its time


@on_a_movable_loop
async def test_a_body_may_take_its_time_as_long_as_it_comes() -> None:
    arrived = bytearray()

    async def count(
        _request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while len(arrived) < 4:
            arrived.extend(await reader.read(1))
        writer.write(HEAD + b"abc")

    async with a_place() as place, wired(place.users.port) as wire:
        place.upstream.responder = count
        wire.send(place.request("PUT", more="Content-Length: 4\r\n"))
        await until(lambda: bool(place.upstream.received))
        for size in (1, 2, 3, 4):
            await later(NEARLY)
            assert not is_ended(wire)
            wire.send(b"x")
            await until(lambda size=size: len(arrived) == size)  # type: ignore[misc]
        await wire.until_received(b"\r\n\r\nabc")
        assert answers_of(wire) == [200]


@on_a_movable_loop
async def test_a_body_that_falls_silent_is_408() -> None:
    """RFC 9110 section 15.5.9."""
    async with a_place() as place, wired(place.users.port) as wire:
        place.upstream.responder = InPieces()
        wire.send(place.request("PUT", more="Content-Length: 4\r\n") + b"x")
        await until(lambda: bool(place.upstream.received))
        await later(NEARLY)
        assert not wire.received
        await later(NEARLY)
        await wire.until_received(b"request_timeout")
        assert answers_of(wire) == [408]


@on_a_movable_loop
async def test_a_head_has_so_much_time_from_its_first_byte_on() -> None:
    """Each byte would be in time; the whole is not."""
    async with a_place() as place, wired(place.users.port) as wire:
        await later(NEARLY)
        await wire.send_split([b"GET /api/x HT"])
        await later(NEARLY)
        assert not is_ended(wire)
        await wire.send_split([b"TP/1.1\r\nX: y\r\n"])
        assert not is_ended(wire)
        await later(NEARLY)
        await wire.until_end()
        assert answers_of(wire) == [408]
        assert not place.upstream.received


@on_a_movable_loop
async def test_a_connection_waits_so_long_for_its_first_request() -> None:
    async with a_place() as place, wired(place.users.port) as wire:
        await later(NEARLY)
        assert not is_ended(wire)
        await later(NEARLY)
        await wire.until_end()
        assert (bytes(wire.received), wire.end) == (b"", End.CLOSED)


@on_a_movable_loop
async def test_a_connection_waits_so_long_for_another_request() -> None:
    async with a_place() as place, wired(place.users.port) as wire:
        for count in (1, 2):
            wire.send(place.request())
            await until(lambda count=count: answers_of(wire) == [200] * count)  # type: ignore[misc]
            await later(NEARLY)
            assert not is_ended(wire)
        await later(NEARLY)
        await wire.until_end()
        assert (answers_of(wire), wire.end) == ([200, 200], End.CLOSED)


# --- a gateway that stops


@on_a_movable_loop
async def test_a_connection_without_a_request_has_a_moment_when_the_gateway_stops() -> None:
    """Its first request may be on its way. One that had its time is closed at once."""
    async with a_place() as place, a_listener(place.users.gateway) as other:
        async with wired(other.port) as old:
            await until(lambda: len(other.connections) == 1)
            await later(NEW_SECONDS)
            async with wired(other.port) as new:
                await until(lambda: len(other.connections) == 2)
                stopping = asyncio.create_task(other.listener.stop(LIMIT_SECONDS))
                await old.until_end()
                assert not is_ended(new)
                async with wired(other.port) as newest:
                    await until(lambda: len(other.connections) == 2)
                    await later(NEW_SECONDS / 2)
                    assert not is_ended(new)
                    new.send(place.request())
                    await new.until_end()
                    assert not is_ended(newest)
                    await later(NEW_SECONDS)
                    await newest.until_end()
        await stopping
        assert (answers_of(old), answers_of(new), answers_of(newest)) == ([], [200], [])


# --- more connections than are told that there are too many


@on_a_movable_loop
async def test_only_so_many_connections_are_told_that_there_are_too_many() -> None:
    """An answer takes as long as a browser cares to read it: further ones are cut off."""
    loop = asyncio.get_running_loop()
    async with a_place() as place, AsyncExitStack() as stack:
        limits = replace(context_of(place.users.gateway).limits, max_connections=1)
        one = await stack.enter_async_context(a_listener(place.users.gateway, limits=limits))
        first = await stack.enter_async_context(wired(one.port))
        await until(lambda: len(one.connections) == 1)

        async def told() -> bytes:
            """What a further browser reads that does not hang up."""
            browser = stack.enter_context(socket.socket())
            browser.setblocking(False)
            await loop.sock_connect(browser, ("127.0.0.1", one.port))
            return await loop.sock_recv(browser, 65_536)

        for _ in range(MOST_REFUSED):
            assert b"too_many_connections" in await told()
        with pytest.raises(ConnectionResetError):
            await told()
        assert not is_ended(first)
        await later(NEARLY)  # of those that were told, none is left
        assert b"too_many_connections" in await told()
