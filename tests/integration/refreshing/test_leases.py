"""Refreshes whose lease gives way, and processes that wait for one."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bff.clock import ManualClock
from bff.errors import SessionEnded, StoreUnavailable
from bff.model import Session
from bff.sessions.store import Lease, StoredRecord
from bff.tokens.coordinator import CoordinatorSettings
from tests.integration.refreshing.deployment import Deployment, stored, until_refreshed
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_store import ScriptedStore
from tests.polling import HANG_SECONDS, until

WAITED, AVOIDED = "bff_refresh_wait_seconds_count", "bff_refreshes_avoided_total"
# A refresh that is not woken by news asks again after a tenth of this, which no test waits for.
LONG_LEASE = CoordinatorSettings(lease_seconds=9000)


class StandingStill(ScriptedStore):
    """Reads wait while `moving` is clear; counts what was asked for a lease."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.moving = asyncio.Event()
        self.moving.set()
        self.leases_asked = 0

    async def acquire_lease(self, name: str, *, ttl_seconds: float) -> Lease | None:
        self.leases_asked += 1
        return await super().acquire_lease(name, ttl_seconds=ttl_seconds)

    async def load(self, key: str) -> StoredRecord | None:
        await self.moving.wait()
        return await super().load(key)


@asynccontextmanager
async def a_due_session(
    op: RotatingOp, clock: ManualClock, settings: CoordinatorSettings = LONG_LEASE
) -> AsyncIterator[tuple[StandingStill, Process, Session]]:
    """A process with a session whose access token is due for renewal."""
    store = StandingStill(clock)
    async with a_process(store, op, clock, settings=settings) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        yield store, process, session


async def test_a_lease_whose_grant_was_lost_holds_no_refresh_up(deployment: Deployment) -> None:
    """The server carries out what it was sent while it stood still, and the caller has gone: the
    grant is taken back, long before the lease would lapse."""
    first = await deployment.process(settings=LONG_LEASE)
    second = await deployment.process(settings=LONG_LEASE)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    await first.coordinator.refreshed(session)  # from now on the server knows the script
    deployment.clock.advance(61)
    deployment.redis.pause()
    with pytest.raises(StoreUnavailable):
        await first.coordinator.refreshed(session)
    deployment.redis.resume()
    async with asyncio.timeout(HANG_SECONDS):  # not until the lease lapses
        await until_refreshed(second, session)
    assert deployment.op.count("token") == 2


@pytest.mark.rule("TK-07")
async def test_a_lease_lost_while_the_op_answers_costs_nothing(deployment: Deployment) -> None:
    """No process has written meanwhile, so the version alone decides (docs/adr/0003)."""
    process = await deployment.process()
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await process.refreshing(session, deployment.op)
    deployment.drop_lease(session)
    deployment.op.deliver.set()
    await task
    assert (await stored(process, session)).tokens.refresh_token == deployment.op.current["a"]


async def test_older_tokens_never_overwrite_newer_ones(deployment: Deployment) -> None:
    """The lease was lost, and another process has written: what it wrote stays."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await first.refreshing(session, deployment.op)
    deployment.drop_lease(session)
    now = deployment.clock.now()
    newer = dataclasses.replace(
        session.tokens, access_token="newer", obtained_at=now, expires_at=now + 60
    )
    await second.sessions.replace(dataclasses.replace(session, tokens=newer))
    deployment.op.deliver.set()
    assert (await task).tokens.access_token == "newer"
    assert (await stored(first, session)).tokens.access_token == "newer"


@pytest.mark.rule("TK-06")
async def test_a_slow_op_does_not_cost_the_lease(deployment: Deployment) -> None:
    """It is renewed for as long as the OP takes; any other call waits, and gets the answer."""
    settings = CoordinatorSettings(lease_seconds=1.5)
    first = await deployment.process(settings=settings)
    second = await deployment.process(settings=settings)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await first.refreshing(session, deployment.op)
    other = asyncio.create_task(second.coordinator.refreshed(session))
    await asyncio.wait([other], timeout=4)  # more than twice as long as a lease lasts
    deployment.op.deliver.set()
    assert (await task).tokens == (await other).tokens
    assert deployment.op.count("token") == 1


@pytest.mark.rule("TK-06")
async def test_a_refresh_that_waits_is_woken_by_news_and_not_by_a_clock(
    deployment: Deployment,
) -> None:
    """Between the answer of the OP and that of the waiting process there are round trips only: the
    fall-back for a holder that has died would come after a quarter of an hour here."""
    first = await deployment.process(settings=LONG_LEASE)
    second = await deployment.process(settings=LONG_LEASE)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await first.refreshing(session, deployment.op)
    waiting = [asyncio.create_task(second.coordinator.refreshed(session)) for _ in range(10)]
    await asyncio.wait(waiting, timeout=0.3)
    deployment.op.deliver.set()
    async with asyncio.timeout(HANG_SECONDS):
        answers = await asyncio.gather(task, *waiting)
    assert {answer.tokens.access_token for answer in answers} == {"at.a.1"}


@pytest.mark.rule("SE-06")
async def test_a_refresh_that_waits_is_woken_by_the_end_of_its_session(
    op: RotatingOp, clock: ManualClock
) -> None:
    async with a_due_session(op, clock) as (store, process, session):
        assert await store.acquire_lease(session.key, ttl_seconds=60) is not None
        task = asyncio.create_task(process.coordinator.refreshed(session))
        await until(lambda: store.leases_asked == 2)
        await process.ender.end(session, "logout")
        async with asyncio.timeout(HANG_SECONDS):
            with pytest.raises(SessionEnded):
                await task
        assert op.count("token") == 0


@pytest.mark.rule("TK-06")
async def test_a_refresh_that_waits_goes_on_when_the_tokens_are_written(
    op: RotatingOp, clock: ManualClock
) -> None:
    """The lease need not be given back first: its holder may die right after the write."""
    async with a_due_session(op, clock) as (store, process, session):
        assert await store.acquire_lease(session.key, ttl_seconds=9000) is not None
        task = asyncio.create_task(process.coordinator.refreshed(session))
        await until(lambda: store.leases_asked == 2)
        written = await process.sessions.replace(dataclasses.replace(session, tokens=op.grant("b")))
        assert await task == written
        assert op.count("token") == 0
        assert (process.figure(WAITED), process.figure(AVOIDED, by="other_process")) == (1, 1)


@pytest.mark.rule("TK-06")
async def test_a_refresh_that_comes_late_finds_that_it_is_done(deployment: Deployment) -> None:
    """The lease is free by then, so the record is read again before anything is spent."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    found = await first.coordinator.refreshed(session)
    late = await second.coordinator.refreshed(session)
    assert late.tokens == found.tokens
    assert deployment.op.count("token") == 1
    assert (second.figure(WAITED), second.figure(AVOIDED, by="other_process")) == (0, 1)
    assert first.figure(AVOIDED, by="other_process") is None


@pytest.mark.rule("TK-06")
async def test_nothing_is_spent_under_a_lease_that_may_have_lapsed(
    op: RotatingOp, clock: ManualClock
) -> None:
    """A process that has stood still for half of its life asks for another one first."""
    async with a_due_session(op, clock, CoordinatorSettings(lease_seconds=0.4)) as (
        store,
        process,
        session,
    ):
        store.moving.clear()
        task = asyncio.create_task(process.coordinator.refreshed(session))
        await until(lambda: store.leases_asked == 1)
        await asyncio.wait([task], timeout=0.3)
        store.moving.set()
        assert (await task).tokens.access_token == "at.a.1"
        assert store.leases_asked >= 2
        assert op.count("token") == 1


@pytest.mark.rule("TK-07")
async def test_nothing_is_spent_after_trouble_that_began_meanwhile(
    op: RotatingOp, clock: ManualClock
) -> None:
    """The record that was read may be from before it; another process may have written since."""
    async with a_due_session(op, clock) as (store, process, session):
        store.moving.clear()
        task = asyncio.create_task(process.coordinator.refreshed(session))
        await until(lambda: store.leases_asked == 1)
        store.break_stream()
        store.moving.set()
        assert (await task).tokens.access_token == "at.a.1"
        assert store.leases_asked == 2


@pytest.mark.rule("TK-06")
async def test_a_lease_that_is_held_is_asked_for_again_before_it_lapses(
    op: RotatingOp, clock: ManualClock
) -> None:
    """Three times as often: a holder that died gives no news."""
    async with a_due_session(op, clock, CoordinatorSettings(lease_seconds=0.3)) as (
        store,
        process,
        session,
    ):
        assert await store.acquire_lease(session.key, ttl_seconds=60) is not None
        task = asyncio.create_task(process.coordinator.refreshed(session))
        await until(lambda: store.leases_asked == 2)
        await asyncio.sleep(0.3)  # both wake in the order of their times, late as they may be
        await asyncio.sleep(0)
        assert store.leases_asked > 2
        clock.advance(60)
        assert (await task).tokens.access_token == "at.a.1"


@pytest.mark.rule("TK-06")
async def test_a_process_that_stands_still_keeps_its_lease_for_a_while(
    process: Process, store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> None:
    """A virtual machine that is moved, or a container over its share of the processor: the OP has
    rotated, and a second process that spent the old token would make it end the grant."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    task = await process.refreshing(session, op)
    async with a_process(store, op, clock) as other:
        clock.advance(11)
        asked = store.calls["acquire_lease"]
        waiting = asyncio.create_task(other.coordinator.refreshed(session))
        await until(lambda: store.calls["acquire_lease"] > asked)
        op.deliver.set()
        assert (await waiting).tokens == (await task).tokens
    assert op.count("token") == 1


@pytest.mark.rule("TK-06")
async def test_a_holder_that_died_is_succeeded(deployment: Deployment) -> None:
    """It neither renews its lease nor gives it back, so no process is woken by anything."""
    settings = CoordinatorSettings(lease_seconds=0.9)
    process = await deployment.process(settings=settings)
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    assert await process.sessions.leases.acquire_lease(session.key, ttl_seconds=0.9) is not None
    async with asyncio.timeout(HANG_SECONDS):
        found = await process.coordinator.refreshed(session)
    assert found.tokens.access_token == "at.a.1"
    assert deployment.op.count("token") == 1
