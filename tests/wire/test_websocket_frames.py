"""WebSockets, frame by frame: a tunnel changes nothing, and adds one frame at the session's end.

The cases are of the kinds that fuzzing clients for WebSocket servers try: framing, pings, reserved
bits, opcodes, fragments, UTF-8 and closing. What a server says to them is the server's business;
what counts is that it says the same with the gateway in between.

RFC 6455 sections 4.2, 5 and 7.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import cycle
from random import Random

import pytest
from aiohttp import web

from tests.parts.raw_upstream import OK, RawUpstream, Received, raw_upstream
from tests.parts.servers import free_port, serving
from tests.polling import HANG_SECONDS, until
from tests.wire import frames
from tests.wire.client import End, Wire, everything, wired
from tests.wire.frames import BINARY, CONTINUATION, PING, PONG, TEXT, close, frame, read_frames
from tests.wire.reading import read_answers, statuses
from tests.wire.users import Users, a_gateway_for_users

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of this key, as in RFC 6455 section 1.3
HANDSHAKE = (
    "GET PATH HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nUpgrade: websocket\r\n"
    f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)

CASES = {
    "nothing": frame(TEXT),
    "text of 125": frame(TEXT, b"*" * 125),
    "text of 126": frame(TEXT, b"*" * 126),
    "text of 65535": frame(TEXT, b"*" * 65_535),
    "binary of 65536": frame(BINARY, b"\xfe" * 65_536),
    "binary of a megabyte": frame(BINARY, bytes(range(256)) * 4096),
    "a length in more bytes than needed": frame(TEXT, b"hello", length_bytes=8),
    "ping": frame(PING),
    "ping of 125": frame(PING, b"\xfe" * 125),
    "ping of 126, which is too long": frame(PING, b"\xfe" * 126),
    "ten pings": frame(PING, b"again") * 10,
    "a pong without a ping": frame(PONG, b"here") + frame(PING, b"there"),
    "a reserved bit": frame(TEXT, b"one") + frame(TEXT, b"two", reserved=4),
    "all reserved bits": frame(TEXT, b"one", reserved=7),
    "a reserved opcode": frame(TEXT, b"one") + frame(3) + frame(PING),
    "a reserved control opcode": frame(TEXT, b"one") + frame(11, b"x") + frame(PING),
    "not masked": frame(TEXT, b"one", masked=False),
    "a ping in two": frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b"),
    "text in two": frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b"),
    "text in two with a ping between": frame(TEXT, b"a", fin=False)
    + frame(PING, b"!")
    + frame(CONTINUATION, b"b"),
    "text in a hundred": frame(TEXT, fin=False)
    + frame(CONTINUATION, b"ab", fin=False) * 98
    + frame(CONTINUATION, b"c"),
    "a continuation of nothing": frame(CONTINUATION, b"a") + frame(TEXT, b"b"),
    "text within a text": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "UTF-8": frame(TEXT, "κόσμε \U0001f600".encode()),
    "UTF-8 cut between frames": frame(TEXT, b"\xce", fin=False) + frame(CONTINUATION, b"\xba"),
    "no UTF-8": frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"),
    "text after a close": frame(TEXT, b"a") + close() + frame(TEXT, b"b"),
    "a close without a code": frame(frames.CLOSE),
    "a close of one byte": frame(frames.CLOSE, b"x"),
    "a close with a reason": close(1000, b"goodbye"),
    "a close with a reason that is too long": close(1000, b"*" * 124),
    "a close with a code of its own": close(3999),
    "a close with a code that may not be sent": close(1005),
    "a close that is no UTF-8": close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"),
}


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress="deflate" in request.query_string)
    await socket.prepare(request)
    async for message in socket:
        if message.type is web.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


def handshake(path: str, host: str, user: str = "", *, more: str = "") -> bytes:
    """A browser's; `user` are the lines that say whose it is."""
    head = HANDSHAKE.replace("PATH", path).replace("HOST", host)
    return f"{head}{user}{more}\r\n".encode()


async def conversation(port: int, opening: bytes, pieces: list[bytes]) -> bytes:
    """Open, send, and everything the server says after the handshake until it hangs up."""
    async with wired(port) as wire:
        wire.send(opening)
        await wire.until_received(b"\r\n\r\n")
        assert wire.received.startswith(b"HTTP/1.1 101 ")
        await wire.send_split(pieces)
        received = await wire.until_end()
    return received.partition(b"\r\n\r\n")[2]


@contextlib.asynccontextmanager
async def an_echo() -> AsyncIterator[tuple[int, Users]]:
    """A server of WebSockets, and the gateway in front of it."""
    application, port = web.Application(), free_port()
    application.router.add_get("/v1/echo", _echo)
    async with (
        serving(application, port),
        a_gateway_for_users(port, route="websocket = true") as users,
    ):
        yield port, users


@pytest.mark.rule("PX-17")
async def test_a_server_says_the_same_with_the_gateway_in_between() -> None:
    random = Random(0)  # noqa: S311 - no secret
    async with an_echo() as (port, users):
        user = await users.log_in("alice")
        found = {}
        for name, sent in CASES.items():
            data = sent + close()
            cuts = sorted(random.sample(range(len(data)), min(6, len(data))))
            split = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            direct = await conversation(port, handshake("/v1/echo", users.host), [data])
            opening = handshake("/api/echo", users.host, user)
            assert read_frames(direct)[1] == b""
            for pieces in ([data], split):
                found[name] = await conversation(users.port, opening, pieces) == direct
        assert [name for name, same in found.items() if not same] == []


@pytest.mark.rule("PX-17")
async def test_compression_is_agreed_on_end_to_end() -> None:
    """Extensions and subprotocols of the handshake pass, and so do the bits they use."""
    more = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    hello = frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", reserved=4)  # RFC 7692 section 7.2.3.1
    async with an_echo() as (port, users):
        direct = handshake("/v1/echo?deflate", users.host, more=more)
        through = handshake("/api/echo?deflate", users.host, await users.log_in("a"), more=more)
        answers = [
            await conversation(to, opening, [hello + close()])
            for to, opening in ((port, direct), (users.port, through))
        ]
    assert answers[0] == answers[1]
    assert answers[0][0] & 0x40, "the answer is compressed too"


# --- what the handshake itself must be


@pytest.mark.rule("PX-17")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("Upgrade: websocket", "Upgrade: websocket, h2c"), b"501"),
        (("Connection: Upgrade", "Connection: keep-alive"), b"400"),
        (("Version: 13", "Version: 8"), b"400"),
        ((f"Key: {KEY}", "Key: short"), b"400"),
        ((f"Key: {KEY}", f"Key: {KEY}\r\nSec-WebSocket-Key: {KEY}"), b"400"),
        (("GET ", "POST "), b"400"),
        (("Origin: http://", "Origin: https://"), b"403"),
        (("Origin: ", "X-Origin: "), b"403"),
        (("Cookie: bff=", "Cookie: bff=x"), b"401"),
    ],
)
async def test_what_is_no_handshake_of_our_own_page_is_refused(
    change: tuple[str, str], status: bytes
) -> None:
    """And what follows it is neither a frame nor a request."""
    async with raw_upstream() as upstream, a_gateway_of(upstream) as users:
        opening = handshake("/api/echo", users.host, await users.log_in("alice")).decode()
        smuggled = f"GET /api/smuggled HTTP/1.1\r\nHost: {users.host}\r\n\r\n".encode()
        async with wired(users.port) as wire:
            wire.send(opening.replace(*change, 1).encode() + frame(TEXT, b"early") + smuggled)
            received = await wire.until_end()
        assert received.split(b" ")[1] == status
        assert not upstream.received


@pytest.mark.rule("PX-17")
async def test_an_upgrade_in_http_1_0_is_ignored() -> None:
    """RFC 9110 section 7.8: a server MUST ignore it there, so that what looks like a handshake is a
    request like any other. RFC 6455 section 4.1 knows no handshake in HTTP/1.0; its section 4.2.1
    would have the server answer 400, but is about requests that are handshakes at all."""
    async with raw_upstream() as upstream, a_gateway_of(upstream) as users:
        opening = handshake("/api/echo", users.host, await users.log_in("alice"))
        asked = opening.replace(b"HTTP/1.1", b"HTTP/1.0")
        received, _ = await everything(users.port, asked.replace(b"Cookie: bff=", b"X: "))
        assert statuses(read_answers(received).messages) == [401]
        assert not upstream.received
        received, _ = await everything(users.port, asked)
        assert statuses(read_answers(received).messages) == [200]
        (request,) = upstream.received
        assert request.values(b"upgrade") == []


@pytest.mark.rule("PX-17")
async def test_frames_that_come_while_the_handshake_waits_its_turn_are_too_early() -> None:
    """RFC 6455 section 4.1: a client waits for the answer. Here the request before takes long;
    what came with the handshake must not be lost without a word, and the API is not asked."""
    proceed = asyncio.Event()

    async def slow(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await proceed.wait()
        writer.write(OK)

    async with raw_upstream() as upstream, a_gateway_of(upstream) as users:
        upstream.responder = slow
        user = await users.log_in("alice")
        async with wired(users.port) as wire:
            wire.send(f"GET /api/slow HTTP/1.1\r\nHost: {users.host}\r\n{user}\r\n".encode())
            await until(lambda: upstream.received != [])
            wire.send(handshake("/api/echo", users.host, user) + frame(TEXT, b"early"))
            proceed.set()
            received = await wire.until_end()
        assert statuses(read_answers(received).messages) == [200, 400]
        assert len(upstream.received) == 1


@pytest.mark.rule("PX-17")
async def test_frames_that_come_while_the_api_thinks_about_the_handshake_are_too_early() -> None:
    """They can't be passed on, as the API may yet refuse, and must not be lost without a word."""

    async def think(
        _request: Received, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()

    async with raw_upstream() as upstream, a_gateway_of(upstream) as users:
        upstream.responder = think
        user = await users.log_in("alice")
        async with wired(users.port) as wire:
            wire.send(handshake("/api/echo", users.host, user))
            await until(lambda: upstream.received != [])
            wire.send(frame(TEXT, b"early"))
            received = await wire.until_end()
        assert statuses(read_answers(received).messages) == [400]
        await until(lambda: upstream.closed == 1)


# --- how it ends


@contextlib.asynccontextmanager
async def a_gateway_of(upstream: RawUpstream) -> AsyncIterator[Users]:
    async with a_gateway_for_users(upstream.port, route="websocket = true") as users:
        yield users


@contextlib.asynccontextmanager
async def opened(users: Users, user: str) -> AsyncIterator[Wire]:
    async with wired(users.port) as wire:
        wire.send(handshake("/api/echo", users.host, user))
        await wire.until_received(b"\r\n\r\n")
        yield wire


class Stream:
    """An upstream that sends its data in pieces of these sizes, by turns. `ended`: the gateway has
    hung up."""

    def __init__(self, data: bytes, sizes: Sequence[int] = (1000,)) -> None:
        self._data = data
        self._sizes = cycle(sizes)
        self.ended = asyncio.Event()

    async def __call__(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(SWITCHED)
        data = self._data
        try:
            while data and not writer.is_closing():  # uvloop raises, asyncio drops
                size = next(self._sizes)
                writer.write(data[:size])
                await writer.drain()
                data = data[size:]
                await asyncio.sleep(0.001)  # so that it can be met in the middle
            await reader.read()
        except ConnectionError:
            pass
        self.ended.set()
        writer.close()


@pytest.mark.rule("SE-07")
async def test_a_logout_at_any_moment_leaves_whole_frames_and_says_4401_between_two() -> None:
    random = Random(0)  # noqa: S311 - no secret
    told = 0
    async with raw_upstream() as upstream, a_gateway_of(upstream) as users:
        for number in range(40):
            sizes = [random.choice((0, 100, 300, 70_000)) for _ in range(12)]
            sent = b"".join(frame(BINARY, b"\xaa" * size, masked=False) for size in sizes)
            upstream.responder = stream = Stream(sent, (7, 1000, 1, 30_000))
            user = await users.log_in(f"user{number}")
            async with opened(users, user) as wire:
                wanted = random.randrange(len(sent)) if number % 4 else len(sent)
                await until(partial(_has, wire, wanted), every=0.001)
                await users.log_out(user)
                received = (await wire.until_end()).partition(b"\r\n\r\n")[2]
            async with asyncio.timeout(HANG_SECONDS):
                await stream.ended.wait()
            told += _ends_well(received, sent)
    assert 10 <= told < 40  # not each time: within a frame there is no room for another


def _has(wire: Wire, wanted: int) -> bool:
    return len(wire.received) >= wanted


def _ends_well(received: bytes, sent: bytes) -> bool:
    """Whether the last frame is ours; what comes before it is what was sent, as far as it went."""
    goodbye = b"\x88\x08" + (4401).to_bytes(2) + b"logout"
    told = received.endswith(goodbye)
    stream = received.removesuffix(goodbye)
    assert sent.startswith(stream)
    assert not told or read_frames(stream)[1] == b"", "within a frame"
    return told


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_a_server_learns_that_the_browser_is_gone(how: str) -> None:
    stream = Stream(frame(TEXT, b"hello", masked=False))
    async with raw_upstream() as upstream, a_gateway_of(upstream) as users:
        upstream.responder = stream
        async with opened(users, await users.log_in("alice")) as wire:
            await wire.until_received(b"hello")
            getattr(wire, how)()
            async with asyncio.timeout(HANG_SECONDS):
                await stream.ended.wait()


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_a_browser_learns_that_the_server_is_gone(how: str) -> None:
    async def leave(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(SWITCHED + frame(TEXT, b"hello", masked=False))
        await reader.readexactly(1)
        getattr(writer.transport, how)()

    async with raw_upstream() as upstream, a_gateway_of(upstream) as users:
        upstream.responder = leave
        async with opened(users, await users.log_in("alice")) as wire:
            await wire.until_received(b"hello")
            wire.send(frame(TEXT, b"x"))
            received = await wire.until_end()
            assert wire.end is not End.OPEN
    found, rest = read_frames(received.partition(b"\r\n\r\n")[2])
    assert ([item.payload for item in found], rest) == ([b"hello"], b"")
