"""Refreshes that are held back after trouble with the store, on a loop whose clock is moved."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bff.clock import ManualClock
from bff.errors import OpUnavailable, StoreUnavailable
from bff.model import Session
from bff.sessions.messages import Heartbeat
from bff.sessions.store import StoreListener
from bff.tokens.coordinator import CoordinatorSettings
from bff.tokens.refresh_hold import SETTLE_SECONDS
from tests.movable_loop import later, on_a_movable_loop
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_store import ScriptedStore
from tests.polling import until

PEER = "a" * 16


@dataclass(frozen=True, slots=True)
class Scene:
    """One process, a store that a test breaks, and two sessions that are due."""

    store: ScriptedStore
    op: RotatingOp
    process: Process
    one: Session
    other: Session

    async def refresh(self, session: Session) -> asyncio.Task[Session]:
        """One that has come to where it waits."""
        task = asyncio.create_task(self.process.coordinator.refreshed(session))
        await later(0)
        return task

    def prove(self) -> None:
        """Two heartbeats of this process come back, of which the second was sent only now."""
        for _ in range(2):
            self.tell(lambda it: it.on_proven(self.one.created_at))

    @property
    def leases_asked(self) -> int:
        return self.store.calls["acquire_lease"]

    def tell(self, news: Callable[[StoreListener], None]) -> None:
        """As the stream of changes brings it."""
        for listener in self.store._listeners:
            news(listener)

    def heartbeat(self, number: int, heard: int = 0, *, saved: bool = True) -> None:
        """Of another process."""
        self.tell(lambda it: it.on_heartbeat(Heartbeat(PEER, number, heard, saved, "-")))

    async def fail(self, session: Session) -> None:
        """The store does not answer a command of its refresh."""
        self.store.faults["acquire_lease"] = [StoreUnavailable("away")]
        with pytest.raises(StoreUnavailable):
            await self.process.coordinator.refreshed(session)


@asynccontextmanager
async def a_scene(settings: CoordinatorSettings | None = None) -> AsyncIterator[Scene]:
    clock = ManualClock()
    store, op = ScriptedStore(clock), RotatingOp(clock)
    await op.start()
    try:
        async with a_process(store, op, clock, settings=settings) as process:
            one, other = await process.log_in(op, "one"), await process.log_in(op, "other")
            clock.advance(61)
            yield Scene(store, op, process, one, other)
    finally:
        op.deliver.set()
        await op.close()


@pytest.mark.rule("TK-07")
@on_a_movable_loop
async def test_a_break_of_the_stream_holds_all_refreshes_back() -> None:
    async with a_scene() as scene:
        scene.store.break_stream()
        tasks = [await scene.refresh(scene.one), await scene.refresh(scene.other)]
        await later(0)
        assert scene.leases_asked == 0
        await later(SETTLE_SECONDS)
        assert {(await task).tokens.access_token for task in tasks} == {"at.one.1", "at.other.1"}


@pytest.mark.rule("TK-07")
@on_a_movable_loop
async def test_another_process_that_was_there_is_waited_for() -> None:
    """Until it says that it has saved what it held, on the store as it is now."""
    async with a_scene() as scene:
        scene.heartbeat(1)
        scene.store.break_stream()
        task = await scene.refresh(scene.one)
        await later(SETTLE_SECONDS + 1)
        assert scene.leases_asked == 0
        scene.heartbeat(2)
        scene.heartbeat(3, heard=2)
        assert (await task).tokens.access_token == "at.one.1"


@pytest.mark.rule("TK-07")
@on_a_movable_loop
async def test_a_session_that_the_store_failed_is_held_back() -> None:
    """A command without an answer may have been carried out: as for a break of the stream."""
    async with a_scene() as scene:
        await scene.fail(scene.one)
        scene.prove()
        task = await scene.refresh(scene.one)
        await later(0)
        assert scene.leases_asked == 1
        await later(SETTLE_SECONDS)
        assert (await task).tokens.access_token == "at.one.1"


@pytest.mark.rule("TK-07")
@on_a_movable_loop
async def test_the_others_go_on_when_the_stream_is_proven_whole() -> None:
    async with a_scene() as scene:
        await scene.fail(scene.one)
        task = await scene.refresh(scene.other)
        await later(0)
        assert scene.leases_asked == 1
        scene.prove()
        await later(0)
        assert scene.leases_asked == 2
        assert (await task).tokens.access_token == "at.other.1"


@pytest.mark.rule("TK-07")
@on_a_movable_loop
async def test_nothing_is_spent_under_a_lease_that_could_not_be_renewed() -> None:
    """Another process may have had it meanwhile: it is asked for again, after a while."""
    settings = CoordinatorSettings(wait_seconds=1000, lease_seconds=100)
    async with a_scene(settings) as scene:
        answer = scene.store.hold("load")
        scene.store.faults["renew_lease"] = [StoreUnavailable("away")]
        task = await scene.refresh(scene.one)
        await until(lambda: scene.store.calls["load"] > 0)
        await later(settings.lease_seconds / 10)
        assert scene.store.calls["renew_lease"] == 1
        answer.set()
        await later(0)
        assert (scene.leases_asked, scene.op.count("token")) == (1, 0)
        await later(SETTLE_SECONDS)
        assert (await task).tokens.access_token == "at.one.1"


@on_a_movable_loop
async def test_nothing_is_written_again_after_the_close() -> None:
    async with a_scene() as scene:
        await scene.process.coordinator.refreshed(scene.one)
        calls = scene.store.calls["load"]
        tasks = asyncio.all_tasks()
        scene.store.hold("load")
        scene.store.break_stream()
        await later(0)
        assert scene.store.calls["load"] == calls + 1
        await scene.process.coordinator.close(0)
        assert asyncio.all_tasks() == tasks


@on_a_movable_loop
async def test_a_caller_waits_the_shorter_the_longer_the_refresh_has_taken() -> None:
    settings = CoordinatorSettings(wait_seconds=1000, late_wait_seconds=200, lease_seconds=9000)
    async with a_scene(settings) as scene:
        answer = scene.store.hold("load")
        first = await scene.refresh(scene.one)
        await later(700)
        second = await scene.refresh(scene.one)
        await later(250)
        assert not first.done()
        assert not second.done()
        third = await scene.refresh(scene.one)
        await later(100)
        for task in (first, second):
            with pytest.raises(OpUnavailable):
                await task
        assert not third.done(), "the least that a caller waits"
        answer.set()
        assert (await third).tokens.access_token == "at.one.1"
