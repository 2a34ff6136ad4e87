"""Retry-After, bounded."""

import pytest

from bff.oidc.http import retry_after_seconds

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
