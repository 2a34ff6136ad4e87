"""An OP that fails is left alone for a while, longer each time, and then probed once."""

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


def test_a_breaker_opens_after_its_threshold_and_lets_one_probe_through() -> None:
    clock = ManualClock()
    breaker = Backoff(clock, first_seconds=2, threshold=3)
    for _ in range(2):
        breaker.failed("op")
        assert breaker.remaining_seconds("op") == 0
    breaker.failed("op")
    assert breaker.remaining_seconds("op") > 0
    clock.advance(60)
    assert breaker.remaining_seconds("op") == 0
    breaker.claim_probe("op")
    assert breaker.remaining_seconds("op") > 0
    breaker.succeeded("op")
    assert breaker.remaining_seconds("op") == 0


def test_memory_is_bounded() -> None:
    backoff = Backoff(ManualClock())
    for number in range(MAX_KEYS + 10):
        backoff.failed(str(number))
    assert backoff.remaining_seconds("0") == 0
    assert backoff.remaining_seconds(str(MAX_KEYS)) > 0
