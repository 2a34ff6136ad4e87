"""Access tokens for single APIs, by the refresh token of the login: it stays strictly serial."""

import asyncio

import pytest

from bff.clock import ManualClock
from bff.errors import (
    ApiTokenDenied,
    ApiTokenRefused,
    BffError,
    OpAnswerMalformed,
    OpUnavailable,
    SessionEnded,
)
from bff.model import Session, Tokens, TokenTarget
from tests.integration.refreshing.deployment import Deployment, stored
from tests.parts.refreshing import Process
from tests.parts.rotating_op import INVALID_GRANT, RotatingOp
from tests.parts.scripted_op import Answer
from tests.polling import HANG_SECONDS

ORDERS = TokenTarget(resource="https://orders.example.test")
STOCK = TokenTarget(audience="stock", scope="stock.read")


async def log_in(process: Process, op: RotatingOp) -> Session:
    return await process.log_in(op, "g", resources=(ORDERS.resource,))


def token_of(session: Session, target: TokenTarget | None) -> str:
    tokens = session.tokens_for(target)
    assert tokens is not None
    return tokens.access_token


@pytest.mark.rule("FP-13")
async def test_each_api_has_a_token_of_its_own(process: Process, op: RotatingOp) -> None:
    """RFC 8707 section 2.2. That of the login stays as it is, with its scope; the refresh token
    that came is the next to be spent, whichever token is wanted then."""
    session = await log_in(process, op)
    first = await process.coordinator.refreshed(session, ORDERS)
    assert op.last("token").form == {
        "grant_type": "refresh_token",
        "refresh_token": "rt.g.0",
        "resource": "https://orders.example.test",
    }
    second = await process.coordinator.refreshed(first, STOCK)
    assert op.last("token").form == {
        "grant_type": "refresh_token",
        "refresh_token": "rt.g.1",
        "audience": "stock",
        "scope": "stock.read",
    }
    assert token_of(second, None) == "at.g.0"
    assert token_of(second, ORDERS) == "at.g.1@https://orders.example.test"
    assert token_of(second, STOCK) == "at.g.2@stock.read"
    assert (second.tokens.refresh_token, second.tokens.scope) == ("rt.g.2", session.tokens.scope)
    assert second.tokens.id_token == session.tokens.id_token
    assert (await stored(process, session)).api_tokens == second.api_tokens


async def test_what_its_id_token_says_of_the_login_is_taken_over(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """As at the login's own refresh; the ID token of the login itself stays."""
    session = await log_in(process, op)
    auth_time = int(clock.now())
    clock.advance(61)
    op.token_changes = {"id_token": op.id_token(acr="2", auth_time=int(clock.now()))}
    refreshed = await process.coordinator.refreshed(session, ORDERS)
    assert (refreshed.acr, refreshed.auth_time) == ("2", auth_time)
    assert refreshed.tokens.id_token == session.tokens.id_token
    assert await stored(process, session) == refreshed


@pytest.mark.rule("TK-06")
async def test_targets_wait_for_one_another(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """Ten callers of each of three tokens, at once: three refreshes, one after the other."""
    session = await log_in(process, op)
    clock.advance(61)  # the login's token has expired as well
    targets = (None, ORDERS, STOCK) * 10
    found = await asyncio.gather(
        *(process.coordinator.refreshed(session, target) for target in targets)
    )
    for target in (None, ORDERS, STOCK):
        tokens = {token_of(s, target) for s, t in zip(found, targets, strict=True) if t == target}
        assert len(tokens) == 1
    assert op.rotations("g") == op.count("token") == 3
    assert op.reused == []


@pytest.mark.rule("TK-06")
async def test_targets_of_two_processes_wait_for_one_another(
    deployment: Deployment, op: RotatingOp, clock: ManualClock
) -> None:
    """The lease is of the session, not of the token."""
    processes = [await deployment.process() for _ in range(2)]
    session = await log_in(processes[0], op)
    for number in range(1, 4):
        clock.advance(61)
        await asyncio.gather(
            *(
                process.coordinator.refreshed(session, target)
                for process in processes
                for target in (None, ORDERS, STOCK) * 3
            )
        )
        assert op.rotations("g") == 3 * number
    assert op.reused == []
    kept = await stored(processes[1], session)
    assert kept.tokens.refresh_token == op.current["g"]


async def test_its_life_is_watched_as_that_of_the_login(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """Good for 60 s, due 20 s before (less what is spread), and dropped when it is over."""
    session = await process.coordinator.refreshed(await log_in(process, op), ORDERS)
    clock.advance(39)
    assert await process.coordinator.refreshed(session, ORDERS) == session
    clock.advance(5)
    session = await process.coordinator.refreshed(session, ORDERS)
    assert token_of(session, ORDERS).startswith("at.g.2@")
    clock.advance(61)
    session = await process.coordinator.refreshed(session)
    assert session.api_tokens == {}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer({"error": "invalid_target"}, 400), ApiTokenRefused),
        (Answer({"error": "invalid_scope"}, 400), ApiTokenRefused),
        (Answer({"error": "invalid_request"}, 400), ApiTokenRefused),
        (Answer({"error": "not_of_any_rfc"}, 403), ApiTokenRefused),
        (Answer({"error": "invalid_target"}, 200), ApiTokenRefused),
        (Answer({"error": "access_denied"}, 403), ApiTokenDenied),
        (Answer({"error": "consent_required"}, 400), ApiTokenDenied),
        (Answer({"error": "interaction_required"}, 400), ApiTokenDenied),
    ],
)
async def test_a_refusal_is_of_one_token(
    process: Process, op: RotatingOp, clock: ManualClock, answer: Answer, error: type[BffError]
) -> None:
    """However often it is said, it ends no session, and the other tokens go on. It is asked for
    again after half a minute, not before."""
    session = await log_in(process, op)
    for _ in range(4):
        op.refuse = answer
        asked = op.count("token")
        for _ in range(3):
            with pytest.raises(BffError) as refused:
                await process.coordinator.refreshed(session, ORDERS)
            assert type(refused.value) is error
            process.coordinator.refresh_soon(session, ORDERS)
        assert op.count("token") == asked + 1
        op.refuse = None
        session = await process.coordinator.refreshed(session)
        session = await process.coordinator.refreshed(session, STOCK)
        clock.advance(31)
    assert token_of(await process.coordinator.refreshed(session, ORDERS), ORDERS)


@pytest.mark.rule("TK-08")
async def test_a_dead_grant_ends_the_session_whichever_token_was_wanted(
    process: Process, op: RotatingOp
) -> None:
    """It is the one refresh token that is dead."""
    session = await log_in(process, op)
    op.refuse = INVALID_GRANT
    with pytest.raises(SessionEnded):
        await process.coordinator.refreshed(session, ORDERS)
    assert await process.sessions.load(session.key) is None


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(b"", 500), OpUnavailable),
        (Answer(b"not json"), OpAnswerMalformed),
        (Answer({"access_token": "a b", "token_type": "Bearer"}), OpAnswerMalformed),
        (Answer({"access_token": "at", "token_type": "N_A"}), OpAnswerMalformed),
    ],
)
async def test_trouble_at_the_op_is_no_end(
    process: Process, op: RotatingOp, clock: ManualClock, answer: Answer, error: type[BffError]
) -> None:
    session = await log_in(process, op)
    op.refuse = answer
    with pytest.raises(error):
        await process.coordinator.refreshed(session, ORDERS)
    op.refuse = None
    clock.advance(5)
    assert token_of(await process.coordinator.refreshed(session, ORDERS), ORDERS)
    assert op.reused == []


@pytest.mark.rule("TK-08")
async def test_a_dead_grant_in_other_words_ends_a_session_that_only_calls_apis(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """Once the login's own token has expired its refresh is tried too, and its refusals count."""
    session = await log_in(process, op)
    op.refuse = Answer({"error": "invalid_request"}, 400)
    for times in range(1, 4):
        clock.advance(61)
        with pytest.raises(ApiTokenRefused):
            await process.coordinator.refreshed(session, ORDERS)
        await process.coordinator.close(HANG_SECONDS)  # waits for what runs in the background
        assert op.count("token") == 2 * times
    assert process.sessions.end_reason(session.key) == "grant_rejected"


async def test_a_refusal_refreshes_no_login_whose_own_token_is_good(
    process: Process, op: RotatingOp
) -> None:
    session = await log_in(process, op)
    op.refuse = Answer({"error": "invalid_request"}, 400)
    with pytest.raises(ApiTokenRefused):
        await process.coordinator.refreshed(session, ORDERS)
    await process.coordinator.close(HANG_SECONDS)
    assert op.count("token") == 1


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"", 500),
        Answer({"error": "unauthorized_client"}, 400),
        Answer({"access_token": "at", "token_type": "DPoP"}),
    ],
)
async def test_trouble_with_one_target_holds_up_no_other_token(
    process: Process, op: RotatingOp, clock: ManualClock, answer: Answer
) -> None:
    """However long it lasts: the OP still answers for the logins and the other APIs."""
    session = await log_in(process, op)
    op.refuse = answer
    for _ in range(6):
        with pytest.raises(BffError):
            await process.coordinator.refreshed(session, ORDERS)
        clock.advance(31)
    with pytest.raises(BffError):
        await process.coordinator.refreshed(session, ORDERS)
    op.refuse = None
    session = await process.coordinator.refreshed(session)
    assert token_of(await process.coordinator.refreshed(session, STOCK), STOCK)


async def test_a_refusal_for_one_target_does_not_end_the_pause_of_the_logins(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    session = await log_in(process, op)
    clock.advance(61)
    op.refuse = Answer(b"", 500)
    with pytest.raises(OpUnavailable):
        await process.coordinator.refreshed(session)
    op.refuse = Answer({"error": "invalid_target"}, 400)
    with pytest.raises(ApiTokenRefused):
        await process.coordinator.refreshed(session, ORDERS)
    asked = op.count("token")
    with pytest.raises(OpUnavailable):
        await process.coordinator.refreshed(session)
    assert op.count("token") == asked


@pytest.mark.rule("TK-07")
async def test_a_rotated_token_is_kept_though_the_answer_is_no_token(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    session = await log_in(process, op)
    op.token_changes = {"access_token": None}
    with pytest.raises(OpAnswerMalformed):
        await process.coordinator.refreshed(session, ORDERS)
    op.token_changes = {}
    clock.advance(5)
    session = await stored(process, session)
    assert (session.tokens.refresh_token, session.api_tokens) == ("rt.g.1", {})
    assert token_of(await process.coordinator.refreshed(session, ORDERS), ORDERS)
    assert op.reused == []


async def test_without_a_refresh_token_there_is_none(process: Process, op: RotatingOp) -> None:
    """And the session goes on with the token of its login."""
    now = op.clock.now()
    session = await process.sessions.create(
        "a" * 64, issuer=op.issuer, sub=op.sub, sid=None, tokens=Tokens("at", now, now + 60)
    )
    with pytest.raises(ApiTokenRefused) as refused:
        await process.coordinator.refreshed(session, ORDERS)
    assert "no refresh token" in refused.value.log_detail
    assert op.count("token") == 0
    assert await process.coordinator.replaced(session, ORDERS) is None
    assert await process.sessions.load(session.key) is not None


async def test_a_resource_that_the_login_did_not_ask_for_is_not_asked_for(
    process: Process, op: RotatingOp
) -> None:
    """A session that was there before the route: the refresh token is not put at risk."""
    session = await process.log_in(op, "g")
    with pytest.raises(ApiTokenRefused) as refused:
        await process.coordinator.refreshed(session, ORDERS)
    assert "did not ask" in refused.value.log_detail
    assert op.count("token") == 0
    assert token_of(await process.coordinator.refreshed(session, STOCK), STOCK)


async def test_one_that_an_api_refuses_is_replaced(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """That one alone, and none that was obtained only just now."""
    session = await process.coordinator.refreshed(await log_in(process, op), ORDERS)
    assert await process.coordinator.replaced(session, ORDERS) is None
    clock.advance(31)
    newer = await process.coordinator.replaced(session, ORDERS)
    assert newer is not None
    assert token_of(newer, ORDERS).startswith("at.g.2@")
    assert token_of(newer, None) == "at.g.0"
