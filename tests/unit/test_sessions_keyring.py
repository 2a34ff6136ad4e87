"""Sealing: what opens, and all that does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.sessions.keyring import Keyring

OLD = "an old secret of at least 32 bytes, or more"
NEW = "a new secret of at least 32 bytes, or more"
OVERHEAD = 1 + 8 + 12 + 16

keyring = Keyring([NEW, OLD])


@given(plaintext=st.binary(max_size=5000), purpose=st.text(max_size=9), key=st.text(max_size=70))
def test_what_was_sealed_opens_in_its_place(plaintext: bytes, purpose: str, key: str) -> None:
    """Any bytes, any place; 37 bytes longer and never the same twice."""
    sealed = keyring.seal(purpose, key, plaintext)
    assert keyring.open(purpose, key, sealed) == plaintext
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert keyring.seal(purpose, key, plaintext) != sealed


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize(
    ("purpose", "key"),
    [("session", "b"), ("login", "a"), ("sessio", "na"), ("sessiona", ""), ("session", "")],
)
def test_what_was_moved_does_not_open(purpose: str, key: str) -> None:
    """A record is bound to its purpose and its place, also where the two meet."""
    assert keyring.open(purpose, key, keyring.seal("session", "a", b"tokens")) is None


@pytest.mark.rule("SE-09")
def test_no_changed_bit_opens() -> None:
    """Version, key id, nonce, ciphertext and tag are all covered."""
    sealed = keyring.seal("session", "a", b"tokens")
    for position in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[position] ^= 1 << bit
            assert keyring.open("session", "a", bytes(changed)) is None
    for length in range(len(sealed)):
        assert keyring.open("session", "a", sealed[:length]) is None
    assert keyring.open("session", "a", sealed + b"\0") is None


@given(st.binary(max_size=200))
def test_garbage_does_not_open(sealed: bytes) -> None:
    """Never an error."""
    assert keyring.open("session", "a", sealed) is None
    genuine = keyring.seal("session", "a", b"")
    assert keyring.open("session", "a", genuine[:9] + sealed) is None


@pytest.mark.rule("OP-03")
def test_secrets_rotate() -> None:
    """What the old secret sealed opens while that is listed, and not after; the newest seals."""
    sealed = Keyring([OLD]).seal("session", "a", b"tokens")
    assert Keyring([NEW, OLD]).open("session", "a", sealed) == b"tokens"
    assert Keyring([NEW]).open("session", "a", sealed) is None
    fresh = Keyring([NEW, OLD]).seal("session", "a", b"tokens")
    assert Keyring([NEW]).open("session", "a", fresh) == b"tokens"
    assert Keyring([OLD]).open("session", "a", fresh) is None


@pytest.mark.rule("SE-09")
def test_the_envelope_tells_nothing() -> None:
    """Neither the content nor the secret, nor which secret it is beyond a derived id."""
    sealed = keyring.seal("session", "a", b"eyJhbGciOiJSUzI1NiJ9" * 10)
    assert b"eyJ" not in sealed
    assert NEW.encode()[:8] not in sealed
    assert NEW not in repr(keyring)


@pytest.mark.parametrize("secrets", [[], ["short"], [NEW, "x" * 31]])
def test_weak_secrets_are_refused(secrets: list[str]) -> None:
    """At least one, each of at least 32 bytes."""
    with pytest.raises(ValueError, match="secret"):
        Keyring(secrets)
