"""A session whose refresh fails, and an OP that fails, are left alone for a while, longer each
time; the OP is then probed once."""

import pytest

from bff.clock import ManualClock
from bff.tokens.backoff import MAX_KEYS, Attempt, Backoff, Breaker

MANY = 200


def test_each_failure_waits_longer_up_to_the_limit() -> None:
    clock = ManualClock()
    backoff = Backoff(clock, first_seconds=1, longest_seconds=8)
    waits = []
    for _ in range(8):
        backoff.failed("s")
        waits.append(backoff.remaining_seconds("s"))
    for wait, ceiling in zip(waits, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert ceiling / 2 <= wait <= ceiling


def test_as_it_is_used_it_waits_for_half_a_minute_at_most() -> None:
    backoff = Backoff(ManualClock())
    backoff.failed("s")
    assert backoff.remaining_seconds("s") <= 0.5
    backoff.failed("s", retry_after=3600)
    assert backoff.remaining_seconds("s") == 30


def test_those_that_fail_together_do_not_come_back_together() -> None:
    """Their waits fill the second half of the longest one."""
    backoff = Backoff(ManualClock(), first_seconds=1)
    for number in range(MANY):
        backoff.failed(str(number))
    waits = [backoff.remaining_seconds(str(number)) for number in range(MANY)]
    assert 0.5 <= min(waits) < 0.6
    assert 0.9 < max(waits) <= 1


def test_keys_are_apart_and_success_forgets() -> None:
    backoff = Backoff(ManualClock())
    backoff.failed("a")
    assert backoff.remaining_seconds("a") > 0
    assert backoff.remaining_seconds("b") == 0
    backoff.succeeded("a")
    assert backoff.remaining_seconds("a") == 0


@pytest.mark.rule("TK-09")
def test_the_other_side_s_retry_after_is_respected_within_reason() -> None:
    backoff = Backoff(ManualClock(), longest_seconds=30)
    backoff.failed("s", retry_after=20)
    assert backoff.remaining_seconds("s") == pytest.approx(20)
    backoff.failed("s", retry_after=100_000)
    assert backoff.remaining_seconds("s") <= 30


def test_clearing_lets_everybody_try_again() -> None:
    backoff = Backoff(ManualClock())
    backoff.failed("a")
    backoff.clear()
    assert backoff.remaining_seconds("a") == 0


def test_memory_is_bounded() -> None:
    backoff = Backoff(ManualClock())
    for number in range(MAX_KEYS + 10):
        backoff.failed(str(number))
    assert backoff.remaining_seconds("0") == 0
    assert backoff.remaining_seconds(str(MAX_KEYS)) > 0


def begin(breaker: Breaker) -> Attempt:
    attempt = breaker.begin()
    assert attempt is not None, "not let through"
    return attempt


def opened(clock: ManualClock) -> Breaker:
    """First wait 1 s, longest 8 s."""
    breaker = Breaker(clock, threshold=3, first_seconds=1, longest_seconds=8)
    for attempt in [begin(breaker) for _ in range(3)]:
        breaker.failed(attempt)
    return breaker


def test_it_opens_after_its_threshold_and_not_before() -> None:
    breaker = Breaker(ManualClock(), threshold=3)
    attempts = [begin(breaker) for _ in range(3)]
    for attempt in attempts[:2]:
        breaker.failed(attempt)
        assert breaker.pause_seconds() == 0
    breaker.failed(attempts[2])
    assert breaker.pause_seconds() > 0
    assert breaker.begin() is None


def test_as_it_is_used_it_opens_after_five_failures_and_waits_for_five_seconds_at_most() -> None:
    clock = ManualClock()
    breaker = Breaker(clock)
    for _ in range(5):
        assert not breaker.is_open
        breaker.failed(begin(breaker))
    assert 0 < breaker.pause_seconds() <= 0.5
    clock.advance(0.5)
    begin(breaker)
    assert breaker.pause_seconds() == 5


def test_the_first_waits_of_many_processes_differ() -> None:
    """They fill the second half of the longest one: an OP that is back is not asked by all."""
    waits = [opened(ManualClock()).pause_seconds() for _ in range(MANY)]
    assert 0.5 <= min(waits) < 0.6
    assert 0.9 < max(waits) <= 1


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = Breaker(ManualClock(), threshold=3)
    for _ in range(5):
        breaker.failed(begin(breaker))
        breaker.failed(begin(breaker))
        assert not breaker.is_open
        breaker.succeeded()
    assert breaker.pause_seconds() == 0


@pytest.mark.rule("TK-09")
def test_failures_of_one_moment_are_one_outage() -> None:
    """However many refreshes were under way: what began before does not lengthen the wait."""
    clock = ManualClock()
    breaker = Breaker(clock, first_seconds=0.5)
    for attempt in [begin(breaker) for _ in range(MANY)]:
        breaker.failed(attempt)
    assert 0 < breaker.pause_seconds() <= 0.5


@pytest.mark.rule("TK-09")
def test_one_probe_at_a_time_and_each_failure_waits_longer() -> None:
    """The number of calls in an outage is bounded: one probe per wait, up to the longest wait."""
    clock = ManualClock()
    breaker = opened(clock)
    waits = []
    for _ in range(6):
        clock.advance(breaker.pause_seconds())
        probe = begin(breaker)
        assert [breaker.begin() for _ in range(MANY)] == [None] * MANY
        breaker.failed(probe)
        waits.append(breaker.pause_seconds())
    for wait, ceiling in zip(waits, [2, 4, 8, 8, 8, 8], strict=True):
        assert ceiling / 2 <= wait <= ceiling


def test_a_probe_that_succeeds_closes_it() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(1)
    begin(breaker)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.pause_seconds() == 0


def test_a_probe_of_an_outage_that_is_over_is_not_waited_for_in_the_next() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(1)
    begin(breaker)
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(begin(breaker))
    assert 0 < breaker.pause_seconds() <= 1


def test_an_answer_to_what_began_before_closes_it_too() -> None:
    """A slow OP that answers after all is there."""
    breaker = opened(ManualClock())
    breaker.succeeded()
    assert breaker.begin() is not None


def test_a_probe_without_an_answer_blocks_others_for_the_longest_wait_only() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(1)
    hanging = begin(breaker)
    clock.advance(7.9)
    assert breaker.begin() is None
    clock.advance(0.1)
    second = begin(breaker)
    breaker.failed(hanging)
    assert breaker.begin() is None, "an old probe's failure let others through"
    breaker.failed(second)
    assert breaker.pause_seconds() > 0


@pytest.mark.rule("TK-09")
def test_what_the_op_asks_for_is_respected_within_reason() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(1)
    breaker.failed(begin(breaker), asked_seconds=20)
    assert breaker.pause_seconds() == pytest.approx(20)
    clock.advance(20)
    breaker.failed(begin(breaker), asked_seconds=100_000)
    assert breaker.pause_seconds() <= 60
