"""One measurement at saturation: what a program spent on the requests it answered."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import wrk
from bench.logins import log_in
from bench.machine import LOAD_CORE
from bench.peers.program import Program, Running, start
from bench.scale import Scale
from bench.site import Site

Found = dict[str, Any]
"""What a case has found, as it is kept in a file."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every case works with."""

    site: Site
    scale: Scale


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU of the program alone, its children included. `busy`: the share of one core it had."""

    requests: int
    cpu_us: float
    per_second: float
    busy: float
    redis_per_call: float

    def as_found(self) -> Found:
        return asdict(self)


@contextlib.contextmanager
def running(program: Program, site: Site, *, logged_in: bool = True) -> Iterator[Running]:
    """Start a program, and log a user in when it wants that; stopped at the block's end."""
    started = start(program, site)
    try:
        if program.authenticates and logged_in:
            started.cookie = asyncio.run(log_in(started))
        yield started
    finally:
        started.process.stop()


def cookie_file(site: Site, name: str, cookies: Sequence[str]) -> Path:
    return wrk.write_cookies(site.folder / f"cookies-{name}", list(cookies))


def sample(
    site: Site,
    measured: Running,
    cookies: Path,
    *,
    seconds: float,
    connections: int = wrk.CONNECTIONS,
    cores: str = str(LOAD_CORE),
) -> Sample:
    """Load it for so long."""
    commands = site.redis_commands()
    cpu_seconds = measured.process.cpu_seconds()
    outcome = wrk.run(measured.url, cookies, seconds=seconds, connections=connections, cores=cores)
    cpu_seconds = measured.process.cpu_seconds() - cpu_seconds
    commands = site.redis_commands() - commands - 1  # less our own question
    return Sample(
        requests=outcome.requests,
        cpu_us=cpu_seconds / outcome.requests * 1e6,
        per_second=outcome.per_second,
        busy=cpu_seconds / outcome.seconds,
        redis_per_call=commands / outcome.requests,
    )
