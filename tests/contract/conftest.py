"""The engines that keep the store's contract, each on a real server."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from bff.clock import SystemClock
from bff.sessions.memory import MemoryStore
from bff.sessions.messages import Heartbeat
from bff.sessions.redis.client import RedisLimits
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import SessionStore, StoreListener
from tests.parts.redis_server import (  # noqa: F401 - fixtures of this folder
    RedisServer,
    cluster_server,
    own_redis,
    redis_server,
    sentinel_server,
)

# For tests that do not ask how long an answer may take: no machine is too busy for this.
PATIENT = RedisLimits(timeout_seconds=20, connect_seconds=20, sentinel_seconds=20)


@dataclass
class Heard:
    """A listener that keeps what it is told."""

    news: list[tuple[object, ...]] = field(default_factory=list)
    watching: list[bool] = field(default_factory=list)
    proven: list[float] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)

    def on_changed(self, key: str, *, version: int | None) -> None:
        self.news.append(("changed", key, version))

    def on_ended(self, key: str, reason: str) -> None:
        self.news.append(("ended", key, reason))

    def on_watch(self, *, watching: bool) -> None:
        self.watching.append(watching)

    def on_proven(self, at: float) -> None:
        self.proven.append(at)

    def on_heartbeat(self, heartbeat: Heartbeat) -> None:
        self.heartbeats.append(heartbeat)


class Engine(Protocol):
    """Opens any number of stores on the same data, as processes would."""

    async def open(self, listener: StoreListener | None = None) -> SessionStore: ...


class MemoryEngine:
    """There is one process only: every store is the same."""

    def __init__(self) -> None:
        self._store = MemoryStore(SystemClock())

    async def open(self, listener: StoreListener | None = None) -> SessionStore:
        if listener is not None:
            self._store.watch(listener)
        await self._store.start()
        return self._store

    async def close(self) -> None:
        await self._store.close()


class RedisEngine:
    def __init__(self, url: str) -> None:
        self._url = url
        self._namespace = uuid.uuid4().hex
        self._stores: list[RedisStore] = []

    async def open(self, listener: StoreListener | None = None) -> SessionStore:
        store = RedisStore(self._url, SystemClock(), namespace=self._namespace, limits=PATIENT)
        if listener is not None:
            store.watch(listener)
        self._stores.append(store)
        await store.start()
        return store

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisServer]:
    server = cluster_server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def redis_sentinel() -> Iterator[RedisServer]:
    master = RedisServer(tcp=True)
    sentinel = sentinel_server(master)
    yield sentinel
    sentinel.close()
    master.close()


ENGINES: dict[str, Callable[[pytest.FixtureRequest], MemoryEngine | RedisEngine]] = {
    "memory": lambda _: MemoryEngine(),
    "redis": lambda request: RedisEngine(request.getfixturevalue("redis_server").url),
    "cluster": lambda request: RedisEngine(
        f"redis+cluster://127.0.0.1:{request.getfixturevalue('redis_cluster').port}"
    ),
    "sentinel": lambda request: RedisEngine(
        f"redis+sentinel://127.0.0.1:{request.getfixturevalue('redis_sentinel').port}/main/0"
    ),
}


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    opened = ENGINES[request.param](request)
    yield opened
    await opened.close()


@pytest.fixture
def key() -> str:
    """Of a record that no other test knows."""
    return uuid.uuid4().hex


@pytest.fixture
async def store(engine: Engine) -> SessionStore:
    return await engine.open()
