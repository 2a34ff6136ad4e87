"""What counts as said for good: the same answer to the same refresh token, three times, apart."""

import dataclasses

import pytest

from bff.clock import ManualClock
from bff.model import Session, Tokens
from bff.tokens.attempts import FINAL_COUNT, MAX_KEYS, SPACING_SECONDS, Refusals

SESSION = Session("k", 1, "i", "s", None, 0, 1e9, 1e9, Tokens("at", 0, 60, "rt"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


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
