"""`bff serve` with several workers: one service, whichever process answers."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spa_demo.api.server import build_api
from spa_demo.api.settings import ApiSettings
from tests.parts.browser import Browser
from tests.parts.raw_upstream import Received, raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.stack import (
    BY_NEWS_ONLY,
    Ports,
    free_port,
    gateway_toml,
    running_demo_op,
    serving,
)
from tests.polling import HANG_SECONDS, until

STARTED = '"event": "started"'
ASKED = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/api/x"}


@dataclass(slots=True)
class Service:
    """A running `bff serve` with several workers, and where it writes its log."""

    process: Process
    ports: Ports
    log: Path

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.ports.gateway}"

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def worker_pids(self) -> set[int]:
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def metric_files(self) -> list[str]:
        """What the workers share their numbers by."""
        return [path.name for path in self.log.parent.glob("bff-metrics-*/*")]

    async def admin(self, path: str) -> tuple[int, str]:
        """Over a connection of its own, so that any worker may answer."""
        url = f"http://127.0.0.1:{self.ports.admin}{path}"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status, await answer.text()

    async def metric(self, sample: str) -> float:
        _, text = await self.admin("/metrics")
        found = [line for line in text.splitlines() if line.startswith(sample + " ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0


@dataclass(slots=True)
class Line:
    """A kept-alive connection, and the worker at its end."""

    http: aiohttp.ClientSession
    worker: int

    async def status(self, method: str, url: str, headers: Mapping[str, str]) -> int:
        async with self.http.request(method, url, headers=headers) as answer:
            await answer.read()
            return answer.status


@asynccontextmanager
async def installation(ports: Ports) -> AsyncIterator[None]:
    """The demo's OP and API."""
    issuer, public_url = f"http://127.0.0.1:{ports.op}", f"http://localhost:{ports.gateway}"
    async with running_demo_op(ports.op, public_url), AsyncExitStack() as stack:
        if ports.api:
            api = build_api(ApiSettings(issuer=issuer))
            await stack.enter_async_context(serving(api, ports.api))
        yield


@asynccontextmanager
async def served(
    ports: Ports, directory: Path, toml: str, *, until_ready: bool = True
) -> AsyncIterator[Service]:
    """`bff serve` with a configuration; killed at the end, with all that it started."""
    (directory / "bff.toml").write_text(toml)
    # Nobody's workers may run what lies about in the working directory.
    (directory / "structlog.py").write_text("raise SystemExit('not to be imported')")
    log = directory / "log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("bff")), "serve"),
            stdout=PIPE,
            stderr=stderr,
            cwd=directory,
            env={**os.environ, "TMPDIR": str(directory)},
        )
    service = Service(process, ports, log)
    try:
        if until_ready:
            await until(lambda: process.returncode is not None or STARTED in log.read_text())
            assert process.returncode is None, log.read_text()
        yield service
    finally:
        if process.returncode is None:
            process.kill()  # its workers notice
        await process.communicate()


@asynccontextmanager
async def two_workers(
    redis: RedisServer, directory: Path, *, api: int | None = None, **toml: str
) -> AsyncIterator[Service]:
    """Two of them, in front of the demo's OP and, unless one is given, API."""
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    configured = Ports(ports.gateway, ports.admin, ports.op, api or ports.api)
    text = gateway_toml(configured, store=redis.url, server="workers = 2", **toml)
    ours = Ports(ports.gateway, ports.admin, ports.op, 0 if api else ports.api)
    async with installation(ours), served(configured, directory, text) as service:
        yield service


async def a_line(stack: AsyncExitStack, service: Service) -> Line:
    http = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1), cookie_jar=aiohttp.DummyCookieJar()
        )
    )
    async with http.get(f"{service.public_url}/api/who", headers={"X-CSRF": "1"}) as answer:
        assert answer.status == 401
        request_id = (await answer.json())["request_id"]

    def told() -> list[int]:
        return [
            line["worker"] for line in service.logged("refused") if line["request_id"] == request_id
        ]

    await until(lambda: bool(told()))
    return Line(http, told()[0])


async def a_line_to_each(stack: AsyncExitStack, service: Service) -> dict[int, Line]:
    lines: dict[int, Line] = {}
    for _ in range(60):
        line = await a_line(stack, service)
        lines.setdefault(line.worker, line)
        if len(lines) == 2:
            return lines
    raise AssertionError(f"all connections went to {lines.keys()}")


@asynccontextmanager
async def logged_in(service: Service) -> AsyncIterator[tuple[Browser, dict[str, str]]]:
    """A browser with a session, and the header fields of its calls."""
    async with Browser() as browser:
        page = await browser.navigate(f"{service.public_url}/bff/login")
        await browser.log_in_at_op(page, "alice")
        yield browser, {"Cookie": f"bff={browser.cookies.get('bff')}", "X-CSRF": "1"}


@pytest.mark.rule("SE-06")
async def test_both_workers_answer_and_a_logout_at_one_is_effective_at_the_other(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with (
        two_workers(own_redis, tmp_path, session=BY_NEWS_ONLY) as service,
        logged_in(service) as (_, fields),
        AsyncExitStack() as stack,
    ):
        lines = await a_line_to_each(stack, service)
        first, second = lines.values()
        for line in (first, second):  # both have it in their caches now
            assert await line.status("GET", f"{service.public_url}/api/me", fields) == 200
        listener = (await a_line_to_each(stack, service))[second.worker]
        listening = await stack.enter_async_context(
            listener.http.get(
                f"{service.public_url}/bff/events",
                headers=fields | {"Sec-Fetch-Site": "same-origin"},
            )
        )
        await listening.content.readuntil(b"event: session\n")
        assert await first.status("POST", f"{service.public_url}/bff/logout", fields) == 200

        async def is_ended() -> bool:
            return await second.status("GET", f"{service.public_url}/api/me", fields) == 401

        await until(is_ended)
        async with asyncio.timeout(HANG_SECONDS):
            assert b'event: ended\ndata: {"reason": "logout"}\n' in await listening.content.read()


async def test_metrics_are_those_of_all_workers_whoever_is_asked(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    refused = (
        'bff_answers_total{code="not_authenticated",frontend="default",kind="refused",status="401"}'
    )
    async with two_workers(own_redis, tmp_path) as service, AsyncExitStack() as stack:
        lines = await a_line_to_each(stack, service)
        for line, calls in zip(lines.values(), (3, 5), strict=True):
            for _ in range(calls):
                await line.status("GET", f"{service.public_url}/api/me", {"X-CSRF": "1"})
        expected = len(service.logged("refused"))
        assert expected >= 10
        for _ in range(8):
            assert await service.metric(refused) == expected
        assert await service.metric("bff_store_watching") == 1
        assert await service.metric("bff_worker_restarts_total") == 0
        for path in ("/healthz", "/readyz"):
            assert (await service.admin(path))[0] == 200


async def test_a_killed_worker_is_replaced_and_no_session_is_lost(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """The other goes on meanwhile; what the dead one counted stays counted."""
    logins = 'bff_logins_total{frontend="default",outcome="ok"}'
    async with (
        two_workers(own_redis, tmp_path) as service,
        logged_in(service) as (_, fields),
    ):
        before = service.worker_pids()
        assert len(before) == 2
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        survived = 0
        async with asyncio.timeout(HANG_SECONDS):
            while len(service.worker_pids() - {victim}) < 2 or survived < 20:
                async with aiohttp.ClientSession() as http:
                    try:
                        url = f"{service.public_url}/api/me"
                        async with http.get(url, headers=fields) as answer:
                            assert answer.status != 401
                            survived += answer.status == 200
                    except aiohttp.ClientConnectionError:
                        pass  # it was on its way to the victim
        [died] = service.logged("worker_died")
        assert (died["pid"], died["exit_code"]) == (victim, -signal.SIGKILL)

        async def is_counted() -> bool:
            return await service.metric("bff_worker_restarts_total") == 1

        await until(is_counted)
        assert await service.metric(logins) == 1
        assert f"counter_{victim}.db" in service.metric_files()
        assert f"gauge_livemin_{victim}.db" not in service.metric_files()
        async with AsyncExitStack() as stack:
            for line in (await a_line_to_each(stack, service)).values():
                assert await line.status("GET", f"{service.public_url}/api/me", fields) == 200


async def test_a_stop_under_load_leaves_no_answer_half(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All workers finish what runs, nothing new is taken, and the exit code is 0."""
    monkeypatch.setenv("BFF_SERVER__SHUTDOWN_TIMEOUT", "60s")
    proceed = asyncio.Event()

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await writer.drain()
        await proceed.wait()
        writer.write(b"world")

    async with raw_upstream() as upstream:
        upstream.responder = respond
        async with (
            two_workers(own_redis, tmp_path, api=upstream.port) as service,
            logged_in(service) as (browser, _),
        ):
            calls = [asyncio.create_task(browser.fetch("GET", f"/api/{n}")) for n in range(40)]
            await until(lambda: len(upstream.received) == 40)
            service.process.send_signal(signal.SIGTERM)

            async def refuses() -> bool:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", service.ports.gateway)
                except ConnectionError:
                    return True
                writer.close()
                return False

            await until(refuses)
            proceed.set()
            answers = await asyncio.gather(*calls)
            assert {(answer.status, answer.body) for answer in answers} == {(200, b"helloworld")}
            async with asyncio.timeout(HANG_SECONDS):
                assert await service.process.wait() == 0
            assert service.logged("worker_died") == []
            assert "Traceback" not in service.log.read_text()
            assert service.metric_files() == []


async def test_workers_do_not_outlive_a_killed_supervisor(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """The address is free again, for whoever starts the service anew."""
    async with two_workers(own_redis, tmp_path) as service:
        workers = service.worker_pids()
        service.process.kill()
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", service.ports.gateway)


async def test_the_start_is_told_once_and_another_service_finds_the_address_taken(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Workers share a port with each other, never with a second gateway."""
    other = tmp_path / "other"
    other.mkdir()
    async with two_workers(own_redis, tmp_path) as service:
        text = (tmp_path / "bff.toml").read_text()
        async with served(service.ports, other, text, until_ready=False) as second:
            async with asyncio.timeout(HANG_SECONDS):
                assert await second.process.wait() == 3
            assert second.log.read_text().startswith("bff: can't listen: ")
        service.process.send_signal(signal.SIGINT)
        output, _ = await service.process.communicate()
        assert output == b""
        said = service.log.read_text()
        assert said.count(STARTED) == said.count('"event": "stopped"') == 1
        assert f'"listen": ["127.0.0.1:{service.ports.gateway}"]' in said
        assert '"workers": 2' in said
        assert service.process.returncode == 0


async def test_unix_sockets_are_shared_by_workers(own_redis: RedisServer, tmp_path: Path) -> None:
    """All listeners on one each; a file that a former service left behind is taken over."""
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    public, admin, auth = (tmp_path / f"{name}.sock" for name in ("public", "admin", "auth"))
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(public))
    server = f'workers = 2\nauth_listen = "unix:{auth}"'
    text = gateway_toml(ports, store=own_redis.url, server=server)
    text = text.replace(f'"127.0.0.1:{ports.gateway}"', f'"unix:{public}"')
    text = text.replace(f'"127.0.0.1:{ports.admin}"', f'"unix:{admin}"')
    async with served(ports, tmp_path, text) as service:
        for path, url, status in (
            (public, f"http://localhost:{ports.gateway}/api/x", 401),
            (admin, "http://localhost/healthz", 200),
            (auth, f"http://localhost:{ports.gateway}/bff/auth", 401),
        ):
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
                http.get(url, headers={"X-CSRF": "1", **ASKED}) as answer,
            ):
                assert answer.status == status
        service.process.terminate()
        async with asyncio.timeout(HANG_SECONDS):
            assert await service.process.wait() == 0
