"""The published form of changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.sessions.messages import CHANGED, ENDED, RELEASED, Change, decode_change, encode_change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Change(CHANGED, "ab12", "7"), b"1 c ab12 7"),
        (Change(RELEASED, "ab12"), b"1 l ab12 "),
        (Change(ENDED, "ab12", "grant_rejected"), b"1 e ab12 grant_rejected"),
        (Change(ENDED, "ab12", "two words"), b"1 e ab12 two words"),
    ],
)
def test_the_form_on_the_channel(change: Change, message: bytes) -> None:
    """Fixed: processes of two releases talk to each other."""
    assert encode_change(change).encode() == message
    assert decode_change(message) == change


def test_only_a_change_has_a_version() -> None:
    """A release says nothing of the record."""
    assert Change(CHANGED, "k", "7").version == 7
    assert Change(RELEASED, "k").version is None


@pytest.mark.parametrize(
    "message",
    [
        None,
        1,
        "1 c k 7",
        b"",
        b"1 c k",
        b"1 e k",
        b"1 e",
        b"2 c k 7",
        b"1 x k 7",
        b"1 c k x",
        b"1 c k -1",
        b"1 c k \xb2",
        b"1 c k " + b"9" * 5000,
    ],
)
def test_what_is_not_understood_is_none(message: object) -> None:
    """The caller then takes it for anything."""
    assert decode_change(message) is None


@given(st.binary() | st.binary().map(lambda rest: b"1 c k " + rest))
def test_garbage_is_none_or_a_change(message: bytes) -> None:
    """Never an error: any program may publish."""
    change = decode_change(message)
    assert change is None or change.version is None or change.version >= 0
