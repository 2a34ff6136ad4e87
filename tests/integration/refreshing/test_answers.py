"""The answer to a refresh: odd lifetimes, missing tokens, and callers that come late."""

import asyncio
import dataclasses

import pytest
from structlog.testing import capture_logs

from bff.clock import ManualClock
from bff.errors import OpError, OpUnavailable, SessionEnded
from bff.sessions.memory import MemoryStore
from bff.tokens.coordinator import CoordinatorSettings
from tests.integration.refreshing.deployment import revoked_at, stored
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_store import ScriptedStore
from tests.polling import HANG_SECONDS, until

UNUSABLE: dict[str, dict[str, object]] = {
    "an access token with a space": {"access_token": "a b"},
    "no access token": {"access_token": None},
    "another token type": {"token_type": "DPoP"},
}


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("name", UNUSABLE)
async def test_an_answer_that_can_not_be_used_costs_no_rotated_token(
    process: Process, op: RotatingOp, clock: ManualClock, name: str
) -> None:
    """Its refresh token is stored, also when the store has to be waited for, and spent next; not at
    once, for the next answer will be no better."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    op.token_changes = UNUSABLE[name]
    for _ in range(2):
        with pytest.raises(OpError):
            await process.coordinator.refreshed(session)
        assert op.count("token") == 1
    kept = await stored(process, session)
    assert (kept.tokens.access_token, kept.tokens.refresh_token) == ("at.a.0", "rt.a.1")
    op.token_changes = {}
    clock.advance(30)
    found = await process.coordinator.refreshed(session)
    assert (found.tokens.access_token, found.tokens.refresh_token) == ("at.a.2", "rt.a.2")
    assert op.reused == []


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


async def test_a_caller_that_hangs_up_takes_no_refresh_from_the_others(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    session = await process.log_in(op, "a")
    clock.advance(61)
    first = await process.refreshing(session, op)
    second = asyncio.create_task(process.coordinator.refreshed(session))
    await asyncio.sleep(0)
    first.cancel()
    op.deliver.set()
    assert (await second).tokens.access_token == "at.a.1"
    assert op.count("token") == 1
    assert process.figure("bff_refreshes_avoided_total", by="same_process") == 1


async def test_a_session_without_a_refresh_token_ends_with_its_access_token(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """There is nothing left to revoke."""
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


async def test_what_a_refreshed_id_token_says_is_taken_over(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """Of its claims only those on the list; and no login is later than it was."""
    session = await process.log_in(op, "a")
    auth_time = int(clock.now())
    clock.advance(61)
    said = {"acr": "2", "auth_time": int(clock.now()), "name": "Alice", "groups": ["admin"]}
    op.token_changes = {"id_token": op.id_token(**said)}
    refreshed = await process.coordinator.refreshed(session)
    assert (refreshed.acr, refreshed.auth_time) == ("2", auth_time)
    assert refreshed.claims == {"name": "Alice"}
    assert await stored(process, session) == refreshed
    op.token_changes = {}
    clock.advance(61)
    again = await process.coordinator.refreshed(refreshed)
    assert again.claims == {"name": "Alice"}, "a refresh may bring fewer"


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
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """There is no other to be had, and other APIs may take it."""
    session = await process.log_in(op, "a")
    tokens = dataclasses.replace(session.tokens, refresh_token=None)
    without = await process.sessions.replace(dataclasses.replace(session, tokens=tokens))
    assert without is not None
    clock.advance(35)
    assert await process.coordinator.replaced(without) is None
    assert await stored(process, session) == without
    assert op.count("token") == 0


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


@pytest.mark.rule("TK-06")
async def test_a_call_after_the_refresh_gets_its_answer_without_the_op(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """A request that has read the session before may still hold the old one."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    first = await process.coordinator.refreshed(session)
    again = await process.coordinator.refreshed(session)
    assert again.tokens == first.tokens
    assert op.count("token") == 1


async def test_a_refresh_takes_its_lease_once(
    process: Process, store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> None:
    """Each time is a round trip to the store."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    await process.coordinator.refreshed(session)
    assert store.calls["acquire_lease"] == 1


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


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_a_refused_token_that_is_new_is_replaced_by_a_refresh_that_is_under_way_only(
    process: Process, op: RotatingOp, clock: ManualClock, *, is_under_way: bool
) -> None:
    """Short as its life may be: it is due, but was obtained only just now."""
    session = await process.log_in(op, "a")
    tokens = dataclasses.replace(session.tokens, expires_at=clock.now() + 24)
    short = await process.sessions.replace(dataclasses.replace(session, tokens=tokens))
    assert short is not None
    clock.advance(20)
    if not is_under_way:
        assert await process.coordinator.replaced(short) is None
        assert op.count("token") == 0
        return
    running = await process.refreshing(short, op)
    replacing = asyncio.create_task(process.coordinator.replaced(short))
    await asyncio.sleep(0)
    op.deliver.set()
    assert await replacing == await running


async def test_a_session_that_has_ended_has_no_other_token(
    process: Process, op: RotatingOp
) -> None:
    session = await process.log_in(op, "a")
    await process.ender.end(session, "logout")
    assert await process.coordinator.replaced(session) is None


async def test_a_fault_is_raised_to_the_caller(
    process: Process, store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> None:
    """Never a session without a good token."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    store.faults["load"] = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await process.coordinator.refreshed(session)


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
