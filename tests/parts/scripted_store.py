"""The memory store over a line that a test can hold up or cut, and a server that can go back in
time, as Redis does in a failover that loses its last writes."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from bff.clock import Clock, ManualClock
from bff.sessions.memory import MemoryStore
from bff.sessions.store import Lease, StoredRecord


class ScriptedStore(MemoryStore):
    """`faults` are raised in turn, one for each call of the method they are listed under; `held`
    keeps back the answers of a method, not what it does, until the event is set."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.faults: dict[str, list[Exception]] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.calls: Counter[str] = Counter()
        self.said_saved: list[bool] = []

    async def load(self, key: str) -> StoredRecord | None:
        self._fail("load")
        answer = await super().load(key)
        await self._answer("load")
        return answer

    async def replace(self, key: str, sealed: bytes, *, expected_version: int) -> bool:
        self._fail("replace")
        answer = await super().replace(key, sealed, expected_version=expected_version)
        await self._answer("replace")
        return answer

    async def touch_all(self, idle_seconds: Mapping[str, float]) -> frozenset[str]:
        self._fail("touch_all")
        return await super().touch_all(idle_seconds)

    async def acquire_lease(self, name: str, *, ttl_seconds: float) -> Lease | None:
        self._fail("acquire_lease")
        return await super().acquire_lease(name, ttl_seconds=ttl_seconds)

    async def renew_lease(self, lease: Lease, *, ttl_seconds: float) -> bool:
        self._fail("renew_lease")
        return await super().renew_lease(lease, ttl_seconds=ttl_seconds)

    async def release_lease(self, lease: Lease) -> None:
        self._fail("release_lease")
        await super().release_lease(lease)

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        self._fail("fill")
        answer = await super().fill(
            key, seconds=seconds, size_seconds=size_seconds, to_the_brim=to_the_brim
        )
        await self._answer("fill")
        return answer

    def say_saved(self, *, saved: bool) -> None:
        self.said_saved.append(saved)

    def hold(self, method: str) -> asyncio.Event:
        """Keep answers back until the event is set."""
        self.held[method] = asyncio.Event()
        return self.held[method]

    def go_back(self, key: str, stored: StoredRecord) -> None:
        """The record is what it was, and no change is told."""
        record = self._records[key]
        record.version, record.sealed = stored.version, stored.sealed

    def lose(self, key: str) -> None:
        """The record is gone, and no end is told."""
        self._records.drop(key)

    def break_stream(self) -> None:
        """The stream of changes is lost, and back at once."""
        for watching in (False, True):
            for listener in self._listeners:
                listener.on_watch(watching=watching)

    def _fail(self, method: str) -> None:
        self.calls[method] += 1
        faults = self.faults.get(method)
        if faults:
            raise faults.pop(0)

    async def _answer(self, method: str) -> None:
        if method in self.held:
            await self.held[method].wait()


@pytest.fixture
def store(clock: ManualClock) -> ScriptedStore:
    return ScriptedStore(clock)
