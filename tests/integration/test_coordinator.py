"""Refreshes where something gives way in the middle: the store, the lease, the OP, another process.

Two processes share a real Redis; the OP is real sockets, rotates, and ends a grant of which a token
is used twice. Nothing here may make it do so.
"""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from bff.clock import ManualClock
from bff.errors import OpError, OpUnavailable, SessionEnded, StoreUnavailable
from bff.model import Session
from bff.sessions.cookie import public_id
from bff.sessions.memory import MemoryStore
from bff.sessions.messages import Heartbeat
from bff.sessions.redis.client import RedisLimits
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import Lease, StoredRecord
from bff.tokens.coordinator import CoordinatorSettings
from bff.tokens.refresh_hold import SETTLE_SECONDS
from tests.parts.redis_server import RedisServer
from tests.parts.refreshing import POLICY, Process, a_process
from tests.parts.rotating_op import INVALID_GRANT, RotatingOp
from tests.parts.scripted_op import Answer
from tests.parts.scripted_store import ScriptedStore
from tests.parts.written_log import written_log
from tests.polling import HANG_SECONDS, until

QUICK = RedisLimits(timeout_seconds=2, connect_seconds=2)
# A refresh that is not woken by news asks again after a tenth of this, which no test waits for.
LONG_LEASE = CoordinatorSettings(lease_seconds=9000)


@dataclass
class Deployment:
    """Processes on one Redis, in front of one OP. Their clock stands still unless moved."""

    redis: RedisServer
    op: RotatingOp
    clock: ManualClock
    stack: AsyncExitStack
    namespace: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    async def process(self, user: str = "", **options: object) -> Process:
        url = self.redis.url.replace("unix://", f"unix://{user}:pw@") if user else self.redis.url
        store = RedisStore(url, self.clock, namespace=self.namespace, limits=QUICK)
        opened = a_process(store, self.op, self.clock, **options)  # type: ignore[arg-type]
        return await self.stack.enter_async_context(opened)

    def drop_lease(self, session: Session) -> None:
        """As it lapses for a process that stood still for too long."""
        assert self.redis.command("DEL", f"{self.namespace}:l:{{{session.key}}}") == 1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def op(clock: ManualClock) -> AsyncIterator[RotatingOp]:
    provider = RotatingOp(clock)
    await provider.start()
    yield provider
    provider.deliver.set()
    await provider.close()


@pytest.fixture
async def deployment(
    own_redis: RedisServer, op: RotatingOp, clock: ManualClock
) -> AsyncIterator[Deployment]:
    async with AsyncExitStack() as stack:
        yield Deployment(own_redis, op, clock, stack)


async def refreshing(process: Process, session: Session, op: RotatingOp) -> asyncio.Task[Session]:
    """A refresh that has reached the OP, where it has rotated; the answer is held back."""
    before = op.count("token")
    op.deliver.clear()
    task = asyncio.create_task(process.coordinator.refreshed(session))
    await until(lambda: op.count("token") == before + 1)
    return task


def revoked_at(op: RotatingOp) -> list[str]:
    return [received.form["token"] for received in op.received if received.endpoint == "revocation"]


async def stored(process: Process, session: Session) -> Session:
    found = await process.sessions.load_fresh(session.key)
    assert found is not None, "the session is gone"
    return found


# --- the store gives way


@pytest.mark.rule("TK-07")
async def test_a_rotated_token_outlives_an_outage_of_the_store(deployment: Deployment) -> None:
    """It exists nowhere else: its write is tried again for as long as the process lives."""
    process = await deployment.process()
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await refreshing(process, session, deployment.op)
    deployment.redis.pause()
    deployment.op.deliver.set()
    await until(lambda: not process.sessions.watching)  # the outage has been noticed
    assert not task.done()
    deployment.redis.resume()
    refreshed = await task
    assert refreshed.tokens.refresh_token == deployment.op.current["a"]
    assert (await stored(process, session)).tokens == refreshed.tokens


@pytest.mark.rule("TK-07")
async def test_after_an_outage_nobody_spends_what_somebody_may_have_rotated(
    deployment: Deployment,
) -> None:
    """One process got new tokens when the store was away, and its lease has lapsed; another one,
    asked as soon as the store is back, lets it save them first."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await refreshing(first, session, deployment.op)
    deployment.drop_lease(session)
    deployment.redis.pause()
    deployment.op.deliver.set()
    await until(lambda: not (first.sessions.watching or second.sessions.watching))
    deployment.redis.resume()
    answers = await asyncio.gather(task, *(until_refreshed(second, session) for _ in range(5)))
    assert {answer.tokens.refresh_token for answer in answers} == {deployment.op.current["a"]}
    assert deployment.op.reused == []


async def until_refreshed(process: Process, session: Session) -> Session:
    """As a browser that comes again after each 503."""
    while True:
        try:
            return await process.coordinator.refreshed(session)
        except StoreUnavailable:
            await asyncio.sleep(0.01)


@pytest.mark.rule("TK-07")
async def test_whoever_may_hold_newer_tokens_is_waited_for(deployment: Deployment) -> None:
    """The store went back in time, and the process that knows better takes seconds longer than
    another one to get to it again. Nobody spends the token that is in the record meanwhile."""
    redis = deployment.redis
    redis.command("ACL", "SETUSER", "late", "on", ">pw", "~*", "&*", "+@all")
    first, second = await deployment.process("late"), await deployment.process()
    heard: list[object] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard))
    session = await first.log_in(deployment.op, "a")
    key = f"{deployment.namespace}:s:{{{session.key}}}"
    before = redis.command("DUMP", key)
    deployment.clock.advance(61)
    await first.coordinator.refreshed(session)
    redis.command("ACL", "SETUSER", "late", "off")
    redis.command("RESTORE", key, 100_000, before, "REPLACE")
    redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: not second.sessions.watching)
    redis.command("CLIENT", "KILL", "USER", "late")
    await until(lambda: second.sessions.watching)
    refresh = asyncio.create_task(until_refreshed(second, session))
    await asyncio.wait([refresh], timeout=SETTLE_SECONDS + 0.5)
    assert not refresh.done()
    redis.command("ACL", "SETUSER", "late", "on")
    refreshed = await refresh
    assert refreshed.tokens.refresh_token == deployment.op.current["a"] == "rt.a.1"
    assert deployment.op.reused == []


async def test_a_process_says_that_it_holds_what_the_store_may_lack(
    deployment: Deployment,
) -> None:
    """A refresh that was under way when the stream of changes broke: not saved, until it is."""
    first, second = await deployment.process(), await deployment.process()
    heard: list[Heartbeat] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard) and heard[-1].saved)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    refresh = await refreshing(first, session, deployment.op)
    deployment.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: not heard[-1].saved)
    deployment.op.deliver.set()
    await refresh
    await until(lambda: heard[-1].saved)


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_process_whose_lease_is_in_doubt_says_that_it_holds_something(
    deployment: Deployment, *, is_refused: bool
) -> None:
    """While it waits for the OP its lease can't be renewed, or has lapsed: a process that gets the
    lease after trouble of its own has to wait. The stream of changes shows nothing of it."""
    deployment.redis.command("ACL", "SETUSER", "first", "on", ">pw", "~*", "&*", "+@all")
    short_lease = CoordinatorSettings(lease_seconds=0.9)
    first = await deployment.process("first", settings=short_lease)
    second = await deployment.process()
    heard: list[Heartbeat] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard) and heard[-1].saved)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    refresh = await refreshing(first, session, deployment.op)
    if is_refused:
        deployment.redis.command("ACL", "SETUSER", "first", "-pexpire")
    else:
        deployment.drop_lease(session)
    await until(lambda: not heard[-1].saved)
    deployment.op.deliver.set()
    await refresh
    await until(lambda: heard[-1].saved)


@pytest.mark.rule("TK-07")
async def test_a_store_that_goes_back_in_time_is_told_again(deployment: Deployment) -> None:
    """A failover may lose the last write. The record then names a spent token; the process that
    wrote it knows better, and the next one to refresh finds the newest token."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    key = f"{deployment.namespace}:s:{{{session.key}}}"
    before = deployment.redis.command("DUMP", key)
    deployment.clock.advance(61)
    await first.coordinator.refreshed(session)
    watched: tuple[list[bool], list[bool]] = ([], [])
    for process, seen in zip((first, second), watched, strict=True):
        process.sessions.observe(on_watch=seen.append)
    heard: list[Heartbeat] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard))  # else it waits for what it has not heard of, for 2 s only
    deployment.redis.command("RESTORE", key, 100_000, before, "REPLACE")
    deployment.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: all(False in seen and seen[-1] for seen in watched))
    deployment.clock.advance(61)
    refreshed = await second.coordinator.refreshed(session)
    assert refreshed.tokens.refresh_token == deployment.op.current["a"] == "rt.a.2"
    assert deployment.op.reused == []


@pytest.mark.rule("TK-06")
async def test_a_session_that_was_thought_to_have_expired_can_be_refreshed(
    deployment: Deployment,
) -> None:
    """Its record is back after a failover, when its end has just been announced: the process that
    announced it holds up no refresh."""
    first, second = await deployment.process(), await deployment.process()
    expired: list[str] = []
    for process in (first, second):
        process.sessions.observe(on_expired=lambda key, _: expired.append(key))
    session = await first.log_in(deployment.op, "a")
    key = f"{deployment.namespace}:s:{{{session.key}}}"
    before = deployment.redis.command("DUMP", key)
    deployment.redis.command("DEL", key)
    deployment.clock.advance(POLICY.idle_seconds + 1)
    await until(lambda: expired == [session.key])
    deployment.redis.command("RESTORE", key, 1000 * round(POLICY.idle_seconds), before)
    refreshed = await second.coordinator.refreshed(session)
    assert refreshed.tokens.refresh_token == deployment.op.current["a"] == "rt.a.1"


async def test_a_lease_whose_grant_was_lost_holds_nobody_up(deployment: Deployment) -> None:
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


# --- the lease gives way


@pytest.mark.rule("TK-07")
async def test_a_lease_lost_while_the_op_answers_costs_nothing(deployment: Deployment) -> None:
    """Nobody has written meanwhile, so the version alone decides (docs/adr/0003)."""
    process = await deployment.process()
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await refreshing(process, session, deployment.op)
    deployment.drop_lease(session)
    deployment.op.deliver.set()
    await task
    assert (await stored(process, session)).tokens.refresh_token == deployment.op.current["a"]


async def test_older_tokens_never_overwrite_newer_ones(deployment: Deployment) -> None:
    """The lease was lost, and somebody else has written: what they wrote stays."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await refreshing(first, session, deployment.op)
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
    """It is renewed for as long as the OP takes; whoever else comes waits, and gets the answer."""
    settings = CoordinatorSettings(lease_seconds=1.5)
    first = await deployment.process(settings=settings)
    second = await deployment.process(settings=settings)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await refreshing(first, session, deployment.op)
    other = asyncio.create_task(second.coordinator.refreshed(session))
    await asyncio.wait([other], timeout=4)  # more than twice as long as a lease lasts
    deployment.op.deliver.set()
    assert (await task).tokens == (await other).tokens
    assert deployment.op.count("token") == 1


@pytest.mark.rule("TK-06")
async def test_who_waits_is_woken_by_news_and_not_by_a_clock(deployment: Deployment) -> None:
    """Between the OP's answer and the waiter's there are round trips only: the fall-back for a
    holder that has died would come after a quarter of an hour here."""
    first = await deployment.process(settings=LONG_LEASE)
    second = await deployment.process(settings=LONG_LEASE)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await refreshing(first, session, deployment.op)
    waiting = [asyncio.create_task(second.coordinator.refreshed(session)) for _ in range(10)]
    await asyncio.wait(waiting, timeout=0.3)
    deployment.op.deliver.set()
    async with asyncio.timeout(HANG_SECONDS):
        answers = await asyncio.gather(task, *waiting)
    assert {answer.tokens.access_token for answer in answers} == {"at.a.1"}


@pytest.mark.rule("TK-06")
async def test_who_comes_late_finds_that_it_is_done(deployment: Deployment) -> None:
    """The lease is free by then, so the record is read again before anything is spent."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    found = await first.coordinator.refreshed(session)
    late = await second.coordinator.refreshed(session)
    assert late.tokens == found.tokens
    assert deployment.op.count("token") == 1


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


@pytest.mark.rule("TK-06")
async def test_nothing_is_spent_under_a_lease_that_may_have_lapsed(
    op: RotatingOp, clock: ManualClock
) -> None:
    """Who has stood still for half of its life asks for another one first."""
    store = StandingStill(clock)
    settings = CoordinatorSettings(lease_seconds=0.4)
    async with a_process(store, op, clock, settings=settings) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
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
    store = StandingStill(clock)
    async with a_process(store, op, clock, settings=LONG_LEASE) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
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
    store = StandingStill(clock)
    settings = CoordinatorSettings(lease_seconds=0.3)
    async with a_process(store, op, clock, settings=settings) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        assert await store.acquire_lease(session.key, ttl_seconds=60) is not None
        task = asyncio.create_task(process.coordinator.refreshed(session))
        await until(lambda: store.leases_asked == 2)
        await asyncio.sleep(0.3)  # both wake in the order of their times, late as they may be
        await asyncio.sleep(0)
        assert store.leases_asked > 2
        clock.advance(60)
        assert (await task).tokens.access_token == "at.a.1"


@pytest.mark.rule("SE-06")
async def test_a_refresh_that_waits_is_woken_by_the_end_of_its_session(
    op: RotatingOp, clock: ManualClock
) -> None:
    store = StandingStill(clock)
    async with a_process(store, op, clock, settings=LONG_LEASE) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        assert await store.acquire_lease(session.key, ttl_seconds=60) is not None
        task = asyncio.create_task(process.coordinator.refreshed(session))
        await until(lambda: store.leases_asked == 2)
        await process.ender.end(session, "logout")
        async with asyncio.timeout(HANG_SECONDS):
            with pytest.raises(SessionEnded):
                await task
        assert op.count("token") == 0


async def test_a_session_without_a_refresh_token_ends_with_its_access_token(
    op: RotatingOp, clock: ManualClock
) -> None:
    """There is nothing left to revoke."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        tokens = dataclasses.replace(session.tokens, refresh_token=None)
        without = await process.sessions.replace(dataclasses.replace(session, tokens=tokens))
        assert without is not None
        clock.advance(61)
        with pytest.raises(SessionEnded):
            await process.coordinator.refreshed(without)
        assert await process.sessions.load_fresh(session.key) is None
        assert process.sessions.end_reason(session.key) == "token_expired"
        await process.ender.close(HANG_SECONDS)
        assert revoked_at(op) == []


async def test_a_caller_that_hangs_up_takes_no_refresh_from_the_others(
    op: RotatingOp, clock: ManualClock
) -> None:
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        first = await refreshing(process, session, op)
        second = asyncio.create_task(process.coordinator.refreshed(session))
        await asyncio.sleep(0)
        first.cancel()
        op.deliver.set()
        assert (await second).tokens.access_token == "at.a.1"
        assert op.count("token") == 1


async def test_a_caller_waits_for_a_while_and_the_refresh_goes_on(
    op: RotatingOp, clock: ManualClock
) -> None:
    settings = CoordinatorSettings(wait_seconds=0, late_wait_seconds=0)
    async with a_process(MemoryStore(clock), op, clock, settings=settings) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        with pytest.raises(OpUnavailable) as refused:
            await process.coordinator.refreshed(session)
        assert refused.value.retry_after == 1

        async def is_refreshed() -> bool:
            return (await stored(process, session)).tokens.access_token == "at.a.1"

        await until(is_refreshed)


async def test_a_session_without_a_refresh_token_outlives_a_refused_access_token(
    op: RotatingOp, clock: ManualClock
) -> None:
    """There is no other to be had, and other APIs may take it."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        tokens = dataclasses.replace(session.tokens, refresh_token=None)
        without = await process.sessions.replace(dataclasses.replace(session, tokens=tokens))
        assert without is not None
        clock.advance(35)
        assert await process.coordinator.replaced(without) is None
        assert await stored(process, session) == without
        assert op.count("token") == 0


@pytest.mark.rule("TK-06")
async def test_a_holder_that_died_is_succeeded(deployment: Deployment) -> None:
    """It neither renews its lease nor gives it back, so nobody is woken by anything."""
    settings = CoordinatorSettings(lease_seconds=0.9)
    process = await deployment.process(settings=settings)
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    assert await process.sessions.leases.acquire_lease(session.key, ttl_seconds=0.9) is not None
    async with asyncio.timeout(HANG_SECONDS):
        found = await process.coordinator.refreshed(session)
    assert found.tokens.access_token == "at.a.1"
    assert deployment.op.count("token") == 1


# --- the OP says no


@pytest.mark.rule("TK-08")
async def test_a_refusal_is_no_end_when_another_process_was_faster(deployment: Deployment) -> None:
    """`invalid_grant` speaks of the token that was sent, and the record has another one by now."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    deployment.op.refuse = INVALID_GRANT
    task = await refreshing(first, session, deployment.op)
    now = deployment.clock.now()
    newer = dataclasses.replace(
        session.tokens, access_token="newer", obtained_at=now, expires_at=now + 60
    )
    await second.sessions.replace(dataclasses.replace(session, tokens=newer))
    deployment.op.deliver.set()
    assert (await task).tokens.access_token == "newer"
    assert (await stored(first, session)).tokens.access_token == "newer"


@pytest.mark.rule("TK-08")
async def test_a_refusal_ends_the_session_everywhere(deployment: Deployment) -> None:
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    deployment.op.refuse = INVALID_GRANT
    with pytest.raises(SessionEnded):
        await first.coordinator.refreshed(session)
    assert await second.sessions.load_fresh(session.key) is None
    assert deployment.op.count("token") == 1
    await until(lambda: second.sessions.end_reason(session.key) == "grant_rejected")


@pytest.mark.rule("TK-11")
async def test_somebody_else_s_identity_ends_the_session(deployment: Deployment) -> None:
    """OIDC Core section 12.2: nothing of that answer is used."""
    process = await deployment.process()
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    deployment.op.token_changes = {"id_token": deployment.op.id_token(sub="mallory")}
    with pytest.raises(SessionEnded):
        await process.coordinator.refreshed(session)
    assert await process.sessions.load_fresh(session.key) is None
    assert process.sessions.end_reason(session.key) == "identity_mismatch"
    # The tokens that came with it are live at the OP, the session's own is spent.
    await until(lambda: deployment.op.current["a"] in revoked_at(deployment.op))
    assert deployment.op.current["a"] == "rt.a.1"


@pytest.mark.rule("SE-06")
async def test_a_logout_during_a_refresh_wins_and_its_late_tokens_are_revoked(
    deployment: Deployment,
) -> None:
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await refreshing(first, session, deployment.op)
    await second.ender.end(session.key, "logout")
    await until(lambda: first.sessions.end_reason(session.key) == "logout")
    deployment.op.deliver.set()
    with pytest.raises(SessionEnded):
        await task
    assert await first.sessions.load_fresh(session.key) is None
    assert deployment.op.current["a"] in revoked_at(deployment.op)


async def test_where_logouts_do_not_revoke_late_tokens_are_not_either(
    op: RotatingOp, clock: ManualClock
) -> None:
    """`oidc.revoke_on_logout = false`."""
    async with a_process(MemoryStore(clock), op, clock, revoke=False) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        task = await refreshing(process, session, op)
        await process.ender.end(session.key, "logout")
        op.deliver.set()
        with pytest.raises(SessionEnded):
            await task
        await process.ender.close(HANG_SECONDS)
        assert revoked_at(op) == []


async def test_a_revocation_that_fails_says_why(op: RotatingOp, clock: ManualClock) -> None:
    """And is counted, by session; an OP that offers no revocation has not failed."""
    op.answers["revocation"] = Answer({"error": "invalid_client"}, status=401)
    with written_log() as log:
        async with a_process(MemoryStore(clock), op, clock) as process:
            session = await process.log_in(op, "a")
            await process.ender.end(session, "logout")
            await process.ender.close(HANG_SECONDS)
            registry = process.metrics.registry
            assert registry.get_sample_value("bff_revocations_failed_total") == 1
        (told,) = log.of("revocation_failed")
        assert told["reason"] == "revocation: status 401, error invalid_client"
        assert told["session"] == public_id(session.key)


async def test_a_revocation_of_late_tokens_that_fails_says_why(
    op: RotatingOp, clock: ManualClock
) -> None:
    """Those that a refresh has brought after the logout, as any others."""
    op.answers["revocation"] = Answer({"error": "invalid_client"}, status=401)
    with written_log() as log:
        async with a_process(MemoryStore(clock), op, clock) as process:
            session = await process.log_in(op, "a")
            clock.advance(61)
            task = await refreshing(process, session, op)
            await process.ender.end(session.key, "logout", revoke=False)
            op.deliver.set()
            with pytest.raises(SessionEnded):
                await task
            assert process.metrics.registry.get_sample_value("bff_revocations_failed_total") == 1
        (told,) = log.of("revocation_failed")
        assert told["session"] == public_id(session.key)


async def test_an_op_without_revocation_endpoint_is_no_failure_at_each_logout(
    op: RotatingOp, clock: ManualClock
) -> None:
    op.metadata_changes["revocation_endpoint"] = None
    with written_log() as log:
        async with a_process(MemoryStore(clock), op, clock) as process:
            await process.ender.end(await process.log_in(op, "a"), "logout")
            await process.ender.close(HANG_SECONDS)
            registry = process.metrics.registry
            assert registry.get_sample_value("bff_revocations_failed_total") == 0
        assert log.of("revocation_failed") == []


# --- the OP gives way


@pytest.mark.rule("TK-09")
async def test_an_op_that_hung_is_heard_out(op: RotatingOp, clock: ManualClock) -> None:
    """It has spent the token by the time it answers: who had hung up, as at the timeout of every
    other call, would come back with a spent one and lose the grant."""
    async with a_process(MemoryStore(clock), op, clock, timeout_seconds=1) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        task = await refreshing(process, session, op)
        await asyncio.wait([task], timeout=2)
        op.deliver.set()
        assert (await task).tokens.refresh_token == op.current["a"]
        assert op.reused == []


OUTAGES: dict[str, Callable[[RotatingOp], None]] = {
    "500": lambda op: setattr(op, "refuse", Answer({"error": "server_error"}, status=500)),
    "garbage": lambda op: setattr(op, "refuse", Answer(b'{"access_token": "eyJ')),
    "cut": lambda op: setattr(op, "refuse", Answer(b"{", truncate=True)),
    "reset": lambda op: setattr(op, "refuse", Answer(drop=True)),
    "invalid_client": lambda op: setattr(
        op, "refuse", Answer({"error": "invalid_client"}, status=401)
    ),
}


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_outage_of_the_op_costs_few_calls_and_no_session(
    op: RotatingOp, clock: ManualClock, outage: str
) -> None:
    """A minute of it, with twenty users who try ten times a second: five calls until the breaker
    opens, then one probe at a time, at least two and a half seconds apart when it goes on."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        sessions = [await process.log_in(op, str(number)) for number in range(20)]
        clock.advance(61)
        OUTAGES[outage](op)
        for _ in range(600):
            answers = await asyncio.gather(
                *(process.coordinator.refreshed(session) for session in sessions),
                return_exceptions=True,
            )
            assert all(isinstance(answer, OpError) and answer.retry_after for answer in answers)
            clock.advance(0.1)
        assert op.count("token") <= 20 + 5 + 60 / 2.5
        op.refuse = None
        clock.advance(30)
        await process.coordinator.refreshed(sessions[0])  # the probe
        rest = [process.coordinator.refreshed(session) for session in sessions[1:]]
        assert {found.tokens.access_token[-1] for found in await asyncio.gather(*rest)} == {"1"}


# What OPs answer to a dead refresh token that is not `invalid_grant`.
REFUSALS = {
    "Dex": Answer({"error": "invalid_request", "error_description": "gone"}, status=400),
    "a code of its own": Answer({"error": "session_expired"}, status=403),
    "an error with 200": Answer({"error": "bad_refresh_token"}),
    "no JSON": Answer(b"refresh token not found", status=400),
}


async def refusals(process: Process, session: Session, clock: ManualClock, seconds: int) -> int:
    """How many seconds of asking again and again it takes until the session ends; `seconds` when
    it does not."""
    for passed in range(seconds):
        try:
            with pytest.raises(OpError):
                await process.coordinator.refreshed(session)
        except SessionEnded:
            return passed
        clock.advance(1)
    return seconds


@pytest.mark.rule("TK-08")
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_that_is_said_three_times_ends_the_session(
    op: RotatingOp, clock: ManualClock, name: str
) -> None:
    """Once the access token has expired, and the three are ten seconds apart. A browser that asks
    once a second costs three calls."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        op.refuse = REFUSALS[name]
        assert 20 <= await refusals(process, session, clock, 60) <= 22
        assert op.count("token") == 3
        assert await process.sessions.load_fresh(session.key) is None
        assert process.sessions.end_reason(session.key) == "grant_rejected"


@pytest.mark.rule("TK-08")
async def test_a_session_outlives_any_refusal_while_its_access_token_is_good(
    op: RotatingOp, clock: ManualClock
) -> None:
    """The refusals count all the same: with the token the session is over at once."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(45)  # due, not expired: there is time for two of them
        op.refuse = REFUSALS["Dex"]
        assert await refusals(process, session, clock, 14) == 14
        assert await process.sessions.load_fresh(session.key) is not None
        clock.advance(10)
        with pytest.raises(SessionEnded):
            await process.coordinator.refreshed(session)
        assert op.count("token") == 3


@pytest.mark.rule("TK-09")
async def test_a_token_that_an_api_refuses_is_no_reason_to_end_the_session_sooner(
    op: RotatingOp, clock: ManualClock
) -> None:
    """It is replaced before it expires, as often as the OP says no; others may still take it."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(35)
        op.refuse = REFUSALS["Dex"]
        for asked in (1, 2, 3):
            with pytest.raises(OpError):
                await process.coordinator.replaced(session)
            assert op.count("token") == asked
            clock.advance(10 if asked < 3 else 0)
        assert await process.sessions.load_fresh(session.key) is not None


PASSING: dict[str, list[Answer | None]] = {
    "twice only": [REFUSALS["Dex"], REFUSALS["Dex"], None],
    "a success between": [REFUSALS["Dex"], REFUSALS["Dex"], None, REFUSALS["Dex"], REFUSALS["Dex"]],
    "two kinds": [REFUSALS["Dex"], REFUSALS["no JSON"]] * 5,
    "of what stands before the OP": [Answer(b"<html>no such service</html>", status=404)] * 9,
    "of a firewall": [Answer({"message": "Forbidden"}, status=403)] * 9,
    "too early": [Answer({"error": "invalid_request"}, status=425)] * 9,
    "of the client": [Answer({"error": "unauthorized_client"}, status=400)] * 9,
    "trouble at the OP": [Answer({"error": "server_error"}, status=400)] * 9,
}


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize("name", PASSING)
async def test_what_is_no_final_refusal_ends_no_session(
    op: RotatingOp, clock: ManualClock, name: str
) -> None:
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        for refuse in PASSING[name]:
            clock.advance(61)
            op.refuse = refuse
            if refuse is None:
                session = await process.coordinator.refreshed(session)
            else:
                assert await refusals(process, session, clock, 1) == 1
        op.refuse = None
        clock.advance(61)
        await process.coordinator.refreshed(session)


@pytest.mark.rule("TK-09")
async def test_one_user_s_dead_grant_holds_up_no_other(op: RotatingOp, clock: ManualClock) -> None:
    """An OP that refuses a refresh token is there: the circuit breaker is not for that."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        dead = [await process.log_in(op, f"dead{number}") for number in range(9)]
        alive = await process.log_in(op, "alive")
        clock.advance(61)
        op.refuse = REFUSALS["Dex"]
        for session in dead:
            assert await refusals(process, session, clock, 1) == 1
        op.refuse = None
        assert (await process.coordinator.refreshed(alive)).tokens.access_token == "at.alive.1"


async def test_what_a_refreshed_id_token_says_is_taken_over(
    op: RotatingOp, clock: ManualClock
) -> None:
    """Of its claims only those on the list."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        auth_time = int(clock.now())
        said = {"acr": "2", "auth_time": auth_time, "name": "Alice", "groups": ["admin"]}
        op.token_changes = {"id_token": op.id_token(**said)}
        refreshed = await process.coordinator.refreshed(session)
        assert (refreshed.acr, refreshed.auth_time) == ("2", auth_time)
        assert refreshed.claims == {"name": "Alice"}
        assert await stored(process, session) == refreshed
        op.token_changes = {}
        clock.advance(61)
        again = await process.coordinator.refreshed(refreshed)
        assert again.claims == {"name": "Alice"}, "a refresh may bring fewer"


async def test_a_refresh_is_counted_and_timed(op: RotatingOp, clock: ManualClock) -> None:
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        task = await refreshing(process, session, op)
        clock.advance(3)
        op.deliver.set()
        await task
        value = process.metrics.registry.get_sample_value
        assert value("bff_refreshes_total", {"outcome": "ok"}) == 1
        assert value("bff_refresh_seconds_sum") == pytest.approx(3)


@pytest.mark.parametrize("outcome", ["rejected", "identity_mismatch"])
async def test_a_refresh_that_ends_the_session_is_counted_by_its_reason(
    op: RotatingOp, clock: ManualClock, outcome: str
) -> None:
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        if outcome == "rejected":
            op.refuse = INVALID_GRANT
        else:
            op.token_changes = {"id_token": op.id_token(sub="mallory")}
        with pytest.raises(SessionEnded):
            await process.coordinator.refreshed(session)
        counted = process.metrics.registry.get_sample_value
        assert counted("bff_refreshes_total", {"outcome": outcome}) == 1


async def refresh_all(process: Process, sessions: list[Session]) -> list[type]:
    """What comes of each, one after the other."""
    coming = [process.coordinator.refreshed(session) for session in sessions]
    return [type((await asyncio.gather(one, return_exceptions=True))[0]) for one in coming]


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize("answer", ["tokens", "invalid_grant", "another identity", "refusal"])
async def test_an_op_that_answers_is_there_whatever_it_says(
    op: RotatingOp, clock: ManualClock, answer: str
) -> None:
    """Failures before and after do not add up to an outage."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        sessions = [await process.log_in(op, str(number)) for number in range(10)]
        clock.advance(61)
        op.refuse = failing = Answer({"error": "server_error"}, status=500)
        assert set(await refresh_all(process, sessions[:4])) == {OpUnavailable}
        op.refuse = {"invalid_grant": INVALID_GRANT, "refusal": REFUSALS["Dex"]}.get(answer)
        if answer == "another identity":
            op.token_changes = {"id_token": op.id_token(sub="mallory")}
        await refresh_all(process, sessions[4:5])
        op.refuse, op.token_changes = failing, {}
        assert set(await refresh_all(process, sessions[5:9])) == {OpUnavailable}
        op.refuse = None
        assert await refresh_all(process, sessions[9:]) == [Session]
        assert op.count("token") == 10


UNUSABLE: dict[str, dict[str, object]] = {
    "an access token with a space": {"access_token": "a b"},
    "no access token": {"access_token": None},
    "another token type": {"token_type": "DPoP"},
}


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("name", UNUSABLE)
async def test_an_answer_that_can_not_be_used_costs_no_rotated_token(
    op: RotatingOp, clock: ManualClock, name: str
) -> None:
    """Its refresh token is stored, also when the store has to be waited for, and spent next."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        op.token_changes = UNUSABLE[name]
        with pytest.raises(OpError):
            await process.coordinator.refreshed(session)
        kept = await stored(process, session)
        assert (kept.tokens.access_token, kept.tokens.refresh_token) == ("at.a.0", "rt.a.1")
        op.token_changes = {}
        clock.advance(30)
        found = await process.coordinator.refreshed(session)
        assert (found.tokens.access_token, found.tokens.refresh_token) == ("at.a.2", "rt.a.2")
        assert op.reused == []


@pytest.mark.rule("TK-07")
async def test_a_logout_during_such_a_refresh_revokes_the_rotated_token(
    deployment: Deployment,
) -> None:
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    deployment.op.token_changes = {"access_token": None}
    task = await refreshing(first, session, deployment.op)
    await second.ender.end(session.key, "logout")
    await until(lambda: first.sessions.end_reason(session.key) == "logout")
    deployment.op.deliver.set()
    with pytest.raises(SessionEnded):
        await task
    assert deployment.op.current["a"] in revoked_at(deployment.op)


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [("invalid_client", 401, "client_rejected"), ("server_error", 500, "failed")],
)
async def test_a_fault_of_the_operator_is_told_apart(
    op: RotatingOp, clock: ManualClock, error: str, status: int, outcome: str
) -> None:
    """It is counted with the first refresh, long before the tokens in use run out."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(45)  # due, not expired
        op.refuse = Answer({"error": error}, status=status)
        process.coordinator.refresh_soon(session)

        def counted() -> dict[str, float | None]:
            name, registry = "bff_refreshes_total", process.metrics.registry
            outcomes = ("client_rejected", "failed")
            return {one: registry.get_sample_value(name, {"outcome": one}) or 0 for one in outcomes}

        await until(lambda: counted()[outcome] == 1)
        assert sum(value or 0 for value in counted().values()) == 1
        assert await process.sessions.load_fresh(session.key) is not None


@pytest.mark.rule("TK-09")
async def test_what_an_op_asks_for_is_kept_to(op: RotatingOp, clock: ManualClock) -> None:
    """RFC 9110 section 10.2.3."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        op.refuse = Answer(status=503, headers={"Retry-After": "20"})
        for _ in range(195):
            with pytest.raises(OpUnavailable):
                await process.coordinator.refreshed(session)
            clock.advance(0.1)
        assert op.count("token") == 1
        op.refuse = None
        clock.advance(1)
        await process.coordinator.refreshed(session)


async def test_an_answer_lost_after_the_rotation_is_asked_for_again_soon(
    op: RotatingOp, clock: ManualClock
) -> None:
    """At an OP that allows for it the token can be had for some seconds more. At one that does not
    the grant is lost with the answer, and the session ends with the next try: it is not kept
    up with tokens that nobody has."""
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        op.fault = lambda _: Answer(drop=True)
        with pytest.raises(OpUnavailable):
            await process.coordinator.refreshed(session)
        op.fault = None
        clock.advance(0.5)
        with pytest.raises(SessionEnded):
            await process.coordinator.refreshed(session)
        assert await process.sessions.load_fresh(session.key) is None
        assert op.count("token") == 2


@pytest.mark.rule("TK-05")
@pytest.mark.parametrize("expires_in", [None, 0, -1, 1e12, "60", "soon", 60.5, True, "", [60]])
async def test_a_strange_lifetime_does_not_make_the_gateway_ask_all_the_time(
    op: RotatingOp, clock: ManualClock, expires_in: object
) -> None:
    """RFC 6749 section 5.1: two calls a minute at most, whatever `expires_in` says."""
    op.expires_in = expires_in
    async with a_process(MemoryStore(clock), op, clock) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        session = await process.coordinator.refreshed(session)
        for _ in range(60):
            current = await process.sessions.load(session.key)
            assert current is not None
            process.coordinator.refresh_soon(current)
            await asyncio.sleep(0)
            clock.advance(1)
        await process.coordinator.close(1)
        assert op.count("token") <= 2
