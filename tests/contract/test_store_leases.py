"""What every session store must do with refresh leases: one holder at a time, a wake-up."""

import asyncio
import time

from bff.sessions.store import Lease, SessionStore
from tests.contract.conftest import Engine, Heard
from tests.polling import until


async def acquire(store: SessionStore, key: str, ttl_seconds: float = 30) -> Lease:
    lease = await store.acquire_lease(key, ttl_seconds=ttl_seconds)
    assert lease is not None
    return lease


async def test_one_of_many_gets_the_lease(store: SessionStore, key: str) -> None:
    """One refresh per session at a time, across workers (TK-06)."""
    tries = await asyncio.gather(*(store.acquire_lease(key, ttl_seconds=30) for _ in range(20)))
    assert sum(lease is not None for lease in tries) == 1


async def test_leases_of_other_sessions_are_independent(store: SessionStore, key: str) -> None:
    """A slow OP holds up one session's refresh only."""
    await acquire(store, key)
    await acquire(store, key + "x")


async def test_every_grant_has_a_holder_of_its_own(store: SessionStore, key: str) -> None:
    """A former holder is told apart from the present one."""
    holders = []
    for _ in range(5):
        lease = await acquire(store, key)
        holders.append(lease.holder)
        await store.release_lease(lease)
    assert len(set(holders)) == 5


async def test_a_lapsed_lease_passes_on(store: SessionStore, key: str) -> None:
    """A holder that died blocks others for the lease's time only, and can't come back."""
    lapsed = await acquire(store, key, ttl_seconds=0.1)
    granted: list[Lease] = []

    async def is_granted() -> bool:
        lease = await store.acquire_lease(key, ttl_seconds=30)
        granted.extend([lease] if lease is not None else [])
        return lease is not None

    await until(is_granted)
    assert granted[0].holder != lapsed.holder
    assert await store.renew_lease(lapsed, ttl_seconds=30) is False
    await store.release_lease(lapsed)
    assert await store.renew_lease(granted[0], ttl_seconds=30) is True, "released by a stranger"


async def test_a_renewed_lease_lasts(store: SessionStore, key: str) -> None:
    """The holder keeps the lease for as long as the OP takes."""
    is_renewed, began = False, 0.0
    while not is_renewed:
        assert time.monotonic() - began > 0.3, "it lapsed before its time"
        began = time.monotonic()
        lease = await acquire(store, key, ttl_seconds=0.3)
        is_renewed = await store.renew_lease(lease, ttl_seconds=30)
    while time.monotonic() - began < 0.6:
        assert await store.acquire_lease(key, ttl_seconds=30) is None
        await asyncio.sleep(0.02)
    assert await store.renew_lease(lease, ttl_seconds=30) is True


async def test_releasing_wakes_other_processes(engine: Engine, key: str) -> None:
    """Waiters are woken by news, without polling; a release says nothing of the record."""
    heard = Heard()
    store = await engine.open()
    await engine.open(heard)
    await until(lambda: heard.watching[-1:] == [True])
    await store.release_lease(await acquire(store, key))
    await until(lambda: ("changed", key, None) in heard.news)
