"""Refreshes at the edges of what a coordinator decides: who came first, what has run out meanwhile,
and when an OP that was away counts as back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from bff.clock import ManualClock
from bff.errors import OpError, OpUnavailable, RefreshRefused, SessionEnded
from bff.model import Session
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_op import Answer
from tests.parts.scripted_store import ScriptedStore
from tests.polling import until


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> ScriptedStore:
    return ScriptedStore(clock)


@pytest.fixture
async def op(clock: ManualClock) -> AsyncIterator[RotatingOp]:
    provider = RotatingOp(clock)
    await provider.start()
    yield provider
    provider.deliver.set()
    await provider.close()


@pytest.fixture
async def process(
    store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> AsyncIterator[Process]:
    async with a_process(store, op, clock) as opened:
        yield opened


async def under_way(process: Process, session: Session, op: RotatingOp) -> asyncio.Task[Session]:
    """A refresh that has reached the OP, where it has rotated; the answer is held back."""
    before = op.count("token")
    op.deliver.clear()
    task = asyncio.create_task(process.coordinator.refreshed(session))
    await until(lambda: op.count("token") == before + 1)
    return task


@pytest.mark.rule("TK-14")
@pytest.mark.parametrize(
    ("reason", "is_revoked"),
    [("logout", True), ("admin", True), ("replaced", False), (None, False)],
)
async def test_late_tokens_are_revoked_unless_a_new_login_may_live_on_them(
    process: Process,
    store: ScriptedStore,
    op: RotatingOp,
    clock: ManualClock,
    reason: str | None,
    is_revoked: bool,
) -> None:
    """At many OPs the session of a new login has the same grant: a revocation would end it. None:
    the record is gone and nothing was told, as after a login that another process served."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    task = await under_way(process, session, op)
    if reason is None:
        store.lose(session.key)
    else:
        await process.ender.end(session.key, reason, revoke=False)
    op.deliver.set()
    with pytest.raises(SessionEnded):
        await task
    await process.ender.close(20)
    revoked = [it.form["token"] for it in op.received if it.endpoint == "revocation"]
    assert (op.current["a"] in revoked) is is_revoked


async def test_a_fault_in_the_background_is_logged(
    process: Process, store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> None:
    """No caller is there to be told; the next refresh is not held up."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    store.faults["load"] = [ZeroDivisionError()]
    with capture_logs() as entries:
        process.coordinator.refresh_soon(session)
        await until(lambda: "refresh_aborted" in [entry["event"] for entry in entries])
    assert (await process.coordinator.refreshed(session)).tokens.access_token == "at.a.1"


@pytest.mark.rule("TK-06")
async def test_a_process_that_stands_still_keeps_its_lease_for_a_while(
    process: Process, store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> None:
    """A virtual machine that is moved, or a container over its share of the processor: the OP has
    rotated, and a second process that spent the old token would make it end the grant."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    task = await under_way(process, session, op)
    async with a_process(store, op, clock) as other:
        clock.advance(11)
        asked = store.calls["acquire_lease"]
        waiting = asyncio.create_task(other.coordinator.refreshed(session))
        await until(lambda: store.calls["acquire_lease"] > asked)
        op.deliver.set()
        assert (await waiting).tokens == (await task).tokens
    assert op.count("token") == 1


@pytest.mark.rule("TK-02")
async def test_no_expired_token_goes_out(
    process: Process, store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> None:
    """What was fresh when the OP answered has run out by the time the store has it: it is refreshed
    once more before a request is forwarded with it."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    calls, answer = store.calls["replace"], store.hold("replace")
    task = asyncio.create_task(process.coordinator.refreshed(session))
    await until(lambda: store.calls["replace"] == calls + 1)
    clock.advance(61)
    answer.set()
    found = await task
    assert found.tokens.access_token == "at.a.2"
    assert clock.now() < found.tokens.expires_at


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize(
    "first_answer", [None, Answer({"error": "invalid_request"}, status=400)], ids=["yes", "no"]
)
async def test_an_op_that_is_back_is_back_for_everybody(
    process: Process, op: RotatingOp, clock: ManualClock, first_answer: Answer | None
) -> None:
    """The session that has failed most has to wait longest. The first that is answered shows that
    the outage is over, and the wait of the others with it."""
    unlucky, lucky = await process.log_in(op, "unlucky"), await process.log_in(op, "lucky")
    clock.advance(61)
    op.refuse = Answer({"error": "server_error"}, status=500)
    for _ in range(4):
        with pytest.raises(OpError):
            await process.coordinator.refreshed(unlucky)
        clock.advance(6)
    with pytest.raises(OpError):  # the fifth opens the breaker
        await process.coordinator.refreshed(unlucky)
    op.refuse = None
    clock.advance(1)  # the breaker lets one through by now
    calls = op.count("token")
    with pytest.raises(OpUnavailable):  # it still has its own wait, of 4 s at least
        await process.coordinator.refreshed(unlucky)
    assert op.count("token") == calls
    op.refuse = first_answer
    with contextlib.nullcontext() if first_answer is None else pytest.raises(RefreshRefused):
        await process.coordinator.refreshed(lucky)
    op.refuse = None
    assert (await process.coordinator.refreshed(unlucky)).tokens.access_token == "at.unlucky.1"


@pytest.mark.rule("TK-09")
async def test_one_sessions_success_does_not_end_the_wait_of_others(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """While the OP has been there all the time, a failure is that session's own."""
    failing, other = await process.log_in(op, "failing"), await process.log_in(op, "other")
    clock.advance(61)
    op.refuse = Answer({"error": "server_error"}, status=500)
    for _ in range(3):
        with pytest.raises(OpError):
            await process.coordinator.refreshed(failing)
        clock.advance(2)
    with pytest.raises(OpError):
        await process.coordinator.refreshed(failing)
    op.refuse = None
    await process.coordinator.refreshed(other)
    calls = op.count("token")
    with pytest.raises(OpUnavailable):
        await process.coordinator.refreshed(failing)
    assert op.count("token") == calls


@pytest.mark.rule("TK-09")
async def test_nothing_is_refreshed_in_the_background_while_the_op_is_left_alone(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """Requests that still have a good token ask for it with each call."""
    session = await process.log_in(op, "a")
    clock.advance(45)
    op.refuse = Answer({"error": "server_error"}, status=500)
    process.coordinator.refresh_soon(session)
    await until(lambda: process.metrics.exposition().count(b'outcome="failed"} 1.0') == 1)
    for _ in range(10):
        process.coordinator.refresh_soon(session)
        await asyncio.sleep(0)
    await process.coordinator.close(20)
    assert op.count("token") == 1
    clock.advance(0.5)
    process.coordinator.refresh_soon(session)
    await process.coordinator.close(20)
    assert op.count("token") == 2


@pytest.mark.rule("TK-06")
async def test_who_asks_after_the_refresh_gets_its_answer_and_asks_nobody(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """A request that has read the session before may still hold the old one."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    first = await process.coordinator.refreshed(session)
    again = await process.coordinator.refreshed(session)
    assert again.tokens == first.tokens
    assert op.count("token") == 1


async def test_a_refused_token_is_replaced_once(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """Not one that is new, and not the one that another request has had replaced meanwhile."""
    session = await process.log_in(op, "a")
    clock.advance(29)
    assert await process.coordinator.replaced(session) is None
    clock.advance(1)
    for _ in range(2):
        replaced = await process.coordinator.replaced(session)
        assert replaced is not None
        assert replaced.tokens.access_token == "at.a.1"
    assert op.count("token") == 1
