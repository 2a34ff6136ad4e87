"""`bff serve` with several workers: one service, whichever process answers."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from spa_demo.api.settings import ApiSettings
from tests.flows.test_stopping import require_no_answer_by_half
from tests.parts.browser import Browser
from tests.parts.configuration import BY_NEWS_ONLY, Ports, free_ports, gateway_toml
from tests.parts.demo_servers import running_api, running_demo_op
from tests.parts.gateway_program import GatewayProgram, gateway_program
from tests.parts.raw_upstream import raw_upstream
from tests.parts.redis_server import RedisServer
from tests.polling import HANG_SECONDS, until

ASKED = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/api/x"}


@dataclass(slots=True)
class Service:
    """A running `bff serve` with several workers."""

    program: GatewayProgram
    ports: Ports
    folder: Path

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.ports.gateway}"

    def worker_pids(self) -> set[int]:
        pid = self.program.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def metric_files(self) -> list[str]:
        """What the workers share their numbers by."""
        return [path.name for path in self.folder.glob("bff-metrics-*/*")]


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
            await stack.enter_async_context(running_api(ApiSettings(issuer), port=ports.api))
        yield


def a_service(
    ports: Ports, folder: Path, toml: str, environment: Mapping[str, str] | None = None
) -> Service:
    """`bff serve` with a configuration, not started."""
    # The workers must not run what lies about in the working directory.
    (folder / "structlog.py").write_text("raise SystemExit('not to be imported')")
    environment = {"TMPDIR": str(folder), **(environment or {})}
    program = gateway_program(ports, folder, toml, environment=environment)
    return Service(program, ports, folder)


@asynccontextmanager
async def served(
    ports: Ports, folder: Path, toml: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Service]:
    """`bff serve` with a configuration; killed at the end, with all that it started."""
    service = a_service(ports, folder, toml, environment)

    async def has_started() -> bool:
        return service.program.events("started") != []

    service.program.is_ready = has_started
    try:
        await service.program.start()
        yield service
    finally:
        await service.program.end()  # its workers notice


@asynccontextmanager
async def two_workers(
    redis: RedisServer,
    directory: Path,
    *,
    api: int | None = None,
    environment: Mapping[str, str] | None = None,
    server: str = "",
    **toml: str,
) -> AsyncIterator[Service]:
    """Two of them, in front of the demo's OP and, unless one is given, API."""
    ports = free_ports()
    configured = Ports(ports.gateway, ports.admin, ports.op, api or ports.api)
    text = gateway_toml(configured, store=redis.url, server=f"workers = 2\n{server}", **toml)
    ours = Ports(ports.gateway, ports.admin, ports.op, 0 if api else ports.api)
    async with installation(ours), served(configured, directory, text, environment) as service:
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
            line["worker"]
            for line in service.program.events("refused")
            if line["request_id"] == request_id
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


async def test_metrics_are_those_of_all_workers_at_each_of_them(
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
        expected = len(service.program.events("refused"))
        assert expected >= 10

        async def all_are_shown() -> bool:
            return await service.program.metric(refused) == expected

        for _ in range(8):
            await until(all_are_shown)
        assert await service.program.metric("bff_store_watching") == 1
        assert await service.program.metric("bff_worker_restarts_total") == 0
        for path in ("/healthz", "/readyz"):
            assert (await service.program.admin(path))[0] == 200


async def test_a_killed_worker_is_replaced_and_no_session_is_lost(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """The other goes on meanwhile; what the dead one counted stays counted."""
    logins = 'bff_logins_total{frontend="default",outcome="ok",provider="default"}'
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
        [died] = service.program.events("worker_died")
        assert (died["pid"], died["exit_code"]) == (victim, -signal.SIGKILL)

        async def is_counted() -> bool:
            return await service.program.metric("bff_worker_restarts_total") == 1

        await until(is_counted)
        assert await service.program.metric(logins) == 1
        assert f"counter_{victim}.db" in service.metric_files()
        assert f"gauge_livemin_{victim}.db" not in service.metric_files()
        async with AsyncExitStack() as stack:
            for line in (await a_line_to_each(stack, service)).values():
                assert await line.status("GET", f"{service.public_url}/api/me", fields) == 200


async def test_a_stop_under_load_leaves_no_answer_half(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """All workers finish what runs, nothing new is taken, and the exit code is 0."""
    async with raw_upstream() as upstream:
        server = 'shutdown_timeout = "60s"'
        async with two_workers(own_redis, tmp_path, api=upstream.port, server=server) as service:
            program = service.program
            await require_no_answer_by_half(
                program, signal.SIGTERM, service.ports, upstream, calls=40
            )
            assert program.events("worker_died") == []
            assert service.metric_files() == []


async def test_workers_do_not_outlive_a_killed_supervisor(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """The address is free again, for the next start of the service."""
    async with two_workers(own_redis, tmp_path) as service:
        workers = service.worker_pids()
        service.program.signal(signal.SIGKILL)
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
        second = a_service(service.ports, other, text).program
        second.spawn()
        assert await second.exit_code() == 3
        assert second.log.read_text().startswith("bff: can't listen: ")
        service.program.signal(signal.SIGINT)
        assert await service.program.exit_code() == 0
    assert service.program.output.read_text() == ""
    [started] = service.program.events("started")
    assert len(service.program.events("stopped")) == 1
    assert started["listen"] == [f"127.0.0.1:{service.ports.gateway}"]
    assert started["workers"] == 2


async def test_unix_sockets_are_shared_by_workers(own_redis: RedisServer, tmp_path: Path) -> None:
    """All listeners on one each; a file that a former service left behind is taken over."""
    ports = free_ports()
    public, admin, auth = (tmp_path / f"{name}.sock" for name in ("public", "admin", "auth"))
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(public))
    server = f"""
workers = 2
listen = "unix:{public}"
admin_listen = "unix:{admin}"
auth_listen = "unix:{auth}"
"""
    text = gateway_toml(ports, store=own_redis.url, server=server)
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
        service.program.signal(signal.SIGTERM)
        assert await service.program.exit_code() == 0
