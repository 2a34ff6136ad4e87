"""What is over leaves nothing behind: no hold on a session, no timer, no connection that is taken
for a good one, and no fault when its last bytes come late."""

import asyncio
import dataclasses
import gc
import ssl
from typing import Any

from structlog.testing import capture_logs

from bff.gate.routes import Route, Upstream
from bff.proxy.downstream.connection import DownstreamConnection
from bff.proxy.downstream.phases import Phase
from bff.proxy.own_endpoints import LocalPool
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.pool import UpstreamPool
from tests.integration.other_parts import Other, a_listener, context_of
from tests.parts.raw_upstream import OK, Received, raw_upstream, say_nothing
from tests.polling import until
from tests.wire.client import End, wired
from tests.wire.reading import read_answers, statuses
from tests.wire.users import a_gateway_for_users


async def test_the_end_of_a_session_does_not_cut_the_connection_of_an_answer_that_is_over() -> None:
    """The browser goes on to use it, and is told of the end by the next answer."""
    may_end = asyncio.Event()

    async def in_two_pieces(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(OK[:-1])
        await may_end.wait()
        writer.write(OK[-1:])

    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.responder = in_two_pieces
        user = await users.log_in("alice")
        ask = f"GET /api/x HTTP/1.1\r\nHost: {users.host}\r\n{user}"
        streams = context_of(users.gateway).bound_streams
        async with wired(users.port) as wire:
            wire.send(f"{ask}\r\n".encode())
            await wire.until_received(OK[-3:-1])
            assert len(streams) == 1
            may_end.set()
            await wire.until_received(OK[-3:])
            assert len(streams) == 0
            await users.log_out(user)
            wire.send(f"{ask}Connection: close\r\n\r\n".encode())
            answers = read_answers(await wire.until_end()).messages
            assert wire.end is End.CLOSED
    assert statuses(answers) == [200, 401]


def remembered(listener: Other) -> int:
    """How many of its connections are in memory, open ones or not."""
    gc.collect()
    found = (one for one in gc.get_objects() if isinstance(one, DownstreamConnection))
    return sum(one._connections is listener.listener for one in found)


async def test_a_connection_of_a_browser_that_has_gone_is_not_remembered() -> None:
    """Its time limit would keep it for as long as that runs."""
    async with a_gateway_for_users(1) as users, a_listener(users.gateway) as other:
        for begun in (b"", b"GET ", f"GET / HTTP/1.1\r\nHost: {users.host}\r\n\r\n".encode()):
            async with wired(other.port) as wire:
                wire.send(begun)
                await until(lambda: remembered(other) == 1)
            await until(lambda: remembered(other) == 0)


async def test_an_idle_connection_that_was_cut_is_passed_over() -> None:
    """Also in the same turn of the event loop, before the pool is told of its end."""
    async with raw_upstream() as server:
        upstream = Upstream("http", f"127.0.0.1:{server.port}")
        tls = ssl.create_default_context()
        pool = UpstreamPool(upstream, Route("/api", (upstream,)), tls, WriteCoalescer())
        good, cut = await pool.connect(), await pool.connect()
        pool.keep(good)
        pool.keep(cut)
        cut._transport.abort()
        assert pool.take() is good
        assert pool.take() is None
        good.close()
        await until(lambda: server.closed == 2)


async def test_connections_to_the_own_endpoints_can_be_closed_before_there_are_any() -> None:
    """As when the gateway can't start."""
    endpoints: Any = None  # none is asked
    await LocalPool(endpoints, WriteCoalescer()).close()


async def test_an_answer_that_an_upstream_cuts_is_no_fault_of_the_gateway() -> None:
    """The request is over when the browser's connection is lost, and is not ended once more."""

    async def hang_up(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(OK[:-1])
        await writer.drain()
        writer.close()

    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.responder = hang_up
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        with capture_logs() as logs:
            async with a_listener(users.gateway) as other, wired(other.port) as wire:
                wire.send(f"GET /api/x HTTP/1.1\r\n{lines}\r\n".encode())
                await wire.until_end()
                await until(lambda: not other.connections)
                assert wire.end is End.RESET
    assert [entry for entry in logs if entry["event"] == "unhandled"] == []


async def test_a_body_that_ends_while_it_is_refused_leaves_the_answer_whole() -> None:
    """Its end is in the same read as the byte too many."""

    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.responder = say_nothing
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        limits = dataclasses.replace(context_of(users.gateway).limits, max_body_bytes=1024)
        with capture_logs() as logs:
            async with a_listener(users.gateway, limits=limits) as other, wired(other.port) as wire:
                head = f"POST /api/x HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n"
                wire.send(head.encode())
                await until(lambda: [one.phase for one in other.connections] == [Phase.RECEIVING])
                wire.send(b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n")
                answers = read_answers(await wire.until_end()).messages
                assert wire.end is End.CLOSED
    assert statuses(answers) == [413]
    assert [entry for entry in logs if entry["event"] == "unhandled"] == []
