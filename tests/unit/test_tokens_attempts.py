"""Whether a refresh may begin, after those that failed; and what counts as said for good: the same
answer to the same refresh token, three times, apart."""

import dataclasses

import pytest

from bff.clock import ManualClock
from bff.errors import ClientRejected, OpError, OpUnavailable, RateLimited, RefreshRefused
from bff.limits.limiter import Limiter, Rate
from bff.model import Session, Tokens
from bff.observability.metrics import Metrics
from bff.sessions.memory import MemoryStore
from bff.tokens.attempts import FINAL_COUNT, MAX_KEYS, SPACING_SECONDS, Attempts, Refusals

SESSION = Session("k", 1, "i", "s", None, 0, 1e9, 1e9, Tokens("at", 0, 60, "rt"))


@pytest.fixture
def refusals(clock: ManualClock) -> Refusals:
    return Refusals(clock)


def test_the_third_is_final_if_they_are_apart(refusals: Refusals, clock: ManualClock) -> None:
    answers = []
    for _ in range(FINAL_COUNT):
        answers.append(refusals.is_final(SESSION, "no"))
        clock.advance(SPACING_SECONDS)
    assert answers == [False, False, True]


def test_answers_of_one_moment_are_one(refusals: Refusals, clock: ManualClock) -> None:
    for _ in range(10):
        assert not refusals.is_final(SESSION, "no")
    clock.advance(SPACING_SECONDS - 0.1)
    for _ in range(10):
        assert not refusals.is_final(SESSION, "no")
    clock.advance(0.1)
    for _ in range(10):
        assert not refusals.is_final(SESSION, "no")
    clock.advance(SPACING_SECONDS)
    assert refusals.is_final(SESSION, "no")


@pytest.mark.parametrize(
    ("session", "answer"),
    [
        (dataclasses.replace(SESSION, version=2), "no"),
        (dataclasses.replace(SESSION, key="other"), "no"),
        (SESSION, "another answer"),
    ],
)
def test_another_token_or_answer_begins_anew(
    refusals: Refusals, clock: ManualClock, session: Session, answer: str
) -> None:
    for _ in range(2):
        refusals.is_final(SESSION, "no")
        clock.advance(SPACING_SECONDS)
    assert not refusals.is_final(session, answer)


def test_what_was_forgotten_begins_anew(refusals: Refusals, clock: ManualClock) -> None:
    for _ in range(2):
        refusals.is_final(SESSION, "no")
        clock.advance(SPACING_SECONDS)
    refusals.forget("k")
    refusals.forget("never counted")
    assert not refusals.is_final(SESSION, "no")


def test_memory_is_bounded(refusals: Refusals, clock: ManualClock) -> None:
    """The session that has been silent longest goes first: it errs on the side of that session."""
    for _ in range(2):
        refusals.is_final(SESSION, "no")
        clock.advance(SPACING_SECONDS)
    for number in range(MAX_KEYS):
        refusals.is_final(dataclasses.replace(SESSION, key=str(number)), "no")
    assert not refusals.is_final(SESSION, "no")


@pytest.fixture
def attempts(clock: ManualClock, metrics: Metrics) -> Attempts:
    return Attempts(clock, Limiter("refresh", None, MemoryStore(clock), clock, metrics), metrics)


async def fail(attempts: Attempts, key: str, error: OpError | None = None) -> None:
    attempt = await attempts.spend(key, lambda: True)
    assert attempt is not None
    attempts.failed(key, attempt, error or OpUnavailable("no answer"))


def pause_of(attempts: Attempts, key: str) -> int | None:
    """For how long a caller is told to wait; None when it may begin."""
    if attempts.may_begin(key):
        attempts.require_begin(key)
        return None
    with pytest.raises(OpUnavailable) as left_alone:
        attempts.require_begin(key)
    return left_alone.value.retry_after


@pytest.mark.rule("TK-09")
async def test_a_session_whose_refresh_failed_is_left_alone_and_the_others_are_not(
    attempts: Attempts, clock: ManualClock
) -> None:
    await fail(attempts, "k", OpUnavailable("busy", asked_seconds=20))
    assert (pause_of(attempts, "k"), pause_of(attempts, "other")) == (20, None)
    attempts.answered("other")
    assert pause_of(attempts, "k") == 20, "it was the session that failed, not the OP"
    clock.advance(19.5)
    assert pause_of(attempts, "k") == 1
    clock.advance(0.5)
    assert pause_of(attempts, "k") is None
    await fail(attempts, "k")
    attempts.answered("k")
    assert pause_of(attempts, "k") is None


async def test_a_session_that_has_ended_leaves_nothing(attempts: Attempts) -> None:
    await fail(attempts, "k")
    refusal = RefreshRefused("no")
    assert [attempts.is_meant(SESSION, refusal) for _ in range(3)] == [False] * 3
    attempts.refused("k", refusal)
    attempts.forget("k")
    assert pause_of(attempts, "k") is None
    assert len(attempts._refusals._counts) == 0


@pytest.mark.rule("TK-09")
async def test_an_op_that_fails_is_left_alone_by_all_until_it_answers(
    attempts: Attempts, clock: ManualClock
) -> None:
    """Then those that failed because it did may ask at once."""
    for number in range(5):
        assert attempts.may_begin("other")
        await fail(attempts, str(number), ClientRejected("invalid_client"))
    assert pause_of(attempts, "other") == 30
    with pytest.raises(OpUnavailable) as left_alone:
        await attempts.spend("began before", lambda: True)
    assert left_alone.value.retry_after == 30
    clock.advance(30)
    assert await attempts.spend("other", lambda: True) is not None
    attempts.answered("other")
    assert [pause_of(attempts, str(number)) for number in range(5)] == [None] * 5
    assert await attempts.spend("0", lambda: True) is not None


async def test_what_is_not_safe_any_more_is_not_begun(attempts: Attempts) -> None:
    assert await attempts.spend("k", lambda: False) is None


async def test_a_refusal_puts_the_next_off(attempts: Attempts, clock: ManualClock) -> None:
    attempts.refused("k", RefreshRefused("no"))
    assert pause_of(attempts, "k") == SPACING_SECONDS
    assert pause_of(attempts, "other") is None
    clock.advance(SPACING_SECONDS)
    assert pause_of(attempts, "k") is None


async def test_each_failure_is_counted_by_its_kind(attempts: Attempts, metrics: Metrics) -> None:
    await fail(attempts, "k", ClientRejected("invalid_client"))
    await fail(attempts, "k")
    attempts.refused("k", RefreshRefused("no"))

    def counted(outcome: str) -> float | None:
        return metrics.registry.get_sample_value(
            "bff_refreshes_total", {"outcome": outcome, "provider": "default"}
        )

    assert (counted("client_rejected"), counted("failed")) == (1, 2)


@pytest.mark.rule("TK-09")
async def test_a_session_that_was_refreshed_too_often_is_not_refreshed(
    clock: ManualClock, metrics: Metrics
) -> None:
    limiter = Limiter("refresh", Rate(2, 60), MemoryStore(clock), clock, metrics)
    attempts = Attempts(clock, limiter, metrics)
    for _ in range(2):
        attempts.require_begin("k")
        assert await attempts.spend("k", lambda: True) is not None
    with pytest.raises(RateLimited):
        await attempts.spend("k", lambda: True)
    assert not attempts.may_begin("k")
    assert attempts.may_begin("other")
    with pytest.raises(RateLimited) as refused:
        attempts.require_begin("k")
    assert refused.value.retry_after == 30
    clock.advance(30)
    assert attempts.may_begin("k")
