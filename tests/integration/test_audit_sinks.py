"""The way of audit records to real counterparts, and what becomes of them when these fail: nothing
is lost silently, no other sink is hurt, and a restart of the counterpart loses nothing.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bff.audit.audit import Audit, KeptOfRequests
from bff.audit.delivery import DeliveryLimits
from bff.audit.event import Actor, Event, EventName, Origin
from bff.audit.sinks import Sink
from bff.audit.sinks.files import FileSink
from bff.audit.sinks.redis_stream import RedisStreamSink
from bff.audit.sinks.syslog import SyslogSink
from bff.audit.sinks.webhook import WebhookSink
from bff.audit.verification import Verification
from bff.clock import SystemClock
from bff.observability.metrics import Metrics
from bff.sessions.redis.store import RedisStore
from tests.parts.command import run
from tests.parts.redis_server import RedisServer, own_redis, redis_server
from tests.parts.servers import Server, free_port, serving
from tests.polling import HANG_SECONDS, until

__all__ = ["own_redis", "redis_server"]

QUICK = DeliveryLimits(first_pause_seconds=0.01, longest_pause_seconds=0.02)


def login(number: int) -> Event:
    return Event(EventName.LOGIN_SUCCEEDED, Actor.USER, sub=f"user {number}")


@asynccontextmanager
async def auditing(
    *sinks: Sink,
    limits: DeliveryLimits = QUICK,
    metrics: Metrics | None = None,
    closing_seconds: float = HANG_SECONDS,
) -> AsyncIterator[Audit]:
    audit = Audit(sinks, metrics, limits=limits)
    await audit.open()
    try:
        yield audit
    finally:
        await audit.close(closing_seconds)


def verified(lines: list[str], *, is_part: bool = False) -> list[dict[str, Any]]:
    """The records of lines that are whole."""
    verification = Verification(is_part=is_part)
    verification.read("sink", [f"{line}\n".encode() for line in lines])
    assert verification.finish() == []
    return [json.loads(line) for line in lines]


def subs(records: list[dict[str, Any]]) -> list[str]:
    return [record["sub"] for record in records if record["event"] == "login_succeeded"]


ALL = [f"user {number}" for number in range(250)]


# --- files and standard output


@pytest.mark.rule("AU-03")
async def test_a_file_gets_every_record_and_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    async with auditing(FileSink(file)) as audit:
        for number in range(250):
            audit.report(login(number))
    assert subs(verified(file.read_text().splitlines())) == ALL
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_was_moved_is_opened_anew(tmp_path: Path) -> None:
    file, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    async with auditing(FileSink(file)) as audit:
        audit.report(login(0))
        await until(lambda: "user 0" in file.read_text())
        file.rename(moved)
        audit.report(login(1))
        await until(file.exists)
    lines = moved.read_text().splitlines() + file.read_text().splitlines()
    assert subs(verified(lines)) == ["user 0", "user 1"]
    assert "user 1" not in moved.read_text()


async def test_a_restart_goes_on_in_the_same_file_with_another_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    for number in (1, 2):
        async with auditing(FileSink(file)) as audit:
            audit.report(login(number))
    records = verified(file.read_text().splitlines())
    assert subs(records) == ["user 1", "user 2"]
    assert len({record["chain"] for record in records}) == 2


@pytest.mark.rule("AU-04")
async def test_a_full_disk_hurts_no_other_sink_and_is_counted(tmp_path: Path) -> None:
    file, metrics = tmp_path / "audit.jsonl", Metrics()
    full = FileSink(Path("/dev/full"))
    async with auditing(full, FileSink(file), metrics=metrics, closing_seconds=1) as audit:
        for number in range(5):
            audit.report(login(number))
        await until(lambda: file.exists() and "user 4" in file.read_text())
    assert subs(verified(file.read_text().splitlines())) == ALL[:5]
    lost = 'bff_audit_events_lost_total{sink="file"} 6.0'  # with the chain's beginning
    assert lost in metrics.exposition().decode()


async def test_a_pipe_that_is_not_read_holds_up_neither_requests_nor_the_end(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with auditing(FileSink(pipe), closing_seconds=0.2) as audit:
            for number in range(1000):
                audit.report(login(number))
    finally:
        os.close(reader)


STDOUT = """
import asyncio
from bff.audit.audit import Audit
from bff.audit.event import *
from bff.audit.sinks.files import FileSink
async def main():
    audit = Audit([FileSink(None)])
    await audit.open()
    audit.report(Event(EventName.LOGIN_SUCCEEDED, Actor.USER, sub="user 0"))
    await audit.close(60)
asyncio.run(main())
"""


async def test_standard_output_gets_one_line_a_record() -> None:
    result = await run([sys.executable, "-c", STDOUT])
    assert subs(verified(result.out.splitlines())) == ["user 0"]


# --- syslog


class Datagrams:
    """A syslog server's socket, read to the end of what has come."""

    def __init__(self, family: int, address: Any) -> None:
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)
        self.messages: list[str] = []

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def has(self, text: str) -> bool:
        while True:
            try:
                self.messages.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return any(text in message for message in self.messages)

    def lines(self) -> list[str]:
        return [message[message.index("{") :] for message in self.messages]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def datagrams(family: int, address: Any) -> Iterator[Datagrams]:
    server = Datagrams(family, address)
    try:
        yield server
    finally:
        server.close()


async def test_syslog_gets_rfc_5424_messages_by_udp() -> None:
    with datagrams(socket.AF_INET, ("127.0.0.1", 0)) as server:
        async with auditing(SyslogSink(host="127.0.0.1", port=server.port)) as audit:
            audit.report(login(0))
            failed = Event(EventName.LOGIN_FAILED, Actor.USER, "login_expired")
            audit.report(failed)
        await until(lambda: server.has("chain_ended"))
    assert subs(verified(server.lines())) == ["user 0"]
    begun, succeeded, refused, _ = server.messages
    host = socket.gethostname()
    record = json.loads(server.lines()[1])
    assert succeeded.startswith(f"<85>1 {record['time']} {host} bff {os.getpid()} audit - {{")
    assert refused.startswith("<84>1 ")
    assert begun.startswith("<85>1 ")


async def test_a_unix_socket_whose_server_was_away_gets_what_it_missed(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    # The server is away again when the chain ends.
    async with auditing(SyslogSink(path=path), closing_seconds=0.05) as audit:
        audit.report(login(0))
        with datagrams(socket.AF_UNIX, path) as server:
            await until(lambda: server.has("user 0"))
            before = server.lines()
        os.unlink(path)  # noqa: PTH108 - as the server itself does
        audit.report(login(1))
        with datagrams(socket.AF_UNIX, path) as again:
            await until(lambda: again.has("user 1"))
            assert subs(verified(before + again.lines(), is_part=True)) == ["user 0", "user 1"]


# --- a Redis stream


def records_in(redis: RedisServer, stream: str) -> list[str]:
    return [fields[1].decode() for _, fields in redis.command("XRANGE", stream, "-", "+")]


async def test_a_redis_stream_gets_every_record_in_the_namespace(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url, SystemClock(), namespace="audited")
    async with auditing(RedisStreamSink(store.append, "audit")) as audit:
        for number in range(250):
            audit.report(login(number))
    await store.close()
    assert subs(verified(records_in(redis_server, "audited:a:audit"))) == ALL


async def test_a_redis_stream_is_bounded(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url, SystemClock(), namespace="bounded")
    async with auditing(RedisStreamSink(store.append, "audit", 100)) as audit:
        for number in range(2000):
            audit.report(login(number))
    await store.close()
    left = records_in(redis_server, "bounded:a:audit")
    assert 100 <= len(left) < 400  # Redis drops whole nodes of its tree, of 100 entries
    assert json.loads(left[-1])["event"] == "chain_ended"


async def test_a_redis_that_was_away_gets_what_it_missed(own_redis: RedisServer) -> None:
    store = RedisStore(own_redis.url, SystemClock())
    own_redis.stop()
    async with auditing(RedisStreamSink(store.append, "audit")) as audit:
        audit.report(login(0))
        await asyncio.sleep(0)
        own_redis.start()
    await store.close()
    assert subs(verified(records_in(own_redis, "bff:a:audit"))) == ["user 0"]


# --- a webhook


class Receiver:
    """`answers` are the statuses of the first requests; all others are answered 204."""

    def __init__(self, *answers: int) -> None:
        self.bodies: list[str] = []
        self.taken: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._answers = list(answers)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        status = self._answers.pop(0) if self._answers else 204
        if status == 204:
            self.taken += body.splitlines()
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    def has(self, text: str) -> Callable[[], bool]:
        return lambda: any(text in line for line in self.taken)


@asynccontextmanager
async def receiving(receiver: Receiver, port: int) -> AsyncIterator[Server]:
    application = web.Application()
    application.router.add_post("/events", receiver.receive)
    async with serving(application, port) as server:
        yield server


async def test_a_webhook_is_asked_again_with_the_same_bytes_until_it_takes_them() -> None:
    """302 is no success either, and is not followed: records name users."""
    receiver, port = Receiver(500, 302, 401), free_port()
    sink = WebhookSink(f"http://127.0.0.1:{port}/events", "canary-token")
    async with receiving(receiver, port), auditing(sink) as audit:
        audit.report(login(0))
        await until(receiver.has("user 0"))
        await audit.close(HANG_SECONDS)
    assert subs(verified(receiver.taken)) == ["user 0"]
    first, second, third, fourth, *_ = receiver.bodies
    assert first == second == third == fourth
    assert receiver.headers[0]["Authorization"] == "Bearer canary-token"
    assert receiver.headers[0]["Content-Type"] == "application/x-ndjson"
    assert "canary-token" not in repr(sink)


async def test_a_webhook_gets_many_records_in_one_request() -> None:
    receiver, port = Receiver(), free_port()
    sink = WebhookSink(f"http://127.0.0.1:{port}/events")
    async with receiving(receiver, port), auditing(sink) as audit:
        for number in range(250):
            audit.report(login(number))
        await audit.close(HANG_SECONDS)
    assert subs(verified(receiver.taken)) == ALL
    assert len(receiver.bodies) < 10


@pytest.mark.rule("AU-04")
async def test_what_a_full_queue_has_no_room_for_is_told_in_its_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By a metric, a line of the log, and a record between those that were kept."""
    receiver, port, metrics = Receiver(), free_port(), Metrics()
    sink = WebhookSink(f"http://127.0.0.1:{port}/events")
    limits = DeliveryLimits(queued=5, first_pause_seconds=0.01, longest_pause_seconds=0.02)
    async with auditing(sink, limits=limits, metrics=metrics) as audit:
        for number in range(12):
            audit.report(login(number))
        async with receiving(receiver, port):
            await until(receiver.has("user 3"))
            audit.report(login(99))
            await audit.close(HANG_SECONDS)
    records = verified(receiver.taken)
    assert [record["sub"] or record["event"] for record in records] == [
        "chain_begun", "user 0", "user 1", "user 2", "user 3", "events_lost", "user 99",
        "chain_ended",
    ]  # fmt: skip
    assert next(r for r in records if r["event"] == "events_lost")["omitted"] == 8
    exposition = metrics.exposition().decode()
    assert 'bff_audit_events_lost_total{sink="webhook"} 8.0' in exposition
    written = capsys.readouterr()
    assert "audit_events_lost" in written.out + written.err


@pytest.mark.rule("AU-04")
async def test_the_end_does_not_wait_for_a_receiver_that_is_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = Metrics()
    sink = WebhookSink(f"http://127.0.0.1:{free_port()}/events")
    async with auditing(sink, metrics=metrics, closing_seconds=0.05) as audit:
        audit.report(login(0))
    lost = 'bff_audit_events_lost_total{sink="webhook"} 2.0'
    assert lost in metrics.exposition().decode()
    written = capsys.readouterr()
    assert "connection refused" in written.out + written.err


async def test_the_end_does_not_sit_out_a_pause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The receiver may be back by then."""
    path = tmp_path / "socket"
    limits = DeliveryLimits(first_pause_seconds=0.01, longest_pause_seconds=20 * HANG_SECONDS)
    metrics = Metrics()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        async with auditing(SyslogSink(path=str(path)), limits=limits, metrics=metrics) as audit:
            audit.report(login(0))
            await until(lambda: "audit_sink_failed" in "".join(capsys.readouterr()))
            await asyncio.sleep(0)  # it pauses now, and each further pause would be longer
            server.bind(str(path))
    assert "audit_events_lost_total{" not in metrics.exposition().decode()


async def test_a_record_begins_on_a_line_of_its_own_behind_one_that_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text('{"version": 1, "ti')  # its process was killed
    async with auditing(FileSink(file)) as audit:
        audit.report(login(0))
    cut, *lines = file.read_text().splitlines()
    assert cut == '{"version": 1, "ti'
    assert subs(verified(lines)) == ["user 0"]


# --- what is kept of a request


@pytest.mark.parametrize(
    ("kept", "address", "user_agent"),
    [
        ("full", "203.0.113.77", "x" * 256),
        ("truncated", "203.0.113.0/24", "x" * 64),
        ("off", None, None),
    ],
)
async def test_address_and_user_agent_are_kept_as_configured(
    kept: str, address: str | None, user_agent: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    audit = Audit([FileSink(file)], kept=KeptOfRequests(kept, kept))
    await audit.open()
    origin = Origin("r", "203.0.113.77", "\x1b" + "x" * 4000 if kept == "off" else "x" * 4000)
    audit.report(Event(EventName.LOGIN_BEGUN, Actor.USER, origin=origin))
    await audit.close(HANG_SECONDS)
    record = verified(file.read_text().splitlines())[1]
    assert (record["address"], record["user_agent"]) == (address, user_agent)


# --- floods


@pytest.mark.rule("AU-04")
async def test_a_flood_of_one_kind_is_capped_and_counted(tmp_path: Path) -> None:
    """An attacker does not fill the disk, and other kinds go on being written."""
    file = tmp_path / "audit.jsonl"
    async with auditing(FileSink(file)) as audit:
        for number in range(1000):
            audit.report(Event(EventName.LIMIT_HIT, Actor.LIMIT, "login", sub=f"{number}"))
        audit.report(Event(EventName.LIMIT_HIT, Actor.LIMIT, "refresh"))
        audit.report(login(0))
    records = verified(file.read_text().splitlines())
    hits = [r for r in records if r["reason"] == "login"]
    assert len(hits) == 21
    assert hits[-1]["sub"] == "999"
    assert len(hits) + hits[-1]["omitted"] == 1000
    assert len([r for r in records if r["reason"] == "refresh"]) == 1
    assert subs(records) == ["user 0"]


async def test_what_is_held_back_is_written_at_the_end_of_the_interval(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    audit = Audit([FileSink(file)], interval_seconds=0.05)
    await audit.open()
    for _ in range(30):
        audit.report(Event(EventName.CSRF_REFUSED, Actor.USER, "csrf_cross_site"))
    await until(lambda: file.exists() and '"omitted": 9' in file.read_text())
    await audit.close(HANG_SECONDS)
