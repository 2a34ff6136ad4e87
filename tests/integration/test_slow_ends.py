"""The end of a connection takes as long as the browser does, while it does something: one that is
still sending what is not wanted any more gets to read why, one that reads slowly gets all of it.

RFC 9112 section 9.6 (tear-down).
"""

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bff.proxy.transport import reset
from tests.integration.other_parts import Other, a_listener, context_of
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.polling import HANG_SECONDS, until
from tests.wire.reading import read_answers, statuses
from tests.wire.users import Users, a_gateway_for_users

ONCE_SECONDS = 2.5  # longer than the end of a connection once was given in all
SHORT_SECONDS = 0.2
BODY_BYTES = 300_000


@dataclass(frozen=True)
class Place:
    users: Users
    upstream: RawUpstream

    def other(self, **limits: Any) -> contextlib.AbstractAsyncContextManager[Other]:
        """A listener with some limits of its own."""
        shared = context_of(self.users.gateway)
        return a_listener(self.users.gateway, limits=dataclasses.replace(shared.limits, **limits))

    def refused(self) -> bytes:
        head = f"POST /nowhere/../x HTTP/1.1\r\nHost: {self.users.host}\r\n"
        return f"{head}Content-Length: 100000000\r\n\r\n".encode()


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        yield Place(users, upstream)


@contextlib.contextmanager
def a_socket() -> Iterator[socket.socket]:
    with socket.socket() as browser:
        browser.setblocking(False)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield browser


async def the_rest(browser: socket.socket) -> bytes:
    received = b""
    while data := await asyncio.get_running_loop().sock_recv(browser, 65_536):
        received += data
    return received


async def test_a_body_may_take_its_time_after_the_refusal(place: Place) -> None:
    """A reset would take the answer away from a browser that reads only when it has sent all."""
    loop = asyncio.get_running_loop()
    async with place.other() as other:
        with a_socket() as browser:
            await loop.sock_connect(browser, ("127.0.0.1", other.port))
            await loop.sock_sendall(browser, place.refused())
            began = loop.time()
            while loop.time() < began + ONCE_SECONDS:
                await loop.sock_sendall(browser, b"x")
                await asyncio.sleep(0.01)
            assert statuses(read_answers(await the_rest(browser)).messages) == [400]


@pytest.mark.rule("SM-06")
@pytest.mark.parametrize("limit", ["linger_seconds", "linger_most_seconds"])
async def test_what_is_not_wanted_is_not_drained_for_ever(place: Place, limit: str) -> None:
    """Neither when nothing comes any more, nor when there is no end to it."""
    loop = asyncio.get_running_loop()
    async with place.other(**{limit: SHORT_SECONDS}) as other:
        with a_socket() as browser:
            await loop.sock_connect(browser, ("127.0.0.1", other.port))
            await loop.sock_sendall(browser, place.refused())
            await the_rest(browser)

            async def is_over() -> bool:
                if limit == "linger_most_seconds":
                    with contextlib.suppress(ConnectionError):
                        await loop.sock_sendall(browser, b"x")
                return not other.connections

            await until(is_over)


async def reading_until_it_is_closing(other: Other, browser: socket.socket, place: Place) -> bytes:
    """What a browser has read of a large answer when the gateway has written all of it, and wants
    to close the connection."""
    loop = asyncio.get_running_loop()
    place.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (
        BODY_BYTES,
        b"x" * BODY_BYTES,
    )
    lines = await place.users.log_in("alice")
    head = f"GET /api/x HTTP/1.1\r\nHost: {place.users.host}\r\n{lines}Connection: close\r\n\r\n"
    await loop.sock_connect(browser, ("127.0.0.1", other.port))
    await until(lambda: bool(other.connections))
    sock = other.connections[0]._transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # or the kernel would take it all
    await loop.sock_sendall(browser, head.encode())
    await until(lambda: bool(place.upstream.received))
    received = b""
    while any(not one._transport.is_closing() for one in other.connections):
        received += await loop.sock_recv(browser, 1024)
    assert any(one._transport.get_write_buffer_size() for one in other.connections)
    return received


async def test_the_end_of_an_answer_may_be_read_slowly(place: Place) -> None:
    loop = asyncio.get_running_loop()
    async with place.other() as other:
        with a_socket() as browser:
            received = await reading_until_it_is_closing(other, browser, place)
            began = loop.time()
            await until(lambda: loop.time() > began + ONCE_SECONDS)
            received += await the_rest(browser)
    (answer,) = read_answers(received).messages
    assert len(answer.body) == BODY_BYTES


@pytest.mark.rule("SM-06")
async def test_an_answer_that_is_not_read_to_its_end_is_given_up(place: Place) -> None:
    async with place.other(body_seconds=SHORT_SECONDS) as other:
        with a_socket() as browser:
            await reading_until_it_is_closing(other, browser, place)
            await until(lambda: not other.connections)


async def test_the_other_end_sees_that_a_connection_was_cut() -> None:
    """Also when the connection knows no chunks: the end alone would be that of the body."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        loop = asyncio.get_running_loop()
        made = loop.create_connection(asyncio.Protocol, *listening.getsockname())
        transport, _ = await asyncio.wait_for(made, HANG_SECONDS)
        accepted, _ = listening.accept()
        with accepted:
            reset(transport)
            await asyncio.sleep(0)
            with pytest.raises(ConnectionResetError):
                accepted.recv(1)
