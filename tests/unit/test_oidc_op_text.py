"""What of an OP's text reaches the log: enough to mend a setting, in ASCII, cut, and no claim."""

import pytest

from bff.oidc.provider.op_text import (
    LONGEST_NAME,
    away,
    differs,
    error_code,
    lacks,
    plain_code,
    quoted,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://op.test", "'https://op.test'"),
        ("\xe4\n'", '"\\xe4\\n\'"'),
        ("a" * LONGEST_NAME, f"'{'a' * LONGEST_NAME}'"),
        ("a" * (LONGEST_NAME + 1), f"'{'a' * LONGEST_NAME}'..."),
        (None, "nothing"),
        ({"a": 1}, "something that is no text"),
        (["b", "a", 7], "['a', 'b', something that is no text]"),
        (list("abcde"), "['a', 'b', 'c', 'd', 'e']"),
        (list("abcdef"), "['a', 'b', 'c', 'd', 'e', ...]"),
    ],
)
def test_a_name_is_quoted_escaped_and_cut(value: object, shown: str) -> None:
    assert quoted(value) == shown


def test_what_was_found_stands_beside_what_was_expected() -> None:
    assert differs("a", "b") == "'a' is not 'b'"
    assert lacks(["a"], "b") == "['a'] lacks 'b'"


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (None, "no time"),
        (90.0, "10 s ago by our clock"),
        (100.4, "in 0 s by our clock"),
        (160.0, "in 60 s by our clock"),
    ],
)
def test_a_time_is_told_as_its_distance_from_ours(time: float | None, said: str) -> None:
    assert away(time, 100.0) == said


@pytest.mark.parametrize("code", ["Invalid", "a" * 41, "a b", "", 7, None, "<b>"])
def test_a_code_that_is_no_plain_one_is_not_shown(code: object) -> None:
    assert plain_code(code) == error_code({"error": code}) == "unreadable"
    assert plain_code("invalid_grant") == error_code({"error": "invalid_grant"}) == "invalid_grant"
    assert error_code("invalid_grant") == "unreadable"
