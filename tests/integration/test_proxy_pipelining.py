"""Several requests on one connection: how many are begun in one pass of the event loop, what is
held back, and which limit runs while one is answered and another one comes."""

import asyncio

from bff.proxy.downstream.connection import MOST_AT_ONCE
from bff.proxy.downstream.phases import Phase
from bff.proxy.exchange.phases import OVER
from bff.proxy.exchange.request import KEPT_BYTES
from tests.integration.other_parts import a_listener, context_of
from tests.integration.test_proxy_phases import Waiting
from tests.integration.test_proxy_time_limits import (
    HEAD,
    NEARLY,
    InPieces,
    a_place,
    answers_of,
)
from tests.movable_loop import later, on_a_movable_loop
from tests.parts.raw_upstream import raw_upstream, say_nothing
from tests.polling import until
from tests.wire.client import wired
from tests.wire.reading import read_answers, statuses
from tests.wire.users import a_gateway_for_users

TIMES = 3  # as many requests in one read as are begun at once


async def test_of_many_requests_in_one_read_some_are_begun_at_once() -> None:
    """Other connections have theirs before it goes on."""
    async with (
        a_gateway_for_users(1) as users,
        a_listener(users.gateway) as other,
        wired(other.port) as wire,
    ):
        await until(lambda: bool(other.connections))
        (connection,) = other.connections
        count = TIMES * MOST_AT_ONCE
        wire.send(f"GET /api/x HTTP/1.1\r\nHost: {users.host}\r\n\r\n".encode() * count)
        await until(lambda: connection.phase is not Phase.NEW, every=0)  # in the next pass
        assert connection.phase is Phase.QUEUED
        left = (TIMES - 1) * MOST_AT_ONCE
        assert f" served={MOST_AT_ONCE} waiting={left}>" in repr(connection)
        await until(lambda: wire.received.count(b"HTTP/1.1 401 ") == count)


async def test_a_body_in_small_chunks_is_held_back_once() -> None:
    """Those that were read together come after it is held back already."""
    go_on = asyncio.Event()
    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        admission = Waiting(context_of(users.gateway).admission, go_on)
        async with (
            a_listener(users.gateway, admission=admission) as other,
            wired(other.port) as wire,
        ):
            head = f"POST /api/x HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n"
            wire.send(head.encode())
            await until(lambda: [one.phase for one in other.connections] == [Phase.RECEIVING])
            (connection,) = other.connections
            wire.send(b"%x\r\n%b\r\n" % (KEPT_BYTES, b"x" * KEPT_BYTES))
            await until(lambda: f" received={KEPT_BYTES} " in repr(connection._requests.current))
            assert connection.phase is Phase.RECEIVING
            wire.send(b"1\r\nx\r\n1\r\nx\r\n0\r\n\r\n")
            await until(lambda: connection.phase is not Phase.RECEIVING)
            go_on.set()
            await wire.until_received(b"\r\n\r\nok")
        assert statuses(read_answers(bytes(wire.received)).messages) == [200]
        assert upstream.received[0].body == b"x" * (KEPT_BYTES + 2)


@on_a_movable_loop
async def test_an_answer_has_none_of_the_limit_for_the_body_before_it() -> None:
    async with a_place() as place, wired(place.users.port) as wire:
        place.upstream.responder = api = InPieces(HEAD + b"a", b"bc")
        wire.send(place.request("PUT", more="Content-Length: 4\r\n"))
        await until(lambda: bool(place.upstream.received))
        wire.send(b"body")
        await until(lambda: place.upstream.received[0].body == b"body")
        for so_far in (b"a", b"abc"):
            await later(NEARLY)
            api.may_go_on.release()
            await wire.until_received(b"\r\n\r\n" + so_far)
        assert answers_of(wire) == [200]


@on_a_movable_loop
async def test_an_answer_has_none_of_the_limit_for_the_body_behind_it() -> None:
    """The body is not asked for before its request is begun."""
    async with a_place() as place, wired(place.users.port) as wire:
        place.upstream.responder = api = InPieces(HEAD + b"a", b"bc")
        following = place.request("PUT", more="Content-Length: 4\r\n")
        wire.send(place.request() + following)
        await until(lambda: bool(place.upstream.received))
        for so_far in (b"a", b"abc"):
            await later(NEARLY)
            api.may_go_on.release()
            await wire.until_received(b"\r\n\r\n" + so_far)
        assert answers_of(wire) == [200]


async def test_a_request_whose_browser_has_gone_is_over() -> None:
    """Nothing that comes of it later can go on with it."""

    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.responder = say_nothing
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        async with a_listener(users.gateway) as other, wired(other.port) as wire:
            wire.send(f"GET /api/x HTTP/1.1\r\n{lines}\r\n".encode())
            await until(lambda: bool(upstream.received))
            exchange = other.connections[0]._requests.current
            wire.abort()
            await until(lambda: not other.connections)
            assert exchange is not None
            assert exchange.phase is OVER
        await until(lambda: upstream.closed == 1)
