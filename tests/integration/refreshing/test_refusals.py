"""An OP that says no to a refresh: when that ends a session, and when it does not."""

import asyncio
import dataclasses

import pytest

from bff.clock import ManualClock
from bff.errors import OpError, OpUnavailable, SessionEnded
from bff.model import Session
from tests.integration.refreshing.deployment import Deployment, revoked_at, stored
from tests.parts.refreshing import Process
from tests.parts.rotating_op import INVALID_GRANT, RotatingOp
from tests.parts.scripted_op import Answer
from tests.polling import HANG_SECONDS, until


@pytest.mark.rule("TK-08")
async def test_a_refusal_is_no_end_when_another_process_was_faster(deployment: Deployment) -> None:
    """`invalid_grant` speaks of the token that was sent, and the record has another one by now."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    deployment.op.refuse = INVALID_GRANT
    task = await first.refreshing(session, deployment.op)
    now = deployment.clock.now()
    newer = dataclasses.replace(
        session.tokens, access_token="newer", obtained_at=now, expires_at=now + 60
    )
    await second.sessions.replace(dataclasses.replace(session, tokens=newer))
    deployment.op.deliver.set()
    assert (await task).tokens.access_token == "newer"
    assert (await stored(first, session)).tokens.access_token == "newer"
    suspected = {"outcome": "reuse_suspected", "provider": "default"}
    assert first.figure("bff_refreshes_total", **suspected) == 1


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


@pytest.mark.rule("TK-08")
async def test_a_grant_that_is_dead_is_not_revoked(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """At many OPs the user's other sessions live on the same grant as one that has been replaced,
    and a revocation would end those as well."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    op.refuse = INVALID_GRANT
    with pytest.raises(SessionEnded):
        await process.coordinator.refreshed(session)
    await process.ender.close(HANG_SECONDS)
    assert revoked_at(op) == []


@pytest.mark.rule("TK-11")
async def test_another_user_s_identity_ends_the_session(deployment: Deployment) -> None:
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
    process: Process, op: RotatingOp, clock: ManualClock, name: str
) -> None:
    """Once the access token has expired, and the three are ten seconds apart. A browser that asks
    once a second costs three calls."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    op.refuse = REFUSALS[name]
    assert 20 <= await refusals(process, session, clock, 60) <= 22
    assert op.count("token") == 3
    assert await process.sessions.load_fresh(session.key) is None
    assert process.sessions.end_reason(session.key) == "grant_rejected"


@pytest.mark.rule("TK-08")
async def test_a_session_outlives_any_refusal_while_its_access_token_is_good(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """The refusals count all the same: with the token the session is over at once."""
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
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """It is replaced before it expires, as often as the OP says no; others may still take it."""
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
    process: Process, op: RotatingOp, clock: ManualClock, name: str
) -> None:
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
async def test_one_user_s_dead_grant_holds_up_no_other(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """An OP that refuses a refresh token is there: the circuit breaker is not for that."""
    dead = [await process.log_in(op, f"dead{number}") for number in range(9)]
    alive = await process.log_in(op, "alive")
    clock.advance(61)
    op.refuse = REFUSALS["Dex"]
    for session in dead:
        assert await refusals(process, session, clock, 1) == 1
    op.refuse = None
    assert (await process.coordinator.refreshed(alive)).tokens.access_token == "at.alive.1"


async def refresh_all(process: Process, sessions: list[Session]) -> list[type]:
    """What comes of each, one after the other."""
    coming = [process.coordinator.refreshed(session) for session in sessions]
    return [type((await asyncio.gather(one, return_exceptions=True))[0]) for one in coming]


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize("answer", ["tokens", "invalid_grant", "another identity", "refusal"])
async def test_an_op_that_answers_is_there_whatever_it_says(
    process: Process, op: RotatingOp, clock: ManualClock, answer: str
) -> None:
    """Failures before and after do not add up to an outage."""
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
