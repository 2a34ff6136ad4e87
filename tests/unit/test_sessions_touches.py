"""Activity reaches the store, whatever happens on the way: a lost touch logs out an active user."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from structlog.testing import capture_logs

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.sessions.expiry import RETRY_SECONDS, TOUCHED_AT_ONCE, Touches
from bff.sessions.store import NewRecord
from tests.parts.scripted_store import ScriptedStore
from tests.polling import until

IDLE_SECONDS = 1800.0


@pytest.fixture
def gone() -> list[str]:
    return []


@pytest.fixture
async def touches(
    store: ScriptedStore, clock: ManualClock, gone: list[str]
) -> AsyncIterator[Touches]:
    opened = Touches(store, clock, gone.append)
    opened.start()
    yield opened
    await opened.close()


async def create(store: ScriptedStore, clock: ManualClock, key: str) -> None:
    expires_at = clock.now() + 43_200
    await store.create(
        key, NewRecord(b"", idle_seconds=IDLE_SECONDS, expires_at=expires_at, indexes=())
    )


async def idle_end(store: ScriptedStore, key: str) -> float:
    record = await store.load(key)
    assert record is not None
    return record.idle_expires_at


@pytest.mark.rule("SE-04")
@pytest.mark.parametrize(
    ("fault", "event"),
    [
        (StoreUnavailable("away"), "touches_delayed"),
        (RuntimeError("a fault of ours"), "touches_failed"),
    ],
)
async def test_the_worker_outlives_a_failure(
    store: ScriptedStore, clock: ManualClock, touches: Touches, fault: Exception, event: str
) -> None:
    """Also one that was not foreseen: without the worker all users would idle out. What failed
    is written with the time at which it happened."""
    await create(store, clock, "k")
    clock.advance(60)
    active_at = clock.now()
    store.faults["touch_all"] = [fault]
    with capture_logs() as logs:
        touches.add("k", active_at + IDLE_SECONDS)
        await until(lambda: not store.faults["touch_all"])
        clock.advance(5)
        await until(lambda: store.calls["touch_all"] == 2)
    assert [entry["event"] for entry in logs] == [event]
    assert await idle_end(store, "k") == active_at + IDLE_SECONDS
    clock.advance(60)
    touches.add("k", clock.now() + IDLE_SECONDS)
    await until(lambda: store.calls["touch_all"] == 3)
    assert await idle_end(store, "k") == clock.now() + IDLE_SECONDS


async def test_a_store_that_is_away_is_not_asked_without_a_pause(
    store: ScriptedStore, clock: ManualClock, touches: Touches
) -> None:
    """However slow the machine is, the second try does not come before its time."""
    store.faults["touch_all"] = [StoreUnavailable("away") for _ in range(10_000)]
    began = asyncio.get_running_loop().time()
    touches.add("k", clock.now() + IDLE_SECONDS)
    await until(lambda: store.calls["touch_all"] >= 3)
    assert asyncio.get_running_loop().time() - began >= 2 * RETRY_SECONDS * 0.99
    store.faults.clear()


async def test_what_is_gone_is_told_and_not_tried_again(
    store: ScriptedStore, clock: ManualClock, touches: Touches, gone: list[str]
) -> None:
    await create(store, clock, "there")
    touches.add("gone", clock.now() + IDLE_SECONDS)
    touches.add("there", clock.now() + IDLE_SECONDS)
    await until(lambda: gone == ["gone"])
    touches.add("there", clock.now() + IDLE_SECONDS)
    await until(lambda: store.calls["touch_all"] == 2)
    assert gone == ["gone"]


async def test_activity_too_old_to_matter_is_dropped(
    store: ScriptedStore, clock: ManualClock, touches: Touches
) -> None:
    """After a long outage: such a touch would shorten nothing, but must not be asked for either."""
    store.faults["touch_all"] = [StoreUnavailable("away")]
    touches.add("old", clock.now() + IDLE_SECONDS)
    await until(lambda: not store.faults["touch_all"])
    clock.advance(IDLE_SECONDS)
    await create(store, clock, "new")
    touches.add("new", clock.now() + IDLE_SECONDS)
    await until(lambda: store.calls["touch_all"] == 2)
    assert await store.load("old") is None


async def test_many_are_written_in_batches(
    store: ScriptedStore, clock: ManualClock, touches: Touches
) -> None:
    """Each with one call, and none is forgotten."""
    keys = [str(number) for number in range(2 * TOUCHED_AT_ONCE + 1)]
    for key in keys:
        await create(store, clock, key)
    clock.advance(60)
    for key in keys:
        touches.add(key, clock.now() + IDLE_SECONDS)
    await until(lambda: store.calls["touch_all"] == 3)
    assert {await idle_end(store, key) for key in keys} == {clock.now() + IDLE_SECONDS}


class HalfAway(ScriptedStore):
    """Fails whenever it is asked for one of its sessions, as the shard of a cluster that is away
    fails the whole of a step."""

    async def touch_all(self, idle_seconds: Mapping[str, float]) -> frozenset[str]:
        if "away" in idle_seconds:
            self.faults["touch_all"] = [StoreUnavailable("away")]
        return await super().touch_all(idle_seconds)


@pytest.mark.rule("SE-04")
async def test_what_fails_again_and_again_keeps_no_other_activity_back(clock: ManualClock) -> None:
    """All of the sessions on other shards would idle out."""
    store = HalfAway(clock)
    touches = Touches(store, clock, lambda _: None)
    keys = ["away", *(str(number) for number in range(2 * TOUCHED_AT_ONCE))]
    for key in keys:
        await create(store, clock, key)
    clock.advance(60)
    for key in keys:
        touches.add(key, clock.now() + IDLE_SECONDS)
    touches.start()
    for key in keys[TOUCHED_AT_ONCE:]:  # those that are not in the first batch

        async def is_written(key: str = key) -> bool:
            return await idle_end(store, key) == clock.now() + IDLE_SECONDS

        await until(is_written)
    await touches.close()


async def test_closing_writes_what_is_left(store: ScriptedStore, clock: ManualClock) -> None:
    closing = Touches(store, clock, lambda _: None)
    await create(store, clock, "k")
    clock.advance(60)
    closing.add("k", clock.now() + IDLE_SECONDS)
    await closing.close()
    assert await idle_end(store, "k") == clock.now() + IDLE_SECONDS
