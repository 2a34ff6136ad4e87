"""What happens when both sides speak at once, or one of them stops: order, early answers, hang-ups.

RFC 9110 section 10.1.1 (100-continue); RFC 9112 sections 6.3, 8, 9.3, 9.5 and 9.6.
"""

import asyncio

import pytest

from tests.parts.raw_upstream import OK, Received, raw_upstream, read_body
from tests.polling import HANG_SECONDS, until
from tests.wire.client import End, Wire, everything, wired
from tests.wire.fronts import PROBE, Front, the_gateway
from tests.wire.reading import read_answers, statuses
from tests.wire.users import a_gateway_for_users

CLOSE = "{ours}Connection: close\r\n\r\n"


def post(gateway: Front, framing: str) -> bytes:
    return gateway.text(f"POST /api/x HTTP/1.1\r\n{{ours}}{framing}\r\n\r\n")


def get(gateway: Front, path: str = "/api/x") -> bytes:
    return gateway.text(f"GET {path} HTTP/1.1\r\n{{ours}}\r\n")


async def answered(wire: Wire, times: int) -> list[int]:
    """The statuses, once so many answers have come whole; the connection stays open."""

    def all_whole() -> bool:
        read = read_answers(bytes(wire.received), ended=False).messages
        return len(read) >= times and read[-1].whole

    await until(all_whole)
    return statuses(read_answers(bytes(wire.received), ended=False).messages)


# --- a body that waits to be invited


@pytest.mark.rule("PX-16")
async def test_a_body_is_invited_when_an_upstream_can_take_it(gateway: Front) -> None:
    async with wired(gateway.port) as wire:
        wire.send(post(gateway, "Expect: 100-continue\r\nContent-Length: 4"))
        await wire.until_received(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert len(gateway.upstream.received) <= 1
        wire.send(b"body")
        assert await answered(wire, 1) == [100, 200]
        assert [request.body for request in gateway.upstream.received] == [b"body"]


@pytest.mark.rule("PX-16")
async def test_a_refused_request_is_not_invited_to_send_its_body(gateway: Front) -> None:
    head = f"POST /api/x HTTP/1.1\r\nHost: {gateway.host}\r\nExpect: 100-continue\r\n"
    received, end = await everything(gateway.port, f"{head}Content-Length: 4\r\n\r\n".encode())
    assert statuses(read_answers(received).messages) == [401]
    assert end is End.CLOSED


# --- an answer before its request has ended


@pytest.mark.rule("PX-14")
async def test_an_answer_overtakes_the_body_it_refuses(gateway: Front) -> None:
    """The browser gets it whole; then neither connection is used again."""

    async def refuse(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gateway.upstream.responder = None
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()  # to the end: the connection is not to be used again
        writer.close()

    gateway.upstream.responder = refuse
    async with wired(gateway.port) as wire:
        wire.send(post(gateway, "Content-Length: 1000000") + b"x" * 1000)
        await wire.until_received(b"no")
        wire.send(b"x" * 1000)
        received = await wire.until_end()
    (answer,) = read_answers(received).messages
    assert (answer.status, answer.body, answer.whole) == (403, b"no", True)
    assert answer.values(b"connection") == [b"close"]
    assert wire.end is End.CLOSED
    again, _ = await everything(gateway.port, gateway.text(PROBE))
    assert statuses(read_answers(again).messages) == [200]
    assert gateway.upstream.connections == 2


@pytest.mark.rule("PX-14")
async def test_an_answer_may_flow_while_its_request_still_does(gateway: Front) -> None:
    async def echo(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(2):
            writer.write(await reader.readexactly(5))

    gateway.upstream.responder = echo
    async with wired(gateway.port) as wire:
        wire.send(post(gateway, "Content-Length: 10") + b"first")
        await wire.until_received(b"\r\n\r\nfirst")
        wire.send(b"other")
        await wire.until_received(b"\r\n\r\nfirstother")


# --- order


async def test_a_fast_second_answer_waits_for_a_slow_first(gateway: Front) -> None:
    """RFC 9112 section 9.3.2."""
    proceed = asyncio.Event()

    async def slow(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gateway.upstream.responder = None
        await proceed.wait()
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    gateway.upstream.responder = slow
    async with wired(gateway.port) as wire:
        wire.send(get(gateway, "/api/slow") + gateway.text("GET /api/../x HTTP/1.1\r\n{ours}\r\n"))
        wire.send(get(gateway, "/api/fast"))
        await until(lambda: gateway.upstream.received != [])
        assert not wire.received
        proceed.set()
        assert await answered(wire, 3) == [201, 400, 200]


async def test_a_body_over_the_limit_is_refused_in_its_turn() -> None:
    """Not before the answer to the request in front of it, whose answer it would be taken for."""
    async with the_gateway(server='max_body = "1KiB"') as gateway, wired(gateway.port) as wire:
        wire.send(get(gateway) + post(gateway, "Transfer-Encoding: chunked") + b"800\r\n")
        wire.send(b"x" * 2048 + b"\r\n0\r\n\r\n" + get(gateway, "/api/after"))
        received = await wire.until_end()
        assert statuses(read_answers(received).messages) == [200, 413]
        lines = [request.request_line for request in gateway.upstream.received]
        assert b"GET /v1/after HTTP/1.1" not in lines


@pytest.mark.rule("PX-14")
async def test_pipelining_is_no_way_around_the_limit_of_what_is_held(gateway: Front) -> None:
    """A browser that reads nothing gets no second answer made: it would have to be kept in
    memory."""
    size = 100_000
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    gateway.upstream.answer = head + b"x" * size
    async with wired(gateway.port) as wire:
        wire.stop_reading()
        wire.send(get(gateway) * 400)
        seen = 0
        while seen != len(gateway.upstream.received) or seen == 0:  # until no more are asked
            seen = len(gateway.upstream.received)
            await asyncio.sleep(0.2)
        assert seen * size < 20_000_000
        gateway.upstream.received.clear()
        wire.read_on()
        await until(lambda: len(gateway.upstream.received) == 400 - seen)


@pytest.mark.rule("SM-03")
@pytest.mark.parametrize("body", [b"0\r\n" + b"X: y\r\n" * 100_000, b"1;" + b"x" * 600_000])
async def test_what_is_dropped_has_an_end_too(gateway: Front, body: bytes) -> None:
    """Trailers and chunk extensions (RFC 9112 section 7.1): no other part would count them."""
    async with wired(gateway.port) as wire:
        wire.send(post(gateway, "Transfer-Encoding: chunked") + body)
        received = await wire.until_end()
    assert statuses(read_answers(received).messages) == [400]


@pytest.mark.parametrize("reads", [True, False])
async def test_thousands_of_small_requests_in_one_go_are_all_answered_in_order(
    gateway: Front, *, reads: bool
) -> None:
    """Also to a browser that reads nothing at first; and what is no request, after all others."""
    refused = b"GET /x HTTP/1.1\r\n\r\n"
    async with wired(gateway.port) as wire:
        if not reads:
            wire.stop_reading()
        wire.send(refused * 10_000 + get(gateway) * 300 + b"\0\r\n\r\n")
        assert (await everything(gateway.port, gateway.text(PROBE)))[0].endswith(b"ok")
        if not reads:
            wire.read_on()
        received = await wire.until_end()
    assert received.count(b"HTTP/1.1 400 ") == 10_001
    assert received.count(b"HTTP/1.1 200 ") == 300
    assert received.rindex(b"HTTP/1.1 400 ") > received.rindex(b"HTTP/1.1 200 ")


# --- browsers that take nothing


@pytest.mark.rule("PX-14")
async def test_an_upstream_that_takes_nothing_holds_the_browser_back() -> None:
    """However long: the browser would send if it might, so its own silence is not counted."""
    proceed = asyncio.Event()

    async def wait(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await proceed.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await read_body(request, reader)
        writer.write(OK)

    size = 60_000_000
    server = 'body_timeout = "1s"\nmax_body = "1GiB"'
    async with the_gateway('timeout = "10s"', server) as gateway, wired(gateway.port) as wire:
        gateway.upstream.responder = wait
        wire.send(post(gateway, f"Content-Length: {size}") + b"x" * size)
        left, still = -1, 0
        while still < 15:  # until it no longer shrinks, for longer than a body may be silent
            still = still + 1 if left == wire.unsent_bytes else 0
            left = wire.unsent_bytes
            await asyncio.sleep(0.1)
        assert left > size / 2
        proceed.set()
        assert await answered(wire, 1) == [200]
        assert len(gateway.upstream.received[0].body) == size


# --- browsers that hang up


@pytest.mark.rule("PX-14")
@pytest.mark.parametrize("how", ["abort", "close", "half_close"])
async def test_an_upstream_learns_that_the_browser_has_gone(gateway: Front, how: str) -> None:
    """Half a hang-up is one: a browser that sends no more of a request is not known to be
    reading."""
    gone = asyncio.Event()

    async def never(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(request, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        await reader.read()
        gone.set()
        writer.close()

    gateway.upstream.responder = never
    async with wired(gateway.port) as wire:
        wire.send(get(gateway))
        await wire.until_received(b"begun")
        getattr(wire, how)()
        async with asyncio.timeout(HANG_SECONDS):
            await gone.wait()


@pytest.mark.rule("PX-14")
async def test_a_browser_that_has_hung_up_by_half_takes_no_cut_answer_for_a_whole_one(
    gateway: Front,
) -> None:
    """It may be reading still. In HTTP/1.0 the end of the connection would be that of the body."""

    async def begin(
        _request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
        await reader.read()
        writer.close()

    gateway.upstream.responder = begin
    async with wired(gateway.port) as wire:
        wire.send(gateway.text("GET /api/x HTTP/1.0\r\n{ours}\r\n"))
        await wire.until_received(b"begun")
        wire.half_close()
        await wire.until_end()
        assert wire.end is End.RESET


@pytest.mark.rule("PX-14")
async def test_an_upstream_never_takes_half_a_body_for_a_whole_one(gateway: Front) -> None:
    """A browser that is gone within a chunked body leaves no last chunk behind."""
    ended: list[bytes] = []

    async def keep(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            ended.append(await reader.read())
        except ConnectionError:
            ended.append(b"")
        writer.close()

    gateway.upstream.responder = keep
    async with wired(gateway.port) as wire:
        wire.send(post(gateway, "Transfer-Encoding: chunked") + b"4\r\nhalf\r\n")
        await until(lambda: gateway.upstream.received != [])
        wire.close()
        await until(lambda: ended != [])
    assert b"0\r\n\r\n" not in ended[0]


async def test_half_a_hang_up_between_two_requests_ends_the_connection(gateway: Front) -> None:
    async with wired(gateway.port) as wire:
        wire.send(get(gateway))
        assert await answered(wire, 1) == [200]
        wire.half_close()
        await wire.until_end()
        assert wire.end is End.CLOSED


# --- one byte at a time


async def test_a_request_may_come_byte_by_byte(gateway: Front) -> None:
    body = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
    message = post(gateway, "Transfer-Encoding: chunked") + body.encode() + gateway.text(PROBE)
    async with wired(gateway.port) as wire:
        await wire.send_split([bytes([byte]) for byte in message])
        received = await wire.until_end()
    assert statuses(read_answers(received).messages) == [200, 200]
    assert [request.body for request in gateway.upstream.received] == [b"hello world", b""]


async def test_an_answer_may_come_byte_by_byte(gateway: Front) -> None:
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
        b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )

    async def drip(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gateway.upstream.responder = None
        for byte in answer:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    gateway.upstream.responder = drip
    received, _ = await everything(gateway.port, get(gateway) + gateway.text(PROBE))
    first, second = read_answers(received).messages
    assert (first.status, first.body, first.values(b"x-a")) == (200, b"hello world", [b"b"])
    assert second.body == OK[-2:]
    assert gateway.upstream.connections == 1


# --- connections beyond the limit


@pytest.mark.rule("SM-06")
async def test_a_connection_past_the_limit_is_told_so_and_those_before_it_go_on() -> None:
    async with (
        raw_upstream() as upstream,
        a_gateway_for_users(upstream.port, server="max_connections = 2") as users,
        wired(users.port) as first,
        wired(users.port) as second,
    ):
        request = f"GET /api/x HTTP/1.1\r\nHost: {users.host}\r\n{await users.log_in('alice')}"
        for wire in (first, second):
            wire.send(f"{request}\r\n".encode())
            assert await answered(wire, 1) == [200]
        last = f"{request}Connection: close\r\n\r\n".encode()
        refused, _ = await everything(users.port, last)
        (answer,) = read_answers(refused).messages
        assert (answer.status, b"too_many_connections" in answer.body) == (503, True)
        second.close()

        async def has_room() -> bool:
            received, _ = await everything(users.port, last)
            return statuses(read_answers(received).messages) == [200]

        await until(has_room)
        first.send(f"{request}\r\n".encode())
        assert await answered(first, 2) == [200, 200]
