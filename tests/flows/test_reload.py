"""A gateway that is told to reload judges its new configuration whole, and only then has a process
with it take over. Where anything is wrong, it says what and where, and the old one goes on.

Real processes, with sessions in Redis; asked for by SIGHUP, or by `bff reload`, which is told what
came of it.
"""

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flows.replicas import Load
from tests.flows.served import a_served_gateway
from tests.flows.test_restart import STREAMS, EventStreams, running, stopped
from tests.flows.test_workers import Service, logged_in
from tests.parts.command import Result, bff
from tests.parts.configuration import SESSION_SECRET, free_ports, gateway_toml
from tests.parts.demo_servers import running_demo_op
from tests.parts.gateway_program import serving_gateway
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.polling import until

pytestmark = pytest.mark.timeout(900)  # up to six processes are started, on a busy machine

OTHER_SECRET = "n8Wq2LzR5vT7yB4kX9mC3jF6hD1sG0pE"
CLAIMS = 'claims = ["name", "email"]'


def config_of(service: Service) -> Path:
    return service.folder / "bff.toml"


def change(service: Service, old: str, new: str) -> None:
    text = config_of(service).read_text()
    assert old in text
    config_of(service).write_text(text.replace(old, new))


async def hup(service: Service, event: str = "reloaded") -> dict[str, Any]:
    """Send the signal, and wait for what the log says of it."""
    before = len(service.program.events(event))
    service.program.signal(signal.SIGHUP)
    await until(lambda: len(service.program.events(event)) > before)
    return service.program.events(event)[-1]


async def bff_reload(service: Service, config: Path | None = None) -> Result:
    """The command, to its end; with another file than the gateway's, if one is given."""
    return await bff("reload", "--config", str(config or config_of(service)))


async def user(service: Service, fields: dict[str, str]) -> tuple[int, dict[str, object]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{service.public_url}/bff/user", headers=fields) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_call_fails_over_reloads(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """By signal and by command, with GETs, POSTs and event streams that never pause. The session
    that they belong to stays, and sees each new configuration."""
    load = Load()
    async with running(own_redis, tmp_path, server=f"workers = {workers}") as service:
        async with logged_in(service) as (_, fields):
            streams = EventStreams(
                f"{service.public_url}/bff/events", {**fields, "Sec-Fetch-Site": "same-origin"}
            )
            url = f"{service.public_url}/api/x"
            async with load.running(url, fields, None), streams.open():
                await until(lambda: streams.opened == STREAMS)
                change(service, CLAIMS, 'anonymous = "null"\n' + CLAIMS)
                assert (await hup(service))["changed"] == ["user.anonymous"]
                await until(lambda: streams.opened >= 2 * STREAMS)
                assert (await user(service, {"X-CSRF": "1"}))[0] == 200
                change(service, 'anonymous = "null"\n', "")
                ran = await bff_reload(service)
                assert ran == Result(0, "Reloaded.\n  user.anonymous\n", "")
                await until(lambda: streams.opened >= 3 * STREAMS)
                assert (await user(service, {"X-CSRF": "1"}))[0] == 401
                ran = await bff_reload(service)
                assert ran == Result(0, "Reloaded; no key has changed.\n", "")
                await until(load.is_enough)
            assert (await user(service, fields))[0] == 200
        assert load.failures == []
        assert streams.failures == []
        assert await stopped(service) == 0
    assert len(service.program.events("started")) == 4
    assert service.program.events("worker_died") == []


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_configuration_with_a_problem_changes_nothing(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """Each problem has its file and line, in the log and for the command; no process is started for
    any of them, and a good configuration may follow."""
    health = free_port()
    server = f'workers = {workers}\nhealth_listen = "127.0.0.1:{health}"'
    metrics = f'[metrics]\nlisten = "127.0.0.1:{free_port()}"\n'
    async with running(own_redis, tmp_path, server=server, extra=metrics) as service:
        config = config_of(service)
        good = config.read_text()
        listen = f'health_listen = "127.0.0.1:{health}"\n'
        memory = "must be 1 with session.store" if workers > 1 else "a reload must not lose"
        spoiled = [
            (CLAIMS, CLAIMS + "\nclaim = 1", "user.claim: unknown key", 2),
            ("[session]", "[session", "is not valid TOML", 2),
            (f'secrets = ["{SESSION_SECRET}"]', 'secrets_file = "gone"', "session.secrets_file", 2),
            (own_redis.url, "memory://", memory, 2 if workers > 1 else 1),
            (listen, "", "server.health_listen: a reload must not close or move", 1),
            (listen, f'health_listen = "127.0.0.1:{free_port()}"\n', "server.health_listen: ", 1),
            (metrics, "[metrics]\n", "metrics.listen: a reload must not close or move", 1),
        ]
        for old, new, problem, code in spoiled:
            assert old in good
            config.write_text(good.replace(old, new))
            logged = await hup(service, "reload_refused")
            [said] = logged["problems"]
            assert said.startswith(f"{config}:"), said
            assert said.removeprefix(f"{config}:").partition(":")[0].isdecimal()
            assert problem in said
            ran = await bff_reload(service)
            assert (ran.code, ran.out) == (code, "")
            assert said in ran.err
        assert service.program.events("reload_begun") == []
        assert await service.program.admin("/healthz") == (200, {"status": "ok"})
        config.write_text(good)
        assert (await hup(service))["changed"] == []
        assert await stopped(service) == 0


async def test_a_new_process_that_does_not_get_ready_changes_nothing(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """A configuration may be valid and not work: its address is another program's, its store does
    not answer."""
    async with running(own_redis, tmp_path) as service:
        good = config_of(service).read_text()
        change(service, "[server]", f'[server]\nhealth_listen = "127.0.0.1:{service.ports.op}"')
        assert (await hup(service, "reload_failed"))["reason"] == "it can't listen on an address"
        ran = await bff_reload(service)
        assert (ran.code, ran.out) == (1, "")
        assert "it can't listen on an address" in ran.err
        config_of(service).write_text(good.replace(own_redis.url, "redis://127.0.0.1:1"))
        assert (await hup(service, "reload_failed"))["reason"] == "it did not get ready"
        assert await service.program.admin("/healthz") == (200, {"status": "ok"})
        assert await stopped(service) == 0


async def test_a_secret_is_rotated_without_a_restart(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """The file that holds the secrets has changed, and the configuration has not."""
    secrets = tmp_path / "secrets"
    secrets.write_text(SESSION_SECRET)
    async with running(own_redis, tmp_path) as service:
        change(service, f'secrets = ["{SESSION_SECRET}"]', f'secrets_file = "{secrets}"')
        assert (await hup(service))["changed"] == ["session.secrets_file"]
        async with logged_in(service) as (_, before):
            secrets.write_text(f"{OTHER_SECRET}\n{SESSION_SECRET}\n")
            assert (await hup(service))["changed"] == ["session.secrets"]
            assert (await user(service, before))[0] == 200
            async with logged_in(service) as (_, after):
                secrets.write_text(OTHER_SECRET)
                await hup(service)
                assert (await user(service, after))[0] == 200, "sealed with the new one"
            assert (await user(service, before))[0] == 401
        text = service.program.log.read_text()
        assert OTHER_SECRET not in text
        assert SESSION_SECRET not in text
        assert await stopped(service) == 0


async def test_frontends_come_and_go(own_redis: RedisServer, tmp_path: Path) -> None:
    """The sessions of one that stays are not touched."""
    other = '\n[[frontends]]\nname = "other"\npublic_url = "http://other.localhost:{}"\n'
    async with running(own_redis, tmp_path) as service:
        port = service.ports.gateway
        text = config_of(service).read_text()
        public_url = f'public_url = "{service.public_url}"\n'
        one = f'\n[[frontends]]\nname = "one"\n{public_url}'
        text = text.replace(public_url, "", 1) + one
        config_of(service).write_text(text)
        changed = (await hup(service))["changed"]
        assert "frontends.one (added)" in changed
        async with logged_in(service) as (_, fields):
            at_other = {"Host": f"other.localhost:{port}", "X-CSRF": "1"}
            assert (await user(service, at_other))[0] == 421
            config_of(service).write_text(text + other.format(port))
            assert (await hup(service))["changed"] == ["frontends.other (added)"]
            assert (await user(service, at_other))[0] == 401
            config_of(service).write_text(text)
            assert (await hup(service))["changed"] == ["frontends.other (removed)"]
            assert (await user(service, at_other))[0] == 421
            assert (await user(service, fields))[0] == 200
        assert await stopped(service) == 0


@pytest.mark.parametrize(
    ("number", "begun", "reloads"),
    [(signal.SIGHUP, "reload_begun", 2), (signal.SIGUSR2, "restart_begun", 1)],
    ids=["reload", "restart"],
)
async def test_what_is_asked_for_meanwhile_is_not_lost(
    own_redis: RedisServer, tmp_path: Path, number: signal.Signals, begun: str, reloads: int
) -> None:
    """The file may have changed again since it was read."""
    async with running(own_redis, tmp_path) as service:
        service.program.signal(number)
        await until(lambda: service.program.events(begun) != [])
        change(service, CLAIMS, 'anonymous = "null"\n' + CLAIMS)
        service.program.signal(signal.SIGHUP)

        async def is_served() -> bool:
            return (await user(service, {"X-CSRF": "1"}))[0] == 200

        await until(is_served)
        await until(lambda: len(service.program.events("reloaded")) == reloads)
        assert await stopped(service) == 0


async def test_a_stop_while_a_reload_is_under_way_stops_both(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with running(own_redis, tmp_path) as service:
        service.program.signal(signal.SIGHUP)
        await until(lambda: service.program.events("reload_begun") != [])
        assert await stopped(service) == 0
        assert service.program.events("reload_failed") == []


async def test_sessions_in_memory_would_be_lost(own_redis: RedisServer, tmp_path: Path) -> None:
    async with running(own_redis, tmp_path, store="memory://") as service:
        [problem] = (await hup(service, "reload_refused"))["problems"]
        assert "in memory" in problem
        ran = await bff_reload(service)
        assert ran.code == 1
        assert problem in ran.err
        assert await stopped(service) == 0


@contextlib.asynccontextmanager
async def asked(service: Service, method: str, **fields: str) -> AsyncIterator[int]:
    url = f"http://127.0.0.1:{service.ports.admin}/reload"
    async with aiohttp.ClientSession() as http, http.request(method, url, headers=fields) as answer:
        yield answer.status


async def test_no_browser_can_ask_for_a_reload(own_redis: RedisServer, tmp_path: Path) -> None:
    """A page of any site may send a POST to loopback, and by DNS rebinding under its own name."""
    async with running(own_redis, tmp_path) as service:
        for fields in (
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Host": "evil.example"},
        ):
            async with asked(service, "POST", **fields) as status:
                assert status in (403, 421)
        async with asked(service, "GET") as status:
            assert status == 405
        assert service.program.events("reload_begun") == []
        assert await stopped(service) == 0


# Starts a program with a terminal of its own, which is closed by SIGUSR1.
WITH_TERMINAL = """
import os, pty, signal, sys
log = os.dup(2)
pid, terminal = pty.fork()
if pid == 0:
    os.dup2(log, 2)
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGUSR1, lambda *_: os.close(terminal))
signal.signal(signal.SIGHUP, lambda *_: os.kill(pid, signal.SIGHUP))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("reloads", [0, 1])
async def test_a_terminal_that_is_closed_stops_the_program(
    own_redis: RedisServer, tmp_path: Path, reloads: int
) -> None:
    """The kernel sends the same signal then; while the terminal is there it asks for a reload.
    After one it is the first process that hears of the terminal, and the last that has to stop."""
    before = (sys.executable, "-c", WITH_TERMINAL)
    ports = free_ports()
    toml = gateway_toml(ports, store=own_redis.url)
    async with (
        running_demo_op(ports.op, f"http://localhost:{ports.gateway}"),
        serving_gateway(ports, tmp_path, toml, ready="/healthz", before=before) as program,
    ):
        for _ in range(reloads):
            program.signal(signal.SIGHUP)
            await until(lambda: program.events("reloaded") != [])
        program.signal(signal.SIGUSR1)
        assert await program.exit_code() == 0
        assert len(program.events("stopped")) == 1 + reloads


async def test_a_worker_is_not_asked_by_signal(own_redis: RedisServer, tmp_path: Path) -> None:
    """It would be one of several that has another configuration."""
    async with running(own_redis, tmp_path, server="workers = 2") as service:
        os.kill(min(service.worker_pids()), signal.SIGHUP)
        await until(lambda: service.program.events("signal_ignored") != [])
        assert service.program.events("reload_begun") == []
        assert await stopped(service) == 0


async def test_the_command_says_when_no_gateway_answers(tmp_path: Path) -> None:
    ports = free_ports()
    async with a_served_gateway(ports, tmp_path) as program:
        program.signal(signal.SIGTERM)
        await program.exit_code()
        ran = await bff("reload", "--config", str(tmp_path / "bff.toml"))
        assert ran.code == 1
        assert "is it running?" in ran.err
