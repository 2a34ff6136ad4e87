"""A browser that sends as fast as can be does not keep the gateway from the others.

On uvloop only: asyncio's own loop reads once from each connection anyway.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.parts.configuration import free_ports, gateway_toml
from tests.parts.stack import running_gateway
from tests.wire.loops import ON_UVLOOP

pytestmark = ON_UVLOOP

BODY_BYTES = 64 * 2**20
BUFFER_BYTES = 2**22
PIECE = bytes(2**16)
# A turn reads 256,000 bytes of a connection, so there are 262 turns, less what lies in buffers at
# the end. If libuv were not stopped a turn would read all that has come: 12 or 13 of them.
LEAST_TURNS = 64


async def turns_to_push(sock: socket.socket) -> int:
    """Send all that can be sent, in each turn of the event loop; in how many of them the gateway
    has made room for more."""
    turns, left = 0, BODY_BYTES
    while left:
        before = left
        with contextlib.suppress(BlockingIOError):
            while left:
                left -= sock.send(PIECE[:left])
        turns += left < before
        await asyncio.sleep(0)
    return turns


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway, and the API behind it, for the test to play."""

    port: int
    api: socket.socket

    def head(self, method: str, *fields: str) -> bytes:
        lines = (f"{method} /api/x HTTP/1.1", f"Host: localhost:{self.port}", "X-CSRF: 1", *fields)
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    ports = free_ports()
    route = (
        f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{ports.api}/"\ntoken = "none"'
    )
    with socket.create_server(("127.0.0.1", ports.api)) as api:
        async with running_gateway(gateway_toml(ports, routes=route)):
            yield Place(ports.gateway, api)


def taking(sock: socket.socket) -> threading.Thread:
    """Take whatever comes, until `BODY_BYTES` have."""

    def take() -> None:
        sock.settimeout(10.0)
        buffer, left = bytearray(2**20), BODY_BYTES
        while left > 0 and (taken := sock.recv_into(buffer)):
            left -= taken

    thread = threading.Thread(target=take)
    thread.start()
    return thread


async def accepted(api: socket.socket) -> socket.socket:
    """The gateway's connection, once it has sent a whole head."""
    loop = asyncio.get_running_loop()
    api.setblocking(False)
    sock, _ = await loop.sock_accept(api)
    received = b""
    while b"\r\n\r\n" not in received:
        received += await loop.sock_recv(sock, 65_536)
    return sock


@pytest.mark.rule("PX-14")
async def test_an_answer_is_read_by_turns() -> None:
    async with a_place() as place:
        with socket.create_connection(("127.0.0.1", place.port)) as browser:
            browser.sendall(place.head("GET"))
            with await accepted(place.api) as api:
                api.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
                api.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
                thread = taking(browser)
                assert await turns_to_push(api) >= LEAST_TURNS
                await asyncio.to_thread(thread.join)


@pytest.mark.rule("PX-14")
async def test_a_request_is_read_by_turns() -> None:
    async with a_place() as place:
        with socket.create_connection(("127.0.0.1", place.port)) as browser:
            browser.setblocking(False)
            browser.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            browser.send(place.head("POST", f"Content-Length: {BODY_BYTES}"))
            with await accepted(place.api) as api:
                thread = taking(api)
                assert await turns_to_push(browser) >= LEAST_TURNS
                await asyncio.to_thread(thread.join)
