"""A gateway that is told to restart starts a new process that takes over its sockets: no call fails
meanwhile, and where the new one does not get ready, the old one goes on.

Real processes, with sessions in Redis. SIGUSR2 goes to the process that was started, whose id stays
good over any number of restarts.
"""

import asyncio
import contextlib
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from bff.app.succession import WHY_NOT
from bff.exit_codes import INCOMPATIBLE
from tests.flows.replicas import Load
from tests.flows.test_workers import Service, logged_in, served
from tests.parts.command import BFF, own_environment, run
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.demo_servers import running_demo_op
from tests.parts.raw_upstream import raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.polling import until

pytestmark = pytest.mark.timeout(900)  # up to six processes are started, on a busy machine

RESTARTS = 3
STREAMS = 4


@contextlib.asynccontextmanager
async def running(
    redis: RedisServer, directory: Path, *, store: str | None = None, **toml: str
) -> AsyncIterator[Service]:
    """`bff serve`, before the demo's OP and an API that answers "ok"."""
    gateway, admin, op = (free_port() for _ in range(3))
    async with (
        raw_upstream() as api,
        running_demo_op(op, f"http://localhost:{gateway}", access_token_seconds=3600),
    ):
        ports = Ports(gateway, admin, op, api.port)
        text = gateway_toml(ports, store=store or redis.url, **toml)
        async with served(ports, directory, text) as service:
            yield service


async def restart(service: Service) -> int:
    """Ask for it and wait until it is done; the process that serves now."""
    before = len(service.program.events("restarted"))
    service.program.signal(signal.SIGUSR2)
    await until(lambda: len(service.program.events("restarted")) > before)
    return int(service.program.events("restarted")[-1]["pid"])


async def failed_restart(service: Service, event: str = "restart_failed") -> str:
    """Ask for it and wait for the reason why it can't be."""
    before = len(service.program.events(event))
    service.program.signal(signal.SIGUSR2)
    await until(lambda: len(service.program.events(event)) > before)
    return str(service.program.events(event)[-1]["reason"])


async def stopped(service: Service) -> int:
    service.program.signal(signal.SIGTERM)
    return await service.program.exit_code()


@dataclass(slots=True)
class EventStreams:
    """Browsers that listen, and come back at once when their stream has ended in order."""

    url: str
    fields: dict[str, str]
    opened: int = 0
    retries: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(
            headers=self.fields, timeout=aiohttp.ClientTimeout(total=None)
        ) as http:
            tasks = [asyncio.create_task(self._listen(http)) for _ in range(STREAMS)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, http: aiohttp.ClientSession) -> None:
        while True:
            try:
                async with http.get(self.url) as stream:
                    if stream.status != 200:
                        self.failures.append(f"{stream.status}")
                        return
                    head = await stream.content.readuntil(b"event: session\n")
                    self.retries += [int(n) for n in re.findall(rb"retry: (\d+)\n", head)]
                    self.opened += 1
                    rest = await stream.content.read()
                    assert b"event: ended" not in rest, "the session goes on"
            except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
                self.failures.append(repr(error))
                return


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_call_fails_over_restarts(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """GETs, POSTs and event streams, none of which ever pauses."""
    load = Load()
    async with running(own_redis, tmp_path, server=f"workers = {workers}") as service:
        url = f"{service.public_url}/api/x"
        async with logged_in(service) as (_, fields):
            streams = EventStreams(
                f"{service.public_url}/bff/events", {**fields, "Sec-Fetch-Site": "same-origin"}
            )
            async with load.running(url, fields, None), streams.open():
                await until(lambda: streams.opened == STREAMS)
                for done in range(1, RESTARTS + 1):
                    await restart(service)
                    await until(lambda done=done: streams.opened >= STREAMS * (done + 1))  # type: ignore[misc]
                await until(load.is_enough)
        assert load.failures == []
        assert streams.failures == []
        assert len(set(streams.retries)) > STREAMS, "browsers come back one after the other"
        assert all(1000 <= retry < 5000 for retry in streams.retries)
        assert await stopped(service) == 0
    assert len(service.program.events("started")) == RESTARTS + 1
    assert len(service.program.events("stopped")) == RESTARTS + 1
    assert service.program.events("worker_died") == []


async def test_the_process_id_stays_good(own_redis: RedisServer, tmp_path: Path) -> None:
    """A service manager knows that of the first process. Signals reach the last one, and all end
    when that one does."""
    async with running(own_redis, tmp_path) as service:
        first = await restart(service)
        second = await restart(service)
        assert len({service.program.pid, first, second}) == 3
        await until(lambda: service.worker_pids() == {second})
        assert await service.program.admin("/healthz") == (200, {"status": "ok"})
        assert await stopped(service) == 0
        assert not is_running(second)


async def test_the_end_of_the_first_process_ends_all(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Killed, it can tell no other: each notices."""
    async with running(own_redis, tmp_path) as service:
        serving = await restart(service)
        await service.program.end()
        await until(lambda: not is_running(serving))


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_new_process_that_does_not_get_ready_changes_nothing(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """The old one goes on and says why, and a later restart can be a good one."""
    async with running(own_redis, tmp_path, server=f"workers = {workers}") as service:
        config = tmp_path / "bff.toml"
        good = config.read_text()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            place = f"127.0.0.1:{taken.getsockname()[1]}"
            spoiled = {
                "its configuration is not valid": good.replace("[session]", "[session]\nidle = 1"),
                "it can't listen on an address": good.replace(
                    "[server]", f'[server]\nhealth_listen = "{place}"'
                ),
                "it did not get ready": good.replace(own_redis.url, "redis://127.0.0.1:1"),
            }
            for reason, text in spoiled.items():
                config.write_text(text)
                assert await failed_restart(service) == reason
                assert await service.program.admin("/healthz") == (200, {"status": "ok"})
        assert "session.idle: unknown key" in service.program.log.read_text()
        config.write_text(good)
        await restart(service)
        assert await stopped(service) == 0


async def test_sessions_in_memory_would_be_lost(own_redis: RedisServer, tmp_path: Path) -> None:
    async with running(own_redis, tmp_path, store="memory://") as service:
        reason = await failed_restart(service, "restart_refused")
        assert "in memory" in reason
        assert await service.program.admin("/healthz") == (200, {"status": "ok"})
        assert await stopped(service) == 0


async def test_a_stop_while_a_restart_is_under_way_stops_both(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """And a second restart is part of the first."""
    async with running(own_redis, tmp_path) as service:
        service.program.signal(signal.SIGUSR2)
        service.program.signal(signal.SIGUSR2)
        await until(lambda: bool(service.program.events("restart_begun")))
        assert await stopped(service) == 0
        pids = [line["pid"] for line in service.program.events("restart_begun")]
        assert len(pids) == 1
        assert not is_running(pids[0])


async def test_a_configuration_that_has_changed_is_that_of_the_new_process(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Another number of workers, two listeners more, one at another address: each works."""
    async with running(own_redis, tmp_path) as service, logged_in(service) as (_, fields):
        config = tmp_path / "bff.toml"
        good = config.read_text()
        moved, health, figures = free_port(), free_port(), free_port()
        admin = f"127.0.0.1:{service.ports.admin}"
        config.write_text(
            good.replace(admin, f"127.0.0.1:{moved}").replace(
                "[server]", f'[server]\nworkers = 2\nhealth_listen = "127.0.0.1:{health}"'
            )
            + f'\n[metrics]\nlisten = "127.0.0.1:{figures}"\n'
        )
        await restart(service)
        assert await statuses([moved, health, figures]) == [200, 200, 200]
        await restart(service)
        assert await statuses([moved, health, figures]) == [200, 200, 200]
        await until_refused(service.ports.admin)
        config.write_text(good)
        await restart(service)
        await until_refused(figures)
        assert await statuses([service.ports.admin]) == [200]
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{service.public_url}/bff/user", headers=fields) as answer,
        ):
            assert answer.status == 200
        assert await stopped(service) == 0


async def statuses(ports: Iterable[int]) -> list[int]:
    found = []
    async with aiohttp.ClientSession() as http:
        for port in ports:
            async with http.get(f"http://127.0.0.1:{port}/healthz") as answer:
                found.append(answer.status)
    return found


async def until_refused(port: int) -> None:
    def is_refused() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    await until(is_refused)


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_name_of_a_unix_socket_survives(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """The new process listens with the same socket; the name goes with the last of them."""
    path = tmp_path / "public.sock"
    async with running(own_redis, tmp_path, server=f"workers = {workers}") as service:
        config = tmp_path / "bff.toml"
        listen = f'listen = "127.0.0.1:{service.ports.gateway}"'
        config.write_text(config.read_text().replace(listen, f'listen = "unix:{path}"'))
        await restart(service)
        inode = path.stat().st_ino
        await restart(service)
        assert path.stat().st_ino == inode
        connector = aiohttp.UnixConnector(str(path))
        host = {"Host": f"localhost:{service.ports.gateway}", "X-CSRF": "1"}
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get("http://localhost/bff/user", headers=host) as answer,
        ):
            assert answer.status == 401
        assert await stopped(service) == 0
        assert not path.exists()


async def test_a_version_that_cannot_take_over_says_what_to_do(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """As an upgrade over a change of how processes hand over would meet it."""
    async with running(own_redis, tmp_path) as service:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b'{"version": 0, "held": [], "lifeline": 0}\n')
            done = await run(
                [*BFF, "serve", "--config", str(tmp_path / "bff.toml")],
                environment=own_environment(BFF_PREDECESSOR=str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
            )
        assert done.code == INCOMPATIBLE
        assert "stop that one, then start this" in done.err
        assert "start the other" in WHY_NOT[INCOMPATIBLE]
        assert await service.program.admin("/healthz") == (200, {"status": "ok"})
