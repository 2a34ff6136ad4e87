"""Retry-After, bounded."""

import time

import pytest

from bff.oidc.provider.http import retry_after_seconds, said_at_seconds

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 5),
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("86400", 120),
        ("9" * 10, 120),
        ("9" * 11, 5),
        ("9" * 5000, 5),
        ("-1", 5),
        ("1.5", 5),
        ("", 5),
        ("soon", 5),
        ("Mon, 01 Jan 2024 00:00:00 +9999999999999999", 5),
        ("³", 5),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 1),
        ("Tue, 14 Nov 2033 22:00:00 GMT", 120),
        ("Tue, 99 Nov 2023 22:00:00 GMT", 5),
    ],
)
def test_any_value_becomes_a_bounded_wait(value: str | None, seconds: int) -> None:
    """RFC 9110 section 10.2.3."""
    assert retry_after_seconds(value, NOW) == seconds


@pytest.mark.parametrize(
    ("date", "age", "said_at"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", None, NOW),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "30", NOW + 30),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "-1", NOW),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "9" * 11, NOW),
        (None, "30", None),
        ("", None, None),
        ("soon", None, None),
        ("Tue, 99 Nov 2023 22:00:00 GMT", None, None),
        ("Mon, 01 Jan 2024 00:00:00 +9999999999999999", None, None),
    ],
)
def test_when_an_answer_was_sent_is_told_or_not_known(
    date: str | None, age: str | None, said_at: float | None
) -> None:
    """RFC 9110 section 6.6.1, RFC 9111 section 5.1."""
    assert said_at_seconds(date, age) == said_at


def test_a_date_without_a_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 5.6.7: whatever zone the machine is in."""
    monkeypatch.setenv("TZ", "UTC-9")
    time.tzset()
    try:
        assert retry_after_seconds("Tue, 14 Nov 2023 22:13:50 -0000", NOW) == 30
    finally:
        monkeypatch.undo()
        time.tzset()
