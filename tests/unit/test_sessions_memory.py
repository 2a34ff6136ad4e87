"""The memory store's expiry by the injected clock, and that its memory is bounded by what lives."""

import pytest

from bff.clock import ManualClock
from bff.sessions.expiring import SWEPT_AT_ONCE
from bff.sessions.memory import MemoryStore
from bff.sessions.store import NewRecord


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock)


async def create(store: MemoryStore, clock: ManualClock, key: str, idle_seconds: float) -> None:
    await store.create(
        key,
        NewRecord(
            b"sealed",
            idle_seconds=idle_seconds,
            expires_at=clock.now() + 1000,
            indexes=("user", key),
        ),
    )


def held(store: MemoryStore) -> int:
    """How many objects the store keeps of any kind."""
    kinds = (store._records, store._leases, store._logins, store._seen)
    expiring = sum(len(kind) + len(kind._due) for kind in kinds)
    return expiring + len(store._indexes) + len(store._browsers)


@pytest.mark.rule("SE-04")
async def test_a_session_ends_exactly_at_its_idle_expiry(
    store: MemoryStore, clock: ManualClock
) -> None:
    """Not a moment later, whether swept or not."""
    await create(store, clock, "a", 10)
    clock.advance(9.999)
    assert await store.load("a") is not None
    clock.advance(0.001)
    assert await store.load("a") is None


@pytest.mark.rule("SE-05")
async def test_touches_end_at_the_absolute_expiry(store: MemoryStore, clock: ManualClock) -> None:
    """Constant use ends on time."""
    await create(store, clock, "a", 10)
    for _ in range(199):
        clock.advance(5)
        assert await store.touch("a", idle_seconds=10)
    clock.advance(5)
    assert not await store.touch("a", idle_seconds=10)


@pytest.mark.rule("AZ-16")
async def test_nothing_expired_is_kept(store: MemoryStore, clock: ManualClock) -> None:
    """Abandoned sessions, logins, leases and what was seen are dropped without being asked for."""
    for n in range(200):
        await create(store, clock, f"s{n}", 10)
        await store.acquire_lease(f"s{n}", ttl_seconds=10)
        await store.put_login(f"l{n}", b"", browser_key=f"b{n}", ttl_seconds=10, cap=5)
        await store.remember(f"r{n}", ttl_seconds=10)
    clock.advance(11)
    for _ in range(800 // SWEPT_AT_ONCE + 1):
        await store.touch("none", idle_seconds=10)
    assert held(store) == 0


async def test_a_sweep_is_bounded(store: MemoryStore, clock: ManualClock) -> None:
    """One unlucky request does not pay for a hundred thousand others."""
    for n in range(100):
        await create(store, clock, f"s{n}", 10)
    clock.advance(11)
    await store.touch("none", idle_seconds=10)
    assert len(store._records) == 100 - SWEPT_AT_ONCE


async def test_a_sweep_spares_what_was_touched(store: MemoryStore, clock: ManualClock) -> None:
    """And comes back for it when its time has come."""
    await create(store, clock, "a", 10)
    lease = await store.acquire_lease("a", ttl_seconds=10)
    assert lease is not None
    clock.advance(9)
    await store.touch("a", idle_seconds=10)
    await store.renew_lease(lease, ttl_seconds=10)
    clock.advance(9)
    await store.touch("none", idle_seconds=10)
    assert await store.load("a") is not None
    assert await store.renew_lease(lease, ttl_seconds=10)
    clock.advance(20)
    await store.touch("none", idle_seconds=10)
    assert held(store) == 0


async def test_ended_sessions_leave_their_indexes(store: MemoryStore, clock: ManualClock) -> None:
    """Also when the caller could not name them."""
    await create(store, clock, "a", 10)
    await create(store, clock, "b", 10)
    await store.delete("a", reason="logout")
    assert await store.members("user") == ("b",)
    assert await store.members("a") == ()


async def test_a_sweep_spares_what_is_remembered_for_longer(
    store: MemoryStore, clock: ManualClock
) -> None:
    """Also when it was to be forgotten earlier at first."""
    await store.remember("a", ttl_seconds=10)
    await store.remember("a", ttl_seconds=30)
    clock.advance(11)
    await store.touch("none", idle_seconds=10)
    assert await store.is_remembered("a")
    clock.advance(19)
    assert not await store.is_remembered("a")


async def test_looking_at_an_empty_bucket_leaves_nothing(store: MemoryStore) -> None:
    assert await store.fill("k", seconds=0, size_seconds=60) == 0
    assert len(store._buckets) == 0
    await store.fill("k", seconds=60, size_seconds=60)
    assert await store.fill("k", seconds=1, size_seconds=60, to_the_brim=True) == 60
    assert len(store._buckets) == 1
