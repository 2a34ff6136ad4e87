"""A session whose refresh fails is left alone for a while, longer each time."""

import pytest

from bff.clock import ManualClock
from bff.tokens.backoff import MAX_KEYS, Backoff


def test_each_failure_waits_longer_up_to_the_limit() -> None:
    clock = ManualClock()
    backoff = Backoff(clock, first_seconds=1, longest_seconds=8)
    waits = []
    for _ in range(8):
        backoff.failed("s")
        waits.append(backoff.remaining_seconds("s"))
    for wait, ceiling in zip(waits, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert ceiling / 2 <= wait <= ceiling


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
