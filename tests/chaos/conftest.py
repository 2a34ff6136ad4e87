"""One installation per topology for all the scenarios that run on it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.installation import Installation
from tests.chaos.redis_topologies import Topology
from tests.chaos.scenarios import SHORT
from tests.parts.redis_server import redis_server

__all__ = ["installations", "redis_server"]

Installations = Callable[[type[Topology]], Installation]


@pytest.fixture(scope="package")
def installations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installations]:
    """Starts what is asked for; of two topologies only one runs at a time."""
    running: dict[type[Topology], Installation] = {}

    def stop_all() -> None:
        for installation in running.values():
            asyncio.run(installation.stop())
        running.clear()

    def get(topology: type[Topology]) -> Installation:
        if topology not in running:
            stop_all()
            directory: Path = tmp_path_factory.mktemp(topology.__name__)
            running[topology] = Installation(
                topology(),
                directory,
                users=SHORT.users,
                access_token_seconds=SHORT.access_token_seconds,
            )
            asyncio.run(running[topology].start())
        return running[topology]

    yield get
    stop_all()
