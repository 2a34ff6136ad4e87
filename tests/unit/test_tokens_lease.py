"""A lease is held for as long as the work takes; waiters are woken, and forgotten."""

import asyncio
import contextlib

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.store import Lease
from bff.tokens.lease import ChangeWaiters, held
from tests.parts.record_owner import OWNER
from tests.parts.scripted_store import ScriptedStore
from tests.polling import HANG_SECONDS, until
from tests.unit.conftest import SECRET


class Doubts:
    """How often the lease was said to be in doubt."""

    def __init__(self) -> None:
        self.told = 0

    def count(self) -> None:
        self.told += 1


@pytest.fixture
def doubts() -> Doubts:
    return Doubts()


@pytest.mark.rule("TK-06")
async def test_a_lease_is_renewed_although_the_store_fails_now_and_then(
    sessions: Sessions, store: ScriptedStore, doubts: Doubts
) -> None:
    """One failure is not the end of the renewals: an OP may take longer than a lease."""
    store.faults["renew_lease"] = [StoreUnavailable("away"), ZeroDivisionError()]
    lease = await sessions.leases.acquire_lease("k", ttl_seconds=6)
    assert lease is not None
    async with held(sessions.leases, lease, 0.03, doubts.count):
        await until(lambda: store.calls["renew_lease"] >= 4)
    assert doubts.told == 2
    assert await sessions.leases.acquire_lease("k", ttl_seconds=6) is not None  # it was given back


async def test_a_lease_is_renewed_before_it_lapses(
    sessions: Sessions, store: ScriptedStore, doubts: Doubts
) -> None:
    lease = await sessions.leases.acquire_lease("k", ttl_seconds=6)
    assert lease is not None
    async with held(sessions.leases, lease, 0.3, doubts.count):
        await asyncio.sleep(0.3)  # both wake in the order of their times, late as they may be
        assert store.calls["renew_lease"]


@pytest.mark.rule("TK-06")
async def test_a_lease_that_can_not_be_given_back_lapses(
    sessions: Sessions, store: ScriptedStore, doubts: Doubts
) -> None:
    """It is renewed no more, and the work is done all the same."""
    store.faults["release_lease"] = [StoreUnavailable("away")]
    lease = await sessions.leases.acquire_lease("k", ttl_seconds=6)
    assert lease is not None
    before = asyncio.all_tasks()
    async with held(sessions.leases, lease, 6, doubts.count):
        await asyncio.sleep(0)
        assert asyncio.all_tasks() != before
    assert asyncio.all_tasks() == before


async def test_a_lost_lease_does_not_stop_the_work(
    sessions: Sessions, store: ScriptedStore, doubts: Doubts
) -> None:
    """It is not renewed any more, and not taken from its new holder at the end."""
    lease = await sessions.leases.acquire_lease("k", ttl_seconds=6)
    assert lease is not None
    await sessions.leases.release_lease(lease)
    another = await sessions.leases.acquire_lease("k", ttl_seconds=6)
    assert another is not None
    async with held(sessions.leases, lease, 0.03, doubts.count):
        await until(lambda: doubts.told == 1)
    assert store.calls["renew_lease"] == 1
    assert await sessions.leases.renew_lease(another, ttl_seconds=6)


class HidingStore(ScriptedStore):
    """Whose first renewal hides that it was cancelled."""

    async def renew_lease(self, lease: Lease, *, ttl_seconds: float) -> bool:
        renewed = await super().renew_lease(lease, ttl_seconds=ttl_seconds)
        if self.calls["renew_lease"] == 1:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(HANG_SECONDS)
        return renewed


@pytest.mark.rule("TK-06")
async def test_a_renewal_under_way_does_not_outlive_the_work(doubts: Doubts) -> None:
    """Nor does it hold up the caller, whatever becomes of it: the lease would never lapse."""
    store = HidingStore(ManualClock())
    sessions = Sessions(store, Keyring([SECRET], OWNER), ManualClock(), SessionPolicy(1800, 3600))
    lease = await sessions.leases.acquire_lease("k", ttl_seconds=6)
    assert lease is not None
    async with asyncio.timeout(HANG_SECONDS), held(sessions.leases, lease, 0.03, doubts.count):
        await until(lambda: store.calls["renew_lease"] == 1)
    assert await sessions.leases.acquire_lease("k", ttl_seconds=6) is not None


async def test_work_that_fails_gives_the_lease_back(sessions: Sessions, doubts: Doubts) -> None:
    lease = await sessions.leases.acquire_lease("k", ttl_seconds=6)
    assert lease is not None
    with pytest.raises(ZeroDivisionError):
        async with held(sessions.leases, lease, 6, doubts.count):
            raise ZeroDivisionError
    assert await sessions.leases.acquire_lease("k", ttl_seconds=6) is not None


async def test_a_waiter_hears_of_its_own_session_only() -> None:
    waiters = ChangeWaiters()
    with waiters.armed("a") as first, waiters.armed("a") as second, waiters.armed("b") as other:
        waiters.wake("a")
        waiters.wake("a session without waiters")
        async with asyncio.timeout(HANG_SECONDS):
            await asyncio.gather(first.wait(3600), second.wait(3600))
        heard = asyncio.create_task(other.wait(3600))
        await asyncio.sleep(0)
        assert not heard.done()
        waiters.wake_all()
        async with asyncio.timeout(HANG_SECONDS):
            await heard


async def test_waiting_leaves_nothing_behind() -> None:
    """However many sessions are waited for over the weeks of a process."""
    waiters = ChangeWaiters()
    with waiters.armed("a"), waiters.armed("b"):
        with waiters.armed("a"):
            assert len(waiters) == 2
        assert len(waiters) == 2
    assert len(waiters) == 0
