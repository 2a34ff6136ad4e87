"""How `bff serve` stops: by which signals, after which delay, and without losing a request.

RFC 9112 section 9.6: a server that is about to close says so in its answer, because what a client
sends on a connection that is closed may be lost, and only some of it may be sent again.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bff.app import Gateway
from tests.flows.served import a_served_gateway, admin
from tests.parts.browser import Browser
from tests.parts.configuration import Ports, free_ports
from tests.parts.gateway_program import GatewayProgram, gateway_program, serving_gateway
from tests.parts.raw_upstream import RawUpstream, Received, raw_upstream
from tests.parts.servers import free_port
from tests.parts.stack import running_stack
from tests.polling import HANG_SECONDS, until
from tests.wire.client import End, Wire, wired

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
ONCE = b"GET /api/x HTTP/1.1\r\nHost: localhost:%d\r\nX-CSRF: 1\r\n\r\n"


async def require_no_answer_by_half(
    program: GatewayProgram,
    number: signal.Signals,
    ports: Ports,
    upstream: RawUpstream,
    *,
    calls: int,
) -> None:
    """Signal a program when so many calls are half answered: all get the rest, new connections are
    refused meanwhile, and the exit code is 0."""
    proceed = asyncio.Event()

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await writer.drain()
        await proceed.wait()
        writer.write(b"world")

    async def refuses() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", ports.gateway)
        except ConnectionError:
            return True
        writer.close()
        return False

    upstream.responder = respond
    async with Browser() as browser:
        page = await browser.navigate(f"http://localhost:{ports.gateway}/bff/login")
        await browser.log_in_at_op(page, "alice")
        asked = [asyncio.create_task(browser.fetch("GET", f"/api/{n}")) for n in range(calls)]
        await until(lambda: len(upstream.received) == calls)
        program.signal(number)
        await until(refuses)
        proceed.set()
        answers = await asyncio.gather(*asked)
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"helloworld")}
    assert await program.exit_code() == 0
    assert "Traceback" not in program.log.read_text()


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=[one.name for one in STOP_SIGNALS])
async def test_a_stop_signal_lets_running_requests_finish_and_exits_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with raw_upstream() as upstream:
        ports = free_ports(api=upstream.port)
        server = 'shutdown_timeout = "60s"'
        async with a_served_gateway(ports, tmp_path, server=server) as program:
            await require_no_answer_by_half(program, number, ports, upstream, calls=20)


@pytest.mark.parametrize("patience", ["2s", "0s"])
async def test_a_stop_does_not_wait_for_ever(tmp_path: Path, patience: str) -> None:
    """Least of all when it is told not to wait."""
    server = f'shutdown_timeout = "{patience}"'

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with raw_upstream() as upstream:
        upstream.responder = respond
        ports = free_ports(api=upstream.port)
        async with (
            a_served_gateway(ports, tmp_path, server=server) as program,
            Browser() as browser,
        ):
            page = await browser.navigate(f"http://localhost:{ports.gateway}/bff/login")
            await browser.log_in_at_op(page, "alice")
            async with browser.stream("/api/stream") as stream:
                await stream.content.readany()
                program.signal(signal.SIGTERM)
                assert await program.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP])
async def test_signals_that_mean_nothing_here_end_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    """By default they would kill the process: a log rotation that sends one to every server. With
    sessions in memory there is no restart without a gap and no reload, so that SIGUSR2 and SIGHUP
    do nothing either."""
    ports = free_ports()
    async with a_served_gateway(ports, tmp_path) as program:
        program.signal(number)
        program.signal(number)
        assert await program.admin("/healthz") == (200, {"status": "ok"})
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 0


@pytest.mark.parametrize("what", ["a pipe without a reader", "a full disk"])
async def test_a_log_that_can_not_be_written_costs_no_answer(tmp_path: Path, what: str) -> None:
    """As after a terminal was closed, or when the program that reads the log has died."""
    ports = free_ports()
    log = Path("/dev/full")
    if what == "a pipe without a reader":
        log = tmp_path / "pipe"
        os.mkfifo(log)
        reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    program = gateway_program(ports, tmp_path, ready="/healthz", log=log)
    program.spawn()
    try:
        if what == "a pipe without a reader":
            os.close(reader)
        await until(program.is_ready, every=0.05)
        async with wired(ports.gateway) as wire:
            for _ in range(3):
                wire.received.clear()
                wire.send(ONCE % ports.gateway)
                await wire.until_received(b"not_authenticated")
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 0
    finally:
        await program.end()


async def test_a_hangup_that_was_ignored_at_the_start_stays_so(tmp_path: Path) -> None:
    """As `nohup` has it: the terminal may be closed."""
    ports = free_ports()
    ignoring = ("bash", "-c", 'trap "" HUP; exec "$@"', "bash")
    async with serving_gateway(ports, tmp_path, ready="/healthz", before=ignoring) as program:
        program.signal(signal.SIGHUP)
        program.signal(signal.SIGUSR1)  # delivered after it, and told in the log
        await until(lambda: program.events("signal_ignored") != [])
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 0


# --- the delay


async def test_during_the_delay_all_is_served_and_connections_end_with_their_answers(
    tmp_path: Path,
) -> None:
    """Load balancers are told at `/readyz`; the kept connections of a proxy in front by answers. A
    second signal ends the delay."""
    ports = free_ports()
    health = free_port()
    server = f'shutdown_delay = "10m"\nhealth_listen = "127.0.0.1:{health}"'
    async with (
        a_served_gateway(ports, tmp_path, server=server) as program,
        wired(ports.gateway) as kept,
    ):
        request = ONCE % ports.gateway
        kept.send(request)
        await kept.until_received(b"not_authenticated")
        assert b"Connection: close" not in kept.received
        program.signal(signal.SIGTERM)

        async def is_draining() -> bool:
            return (await admin(ports, "/readyz"))[0] == 503

        await until(is_draining)
        for at in (ports, _at_admin(ports, health)):
            status, told = await admin(at, "/readyz?exclude=op&exclude=store")
            assert (status, told) == (503, {"status": "not_ready", "checks": {"stopping": "yes"}})
            assert (await admin(at, "/healthz"))[0] == 200
        async with wired(ports.gateway) as new:
            for wire in (kept, new):
                wire.received.clear()
                wire.send(request)
                answer = await wire.until_end()
                assert answer.startswith(b"HTTP/1.1 401 "), wire.end
                assert b"\r\nConnection: close\r\n" in answer
                assert wire.end is End.CLOSED
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 0


def _at_admin(ports: Ports, port: int) -> Ports:
    return dataclasses.replace(ports, admin=port)


async def test_proxies_that_ask_are_told_as_well() -> None:
    """They keep connections to the auth listener, as others do to the public one."""
    auth = free_port()
    server = f'auth_listen = "127.0.0.1:{auth}"\ntrusted_proxies = ["127.0.0.1/32"]'
    question = b"GET /bff/auth HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with running_stack(server=server) as stack, wired(auth) as kept:
        kept.send(question)
        await kept.until_received(b"bad_request")
        assert b"Connection: close" not in kept.received
        stack.gateway.drain()
        kept.send(question)
        assert (await kept.until_end()).count(b"\r\nConnection: close\r\n") == 1


async def test_the_delay_ends_by_itself(tmp_path: Path) -> None:
    ports = free_ports()
    async with a_served_gateway(ports, tmp_path, server='shutdown_delay = "300ms"') as program:
        began = asyncio.get_running_loop().time()
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 0
        assert asyncio.get_running_loop().time() - began >= 0.3


async def test_the_health_listener_has_the_probes_and_nothing_else() -> None:
    """It may be reached by whatever balances the load, which is not to end sessions."""
    health = free_port()
    async with running_stack(server=f'health_listen = "127.0.0.1:{health}"') as stack:
        at = _at_admin(stack.ports, health)
        assert await admin(at, "/healthz") == (200, {"status": "ok"})
        assert (await admin(at, "/readyz"))[0] == 200
        for path in ("/metrics", "/sessions?sub=alice", "/", "/bff/user"):
            assert (await admin(at, path))[0] == 404


async def test_the_listener_for_metrics_has_the_probes_too_and_nothing_else() -> None:
    """A Prometheus that reaches it must not see or end sessions."""
    figures = free_port()
    async with running_stack(extra=f'[metrics]\nlisten = "127.0.0.1:{figures}"') as stack:
        at = _at_admin(stack.ports, figures)
        assert await admin(at, "/healthz") == (200, {"status": "ok"})
        assert (await admin(at, "/readyz"))[0] == 200
        status, text = await admin(at, "/metrics")
        assert (status, "bff_refreshes_total" in text) == (200, True)
        for path in ("/sessions?sub=alice", "/reload", "/", "/bff/user"):
            assert (await admin(at, path))[0] == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 503),
        ("?exclude=op", 200),
        ("?exclude=store", 503),
        ("?exclude=op&exclude=store", 200),
        ("?exclude=", 400),
        ("?exclude=op,store", 400),
        ("?exclude=nothing", 400),
        ("?only=op", 400),
    ],
)
async def test_readiness_without_what_all_replicas_share(query: str, status: int) -> None:
    """A load balancer that took every gateway out for an outage of the OP would end what still
    works. A check that there is not would never fail, so it is refused."""
    async with running_stack() as stack:
        await stack.op_server.stop()
        assert (await admin(stack.ports, f"/readyz{query}"))[0] == status


# --- no request is lost


@asynccontextmanager
async def a_gateway_that_stops(*, kept: int = 0) -> AsyncIterator[tuple[Gateway, int, list[Wire]]]:
    """Its port, and connections that have been used before."""
    async with running_stack() as stack, contextlib.AsyncExitStack() as wires:
        port = stack.ports.gateway
        used = [await wires.enter_async_context(wired(port)) for _ in range(kept)]
        for wire in used:
            wire.send(ONCE % port)
            await wire.until_received(b"not_authenticated")
            wire.received.clear()
        yield stack.gateway, port, used


async def test_connections_in_the_queue_of_the_socket_are_served() -> None:
    """The kernel has made them and the caller has sent its request; closing the socket would reset
    them."""
    async with a_gateway_that_stops() as (gateway, port, _):
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        for caller in callers:
            caller.sendall(ONCE % port)
        await gateway.stop()  # nothing of the loop has run since
        for caller in callers:
            caller.settimeout(HANG_SECONDS)
            assert caller.recv(100).startswith(b"HTTP/1.1 401 ")
            caller.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


async def test_a_request_that_is_here_but_not_read_is_served() -> None:
    """On a kept connection: closing it, idle as it seems, would lose the request."""
    async with a_gateway_that_stops(kept=3) as (gateway, port, (wire, *idle)):
        wire.send(ONCE % port)
        await gateway._public.listener.stop(HANG_SECONDS)
        assert b"HTTP/1.1 401 " in await wire.until_end()
        for other in idle:
            assert await other.until_end() == b""


async def test_a_head_that_has_begun_is_waited_for() -> None:
    async with a_gateway_that_stops(kept=1) as (gateway, port, (wire,)):
        request = ONCE % port
        wire.send(request[:20])
        stopping = asyncio.create_task(gateway.stop())
        await until(lambda: gateway._public.listener.is_stopping)
        wire.send(request[20:])
        assert b"HTTP/1.1 401 " in await wire.until_end()
        await stopping


async def test_a_connection_that_is_new_may_bring_its_request() -> None:
    """A proxy that has just made it is about to send one; a browser that only made it in advance
    holds the stop up for no more than two seconds."""
    async with (
        a_gateway_that_stops() as (gateway, port, _),
        wired(port) as wire,
        wired(port) as silent,
    ):
        await until(lambda: len(gateway._public.listener._open) == 2)
        stopping = asyncio.create_task(gateway._public.listener.stop(HANG_SECONDS))
        await until(lambda: gateway._public.listener.is_stopping)
        wire.send(ONCE % port)
        assert b"HTTP/1.1 401 " in await wire.until_end()
        assert await silent.until_end() == b""
        await stopping
