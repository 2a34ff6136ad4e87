"""The supervisor's side of several workers, with small programs in the place of workers."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bff.app.held_addresses import held_addresses
from bff.app.listening import Addresses
from bff.app.supervisor import RestartPolicy, Supervisor
from bff.config import Settings
from tests.parts.configuration import free_ports, gateway_toml, settings_from
from tests.polling import HANG_SECONDS, until

QUICK = RestartPolicy(
    stable_seconds=60,
    quick_deaths=3,
    first_pause_seconds=0.05,
    longest_pause_seconds=0.1,
)

# Each writes its number into the file ARGV[1] when it starts; the descriptor is the last argument.
BEGIN = """
import os, pickle, signal, socket, sys, time
control = socket.socket(fileno=int(sys.argv[-1]))
assignment = pickle.load(control.makefile("rb"))
with open(sys.argv[1], "a") as file:
    file.write(f"{assignment.number} {assignment.setup.replaces} {os.getpid()}\\n")
"""
DIES = BEGIN + "sys.exit(7)"
SERVES = BEGIN + "control.send(b'r'); control.recv(1)"
IGNORES_STOP = BEGIN + "signal.signal(15, signal.SIG_IGN); control.send(b'r'); time.sleep(60)"
ONE_DIES_ONCE = BEGIN + (
    "assignment.number == 2 and not assignment.setup.replaces and sys.exit(7)\n"
    "control.send(b'r'); control.recv(1)"
)


@pytest.fixture
def settings() -> Settings:
    ports = free_ports()
    server = 'workers = 2\nshutdown_timeout = "0s"'
    store = "redis://127.0.0.1:1"
    return settings_from(gateway_toml(ports, store=store, server=server, oidc='timeout = "100ms"'))


async def run(
    settings: Settings,
    command: Sequence[str],
    restarts: RestartPolicy = QUICK,
    announce: Callable[[Addresses], None] = lambda _: None,
) -> bool:
    """A supervisor that holds the addresses of the configuration."""
    with held_addresses(settings.listeners, listen=False) as held:
        return await Supervisor(settings, announce, held, command=command, restarts=restarts).run()


class Watched:
    """A supervisor whose workers run `program`."""

    def __init__(
        self, settings: Settings, program: str, directory: Path, restarts: RestartPolicy = QUICK
    ) -> None:
        self._settings = settings
        self._command = (sys.executable, "-c", program, str(directory / "started"))
        self._started = directory / "started"
        self._restarts = restarts
        self.announced: list[Addresses] = []

    async def run(self) -> bool:
        return await run(self._settings, self._command, self._restarts, self.announced.append)

    def alive(self) -> bool:
        return any(Path(f"/proc/{start[2]}").exists() for start in self.starts())

    def starts(self) -> list[list[str]]:
        """Number, whether it replaces another, and pid of every worker so far."""
        if not self._started.exists():
            return []
        return [line.split() for line in self._started.read_text().splitlines()]


async def test_it_says_once_that_all_serve_and_stops_them_all(
    settings: Settings, tmp_path: Path
) -> None:
    watched = Watched(settings, SERVES, tmp_path)
    running = asyncio.create_task(watched.run())
    await until(lambda: bool(watched.announced))
    assert sorted(start[:2] for start in watched.starts()) == [["1", "False"], ["2", "False"]]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running is True
    server = settings.server
    assert watched.announced == [Addresses((server.listen,), (server.admin_listen,))]
    assert not watched.alive()


async def test_one_that_dies_is_replaced_and_known_to_be_so(
    settings: Settings, tmp_path: Path
) -> None:
    watched = Watched(settings, ONE_DIES_ONCE, tmp_path)
    running = asyncio.create_task(watched.run())
    await until(lambda: bool(watched.announced))
    starts = sorted(start[:2] for start in watched.starts())
    assert starts == [["1", "False"], ["2", "False"], ["2", "True"]]
    os.kill(os.getpid(), signal.SIGINT)
    assert await running is True


async def test_it_gives_up_when_all_of_them_keep_dying(settings: Settings, tmp_path: Path) -> None:
    """Instead of burning the processor for ever; a service manager sees that it failed."""
    watched = Watched(settings, DIES, tmp_path)
    async with asyncio.timeout(HANG_SECONDS):
        assert await watched.run() is False
    assert watched.announced == []
    numbers = [start[0] for start in watched.starts()]
    assert min(numbers.count("1"), numbers.count("2")) >= QUICK.quick_deaths
    assert len(numbers) <= 4 * QUICK.quick_deaths


async def test_one_that_does_not_stop_is_killed_and_that_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    restarts = replace(QUICK, stop_margin_seconds=0.5)
    watched = Watched(settings, IGNORES_STOP, tmp_path, restarts)
    running = asyncio.create_task(watched.run())
    await until(lambda: bool(watched.announced))
    began = time.monotonic()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(HANG_SECONDS):
        assert await running is False
    assert time.monotonic() - began >= restarts.stop_margin_seconds
    assert not watched.alive()


async def test_programs_that_can_not_be_started_are_deaths_as_well(settings: Settings) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        assert await run(settings, ("/nonexistent/program",)) is False


async def test_a_stop_during_a_pause_does_not_wait_for_its_end(
    settings: Settings, tmp_path: Path
) -> None:
    restarts = RestartPolicy(quick_deaths=100, first_pause_seconds=300, longest_pause_seconds=300)
    command = (sys.executable, "-c", DIES, str(tmp_path / "started"))
    running = asyncio.create_task(run(settings, command, restarts))
    started = tmp_path / "started"
    await until(lambda: started.exists() and len(started.read_text().splitlines()) == 4)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(HANG_SECONDS):
        assert await running is True


async def test_an_address_in_use_is_told_before_anything_starts(
    settings: Settings, tmp_path: Path
) -> None:
    watched = Watched(settings, SERVES, tmp_path)
    host, _, port = settings.server.listen.rpartition(":")
    with socket.create_server((host, int(port))), pytest.raises(OSError, match="in use"):
        await watched.run()
    assert watched.starts() == []


@pytest.mark.parametrize(
    ("deaths", "seconds"), [(0, 0), (1, 0), (2, 0.5), (3, 1), (4, 2), (8, 30), (60, 30)]
)
def test_pauses_grow_up_to_a_limit(deaths: int, seconds: float) -> None:
    """The first death is answered at once: it need not be the worker's fault."""
    assert RestartPolicy().pause_seconds(deaths) == seconds


def test_one_worker_may_die_for_as_long_as_the_others_live() -> None:
    """The pause before it is started again stays the longest, past every power of two."""
    restarts = RestartPolicy()
    pauses = [restarts.pause_seconds(deaths) for deaths in range(5_000)]
    assert pauses == sorted(pauses)
    assert (pauses[1], pauses[2], pauses[-1]) == (0.0, 0.5, 30.0)
