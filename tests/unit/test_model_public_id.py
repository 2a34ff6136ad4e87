"""The public name of a session names it and nothing else."""

import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from bff.model import public_id
from bff.sessions.cookie import SessionCookie

KEYS = st.binary(max_size=16).map(lambda seed: hashlib.sha256(seed).hexdigest())


@given(KEYS, KEYS)
def test_it_is_22_characters_and_differs_with_the_session(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", public_id(one))
    assert (public_id(one) == public_id(other)) is (one == other)


def test_it_is_the_same_for_every_process_and_release() -> None:
    """Lists made by one gateway name sessions for another."""
    assert public_id("0" * 64) == "PTdPZN1k_L8xWtR2yaJfww"


@given(KEYS)
def test_it_is_no_session_id(key: str) -> None:
    """No cookie the gateway would take, and no key the store would find."""
    assert SessionCookie("bff", ["s" * 32]).key_of(public_id(key)) is None
    assert not re.fullmatch(r"[0-9a-f]{64}", public_id(key))
