"""Steps that a table of phases forgets easily: an upstream that speaks first or takes nothing from
the beginning, a request that waits unread while the gateway stops, bytes that come before there is
a decision, and a browser that takes nothing of a 401 that was held back, or leaves the end of the
last answer. And what a log shows of a connection."""

import asyncio
import contextlib
import dataclasses
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from bff.errors import UpstreamUnreachable
from bff.gate.head import RequestHead
from bff.gate.outcome import Answer, Decision, Forward, Needs, Wait
from bff.gate.routes import Route, Upstream
from bff.proxy.downstream.phases import Phase
from bff.proxy.downstream.untaken import has_unread_bytes
from bff.proxy.exchange.request import KEPT_BYTES
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.pool import UpstreamPool
from tests.integration.other_parts import a_listener, context_of
from tests.parts.raw_upstream import OK, Received, raw_upstream, read_body
from tests.polling import until
from tests.wire.client import wired
from tests.wire.frames import TEXT, frame
from tests.wire.reading import read_answers, statuses
from tests.wire.test_websocket_frames import handshake
from tests.wire.users import a_gateway_for_users

NAMED = {"connection", "exchange"}  # what lines of level debug show
TIMES = 20  # uvloop reads before the task goes on in four cases of five


def speak_first(listening: socket.socket, accepted: list[socket.socket], words: bytes) -> None:
    """As a server of another protocol does, or one that has no room: it hangs up without words."""
    for _ in range(TIMES):
        connection, _ = listening.accept()
        accepted.append(connection)
        if words:
            connection.sendall(words)
        else:
            connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_a_connection_that_is_over_before_the_request_is_no_connection(words: bytes) -> None:
    """It is the upstream's failure, so that another one is tried; not a fault of the gateway."""
    accepted: list[socket.socket] = []

    async def connect_often(port: int) -> list[bool]:
        upstream = Upstream("http", f"127.0.0.1:{port}")
        tls = ssl.create_default_context()
        pool = UpstreamPool(upstream, Route("/api", (upstream,)), tls, WriteCoalescer())
        usable = []
        for _ in range(TIMES):
            try:
                connection = await pool.connect()
            except UpstreamUnreachable:
                continue
            usable.append(connection.is_usable)
            connection.close()
        return usable

    with socket.create_server(("127.0.0.1", 0)) as listening:
        arguments = (listening, accepted, words)
        server = threading.Thread(target=speak_first, args=arguments, daemon=True)
        server.start()
        usable = uvloop.run(connect_often(listening.getsockname()[1]))
        server.join()
    for connection in accepted:
        connection.close()
    assert all(usable)


def test_a_connection_that_is_gone_can_still_be_shown_in_a_log() -> None:
    """One whose making was cancelled is not told of its end, and its time limit passes later."""

    async def shown() -> str:
        async with a_gateway_for_users(1) as users:
            connection = await context_of(users.gateway).local.connect()
            connection.close()
            for _ in range(10):  # turns, in the first of which the transport forgets its socket
                await asyncio.sleep(0)
            return repr(connection)

    assert "UpstreamConnection CLOSED" in uvloop.run(shown())


async def test_an_upstream_that_takes_nothing_from_the_first_holds_the_browser_back() -> None:
    """What has come before there is a connection may be more than it takes."""
    size = 60_000_000
    with socket.socket() as listening:
        # Of small segments the kernel takes little in advance.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        async with a_gateway_for_users(port, route='timeout = "5m"') as users:
            lines = await users.log_in("alice")
            async with wired(users.port) as wire:
                head = f"PUT /api/x HTTP/1.1\r\nHost: {users.host}\r\n{lines}"
                wire.send(f"{head}Content-Length: {size}\r\n\r\n".encode() + b"x" * size)
                left, still = -1, 0
                while still < 10 and wire.unsent_bytes:
                    still = still + 1 if left == wire.unsent_bytes else 0
                    left = wire.unsent_bytes
                    await asyncio.sleep(0.1)
                assert left > size / 2


class Waiting:
    """An admission that waits for `go_on` before it decides."""

    def __init__(self, admission: Any, go_on: asyncio.Event) -> None:
        self._admission = admission
        self._go_on = go_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._admission, name)

    def decide(self, head: RequestHead) -> Decision:
        decision: Decision = self._admission.decide(head)
        if self._go_on.is_set():
            return decision
        return Wait(Needs.SESSION, decision.identity, key="")

    async def settle(self, head: RequestHead, _wait: Wait) -> Decision:
        await self._go_on.wait()
        decision: Decision = self._admission.decide(head)
        return decision


async def test_a_request_behind_one_that_was_held_back_is_read_while_the_gateway_stops() -> None:
    """It came before the connection was closed, so it is answered, as the last one."""
    go_on, may_end = asyncio.Event(), asyncio.Event()

    async def half_first(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        upstream.responder = None
        await read_body(request, reader)
        writer.write(OK[:-1])
        await may_end.wait()
        writer.write(OK[-1:])

    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.responder = half_first
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        admission = Waiting(context_of(users.gateway).admission, go_on)
        async with (
            a_listener(users.gateway, admission=admission) as other,
            wired(other.port) as wire,
        ):
            size = KEPT_BYTES + 1
            head = f"POST /api/x HTTP/1.1\r\n{lines}Content-Length: {size + 1}\r\n\r\n"
            wire.send(head.encode())
            await until(lambda: bool(other.connections))
            (connection,) = other.connections
            await until(lambda: connection.phase is Phase.RECEIVING)
            wire.send(b"x" * size)
            await until(lambda: connection.phase is Phase.HELD)
            await wire.send_split([b"x"])
            assert has_unread_bytes(connection._transport)
            go_on.set()
            await wire.until_received(OK[-3:-1])
            stopping = asyncio.create_task(other.listener.stop(60.0))
            await until(lambda: other.listener.is_stopping)
            wire.send(f"GET /api/y HTTP/1.1\r\n{lines}\r\n".encode())
            may_end.set()
            answers = read_answers(await wire.until_end()).messages
            await stopping
    assert statuses(answers) == [200, 200]


class NoOtherToken:
    """An admission that finds no newer token."""

    def __init__(self, admission: Any) -> None:
        self._admission = admission

    def __getattr__(self, name: str) -> Any:
        return getattr(self._admission, name)

    async def with_another_token(self, _head: RequestHead, *_: object) -> None:
        """There is none to be had."""


async def test_a_browser_that_takes_nothing_of_a_late_401_holds_the_upstream_back() -> None:
    """All that came while another token was looked for may be more than the browser takes."""
    size, sent = 60_000_000, 0
    loop = asyncio.get_running_loop()

    async def refuse_at_length(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.responder = refuse_at_length
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        admission = NoOtherToken(context_of(users.gateway).admission)
        async with a_listener(users.gateway, admission=admission) as other:
            with a_browser_that_takes_little() as browser:
                await loop.sock_connect(browser, ("127.0.0.1", other.port))
                await until(lambda: bool(other.connections))
                other.connections[0]._transport.set_write_buffer_limits(high=1024)
                await loop.sock_sendall(browser, f"GET /api/x HTTP/1.1\r\n{lines}\r\n".encode())
                last, still = 0, 0
                while still < 10 and sent < size:
                    still = still + 1 if sent and last == sent else 0
                    last = sent
                    await asyncio.sleep(0.1)
                assert sent < size / 2


@contextlib.contextmanager
def a_browser_that_takes_little() -> Iterator[socket.socket]:
    """Of small segments the kernel takes little in advance."""
    with socket.socket() as browser:
        browser.setblocking(False)
        browser.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield browser


async def test_a_browser_that_leaves_the_end_of_the_last_answer_is_cut_off() -> None:
    """It has taken most of it, so that there is room again; the connection only waits to close."""
    body = b"x" * 2_000_000
    loop = asyncio.get_running_loop()
    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}Connection: close\r\n"
        limits = dataclasses.replace(context_of(users.gateway).limits, body_seconds=1.0)
        async with a_listener(users.gateway, limits=limits) as other:
            with a_browser_that_takes_little() as browser:
                await loop.sock_connect(browser, ("127.0.0.1", other.port))
                await until(lambda: bool(other.connections))
                (connection,) = other.connections
                transport = connection._transport
                transport.set_write_buffer_limits(high=len(body))
                await loop.sock_sendall(browser, f"GET /api/x HTTP/1.1\r\n{lines}\r\n".encode())
                await until(lambda: connection.phase is Phase.CLOSING)
                left = transport.get_write_buffer_size()
                transport.set_write_buffer_limits(high=left - 1, low=left - 2)
                with contextlib.suppress(ConnectionError):  # it may be late already
                    while connection.is_full:
                        await loop.sock_recv(browser, 2048)
                    assert transport.get_write_buffer_size()
                await until(lambda: not other.connections)


async def drain(browser: socket.socket) -> None:
    """Read to the end of the connection."""
    while await asyncio.get_running_loop().sock_recv(browser, 65_536):
        pass


async def test_a_browser_that_reads_on_after_it_was_cut_off_sees_that_it_was() -> None:
    """All of the answer was written when it took nothing any more, so that the connection was to be
    closed. In HTTP/1.0 its end would be that of the body."""
    body = b"x" * 2_000_000
    loop = asyncio.get_running_loop()
    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.answer = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
            % (len(body), body)
        )
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        limits = dataclasses.replace(context_of(users.gateway).limits, body_seconds=1.0)
        async with a_listener(users.gateway, limits=limits) as other:
            with a_browser_that_takes_little() as browser:
                await loop.sock_connect(browser, ("127.0.0.1", other.port))
                await until(lambda: bool(other.connections))
                (connection,) = other.connections
                connection._transport.set_write_buffer_limits(high=len(body))
                await loop.sock_sendall(browser, f"GET /api/x HTTP/1.0\r\n{lines}\r\n".encode())
                await until(lambda: connection.phase is Phase.CLOSING)
                await until(lambda: not other.connections)
                with pytest.raises(ConnectionResetError):
                    await drain(browser)


async def test_frames_that_come_while_the_session_is_looked_up_are_too_early() -> None:
    """RFC 6455 section 4.1: a client waits for the answer. They must not be lost without a word."""
    go_on = asyncio.Event()
    async with (
        raw_upstream() as upstream,
        a_gateway_for_users(upstream.port, route="websocket = true") as users,
    ):
        user = await users.log_in("alice")
        admission = Waiting(context_of(users.gateway).admission, go_on)
        async with (
            a_listener(users.gateway, admission=admission) as other,
            wired(other.port) as wire,
        ):
            wire.send(handshake("/api/echo", users.host, user))
            await until(lambda: [one.phase for one in other.connections] == [Phase.SERVING])
            early = frame(TEXT, b"early")
            await wire.send_split([early])
            go_on.set()
            answers = read_answers(await wire.until_end()).messages
        assert statuses(answers) == [400]
        assert upstream.received == []


class Recording:
    """An admission whose decisions are known."""

    def __init__(self, admission: Any) -> None:
        self._admission = admission
        self.made: list[Decision] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._admission, name)

    def decide(self, head: RequestHead) -> Decision:
        decision: Decision = self._admission.decide(head)
        self.made.append(decision)
        return decision


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_body_known_to_be_too_large_is_refused_before_the_request_is_admitted(
    *, is_known: bool
) -> None:
    """Refused, it is no activity of its session and no reason to refresh a token. It is known when
    all of a chunked body has come in front of the decision. One that still comes may be of any
    size: the request is admitted, as it must be to be streamed, and refused on the way."""
    head = "POST /api/x HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"800\r\n" + b"x" * 2048 + b"\r\n"
    async with (
        raw_upstream() as upstream,
        a_gateway_for_users(upstream.port, server='max_body = "1KiB"') as users,
    ):
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        admission = Recording(context_of(users.gateway).admission)
        limits = dataclasses.replace(context_of(users.gateway).limits, max_body_bytes=1024)
        async with (
            a_listener(users.gateway, admission=admission, limits=limits) as other,
            wired(other.port) as wire,
        ):
            request = head.format(lines).encode()
            if is_known:
                wire.send(request + chunk)
            else:
                wire.send(request)
                await until(lambda: admission.made != [])
                wire.send(chunk)
            answers = read_answers(await wire.until_end()).messages
        assert statuses(answers) == [413]
        assert [type(one) for one in admission.made] == [Answer if is_known else Forward]


async def test_a_browser_whose_bytes_cant_be_counted_is_cut_off() -> None:
    """The kernel is asked how much it has taken. Where it refuses to say, the request must not be
    left as it is, for ever."""
    loop = asyncio.get_running_loop()

    async def pour(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        upstream.responder = pour
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
        limits = dataclasses.replace(context_of(users.gateway).limits, body_seconds=1.0)
        with capture_logs() as logs:
            async with a_listener(users.gateway, limits=limits) as other:
                with a_browser_that_takes_little() as browser, open(os.devnull) as nothing:  # noqa: ASYNC230, PTH123 - a descriptor that is no socket
                    await loop.sock_connect(browser, ("127.0.0.1", other.port))
                    await until(lambda: bool(other.connections))
                    (connection,) = other.connections
                    await loop.sock_sendall(browser, f"GET /api/x HTTP/1.1\r\n{lines}\r\n".encode())
                    await until(lambda: connection.is_full)
                    sock = connection._transport.get_extra_info("socket")
                    os.dup2(nothing.fileno(), sock.fileno())
                    await until(lambda: upstream.closed == 1)
        faults = [entry["error"] for entry in logs if entry["event"] == "unhandled"]
        assert faults[0] == "OSError"  # and what else such a descriptor can't be asked


@pytest.mark.parametrize(
    ("kept", "shown"), [("full", "127.0.0.1"), ("truncated", "127.0.0.0/24"), ("off", "None")]
)
async def test_lines_of_level_debug_hold_no_more_of_an_address_than_the_access_log(
    kept: str, shown: str
) -> None:
    """Which may be switched off itself."""
    log = f'[access_log]\naddress = "{kept}"'
    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port, route=log) as users:
        limits = dataclasses.replace(context_of(users.gateway).limits, body_seconds=0.3)
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}Content-Length: 9\r\n"
        with capture_logs() as logs:
            async with a_listener(users.gateway, limits=limits) as other, wired(other.port) as wire:
                wire.send(f"POST /api/x HTTP/1.1\r\n{lines}\r\n".encode())
                await wire.until_end()
        told = [entry for entry in logs if entry["log_level"] == "debug"]
        shown_in = {name: str(entry[name]) for entry in told for name in entry if name in NAMED}
        assert shown_in.keys() == NAMED
        assert all(f" peer={shown} " in text for text in shown_in.values())


async def test_a_line_of_level_debug_says_how_far_a_request_has_come() -> None:
    """Here to the connecting, which fails: no server is there."""
    async with a_gateway_for_users(1) as users:
        with capture_logs() as logs:
            async with wired(users.port) as wire:
                lines = f"Host: {users.host}\r\n{await users.log_in('alice')}"
                wire.send(f"GET /api/x HTTP/1.1\r\n{lines}\r\n".encode())
                await wire.until_received(b"upstream_unreachable")
    (failed,) = [entry for entry in logs if entry["event"] == "exchange_failed"]
    assert failed["exchange"].startswith("<Exchange CONNECTING GET ")
    assert failed["exchange"].endswith(" received=0 sent=0>")


def test_a_connection_can_be_shown_outside_of_its_event_loop() -> None:
    """By a debugger, for instance."""

    async def one_of_them() -> object:
        async with (
            a_gateway_for_users(1) as users,
            a_listener(users.gateway) as other,
            wired(other.port),
        ):
            await until(lambda: bool(other.connections))
            return other.connections[0]

    assert "DownstreamConnection" in repr(uvloop.run(one_of_them()))
