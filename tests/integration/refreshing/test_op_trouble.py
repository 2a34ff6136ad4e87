"""An OP that gives way: it hangs, it is away, it answers what can't be used; and its return."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from bff.clock import ManualClock
from bff.errors import OpError, OpUnavailable, RefreshRefused, SessionEnded
from bff.sessions.memory import MemoryStore
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import INVALID_GRANT, RotatingOp
from tests.parts.scripted_op import Answer
from tests.parts.scripted_store import ScriptedStore
from tests.polling import until


@pytest.mark.rule("TK-09")
async def test_an_op_that_hung_is_heard_out(op: RotatingOp, clock: ManualClock) -> None:
    """It has spent the token by the time it answers: a client that had hung up, as at the timeout
    of every other call, would come back with a spent one and lose the grant."""
    async with a_process(MemoryStore(clock), op, clock, timeout_seconds=1) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        task = await process.refreshing(session, op)
        await asyncio.wait([task], timeout=2)
        op.deliver.set()
        assert (await task).tokens.refresh_token == op.current["a"]
        assert op.reused == []


@pytest.mark.rule("TK-09")
async def test_an_outage_keeps_no_caller_from_a_refresh_that_is_under_way(
    process: Process, store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> None:
    """The OP has answered it, and fails others while the store takes its time."""
    session = await process.log_in(op, "a")
    others = [await process.log_in(op, f"other{number}") for number in range(5)]
    clock.advance(61)
    calls, answer = store.calls["replace"], store.hold("replace")
    first = asyncio.create_task(process.coordinator.refreshed(session))
    await until(lambda: store.calls["replace"] == calls + 1)
    op.refuse = Answer({"error": "server_error"}, status=500)
    for other in others:
        with pytest.raises(OpUnavailable):
            await process.coordinator.refreshed(other)
    asked = op.count("token")
    second = asyncio.create_task(process.coordinator.refreshed(session))
    await asyncio.sleep(0)
    answer.set()
    assert await second == await first
    assert op.count("token") == asked


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
    process: Process, op: RotatingOp, clock: ManualClock, outage: str
) -> None:
    """A minute of it, with twenty users who try ten times a second: five calls until the breaker
    opens, then one probe at a time, at least two and a half seconds apart when it goes on."""
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


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [("invalid_client", 401, "client_rejected"), ("server_error", 500, "failed")],
)
async def test_a_fault_of_the_operator_is_told_apart(
    process: Process, op: RotatingOp, clock: ManualClock, error: str, status: int, outcome: str
) -> None:
    """It is counted with the first refresh, long before the tokens in use run out."""
    session = await process.log_in(op, "a")
    clock.advance(45)  # due, not expired
    op.refuse = Answer({"error": error}, status=status)
    process.coordinator.refresh_soon(session)

    def counted() -> dict[str, float | None]:
        name, registry = "bff_refreshes_total", process.metrics.registry
        outcomes = ("client_rejected", "failed")
        return {
            one: registry.get_sample_value(name, {"outcome": one, "provider": "default"}) or 0
            for one in outcomes
        }

    await until(lambda: counted()[outcome] == 1)
    assert sum(value or 0 for value in counted().values()) == 1
    assert await process.sessions.load_fresh(session.key) is not None


async def test_a_refresh_is_counted_and_timed(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    session = await process.log_in(op, "a")
    clock.advance(61)
    task = await process.refreshing(session, op)
    clock.advance(3)
    op.deliver.set()
    await task
    value = process.metrics.registry.get_sample_value
    assert value("bff_refreshes_total", {"outcome": "ok", "provider": "default"}) == 1
    assert value("bff_refresh_duration_seconds_sum") == pytest.approx(3)


@pytest.mark.parametrize("outcome", ["rejected", "identity_mismatch"])
async def test_a_refresh_that_ends_the_session_is_counted_by_its_reason(
    process: Process, op: RotatingOp, clock: ManualClock, outcome: str
) -> None:
    session = await process.log_in(op, "a")
    clock.advance(61)
    if outcome == "rejected":
        op.refuse = INVALID_GRANT
    else:
        op.token_changes = {"id_token": op.id_token(sub="mallory")}
    with pytest.raises(SessionEnded):
        await process.coordinator.refreshed(session)
    counted = process.metrics.registry.get_sample_value
    assert counted("bff_refreshes_total", {"outcome": outcome, "provider": "default"}) == 1


@pytest.mark.rule("TK-09")
async def test_what_an_op_asks_for_is_kept_to(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """RFC 9110 section 10.2.3."""
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
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """At an OP that allows for it the token can be had for some seconds more. At one that does not
    the grant is lost with the answer, and the session ends with the next try: it is not kept
    up with tokens that no process has."""
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
    await until(lambda: b'outcome="failed",provider="default"} 1.0' in process.metrics.exposition())
    for _ in range(10):
        process.coordinator.refresh_soon(session)
        await asyncio.sleep(0)
    await process.coordinator.close(20)
    assert op.count("token") == 1
    clock.advance(0.5)
    process.coordinator.refresh_soon(session)
    await process.coordinator.close(20)
    assert op.count("token") == 2
