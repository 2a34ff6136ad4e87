"""The published form of heartbeats, and which of our own have come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.sessions.messages import Heartbeat, decode_heartbeat, encode_heartbeat
from bff.sessions.redis.heartbeats import OwnHeartbeats

NAME = "0123456789abcdef"


def test_the_form_on_the_channel() -> None:
    """Fixed: processes of two releases talk to each other."""
    heartbeat = Heartbeat(NAME, 7, 6, True, "ab12", 1, 3)
    assert encode_heartbeat(heartbeat) == "1 0123456789abcdef 7 6 1 1/3 ab12"
    assert decode_heartbeat(encode_heartbeat(heartbeat).encode()) == heartbeat


@pytest.mark.parametrize(
    "message",
    [None, 7, "1 0123456789abcdef 7 6 1 1/3 -", b"", b"2 0123456789abcdef 7 6 1 1/3 -",
     b"1 0123456789abcdeg 7 6 1 1/3 -", b"1 0123456789abcdef -7 6 1 1/3 -",
     b"1 0123456789abcdef 7 6 2 1/3 -", b"1 0123456789abcdef 7 6 1 1/3 a b"],
)  # fmt: skip
def test_anything_else_is_no_beat(message: object) -> None:
    assert decode_heartbeat(message) is None


@given(st.binary())
def test_garbage_is_no_beat_and_no_failure(message: bytes) -> None:
    assert decode_heartbeat(message) is None


def test_a_beat_is_back_when_all_of_its_parts_are() -> None:
    own = OwnHeartbeats()
    number = own.next(100.0)
    own.sending(2)
    assert own.came_back(Heartbeat(own.process, number, 0, True, "-", 1, 2)) is None
    assert own.came_back(Heartbeat(own.process, number, 0, True, "-", 1, 2)) is None, "the same one"
    assert own.heard == 0
    assert own.came_back(Heartbeat(own.process, number, 0, True, "-", 0, 2)) == 100.0
    assert own.heard == number


def test_an_earlier_beat_proves_nothing() -> None:
    """One that comes late, or from before the stream was taken up again."""
    own = OwnHeartbeats()
    early = own.next(100.0)
    own.sending(1)
    late = own.next(101.0)
    own.sending(1)
    assert own.came_back(Heartbeat(own.process, early, 0, True, "-")) is None
    own.heard = early
    own.begin_anew()
    assert own.heard == 0
    assert own.came_back(Heartbeat(own.process, late, 0, True, "-")) is None
