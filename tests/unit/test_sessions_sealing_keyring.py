"""Sealing: what opens, and all that does not."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.sessions.sealing.keyring import Keyring, RecordOwner
from tests.parts.record_owner import OWNER

OLD = "an old secret of at least 32 bytes, or more"
NEW = "a new secret of at least 32 bytes, or more"
OVERHEAD = 1 + 8 + 12 + 16

keyring = Keyring([NEW, OLD], OWNER)


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


OTHER_OWNERS = [
    RecordOwner("https://op.example/", "spa"),
    RecordOwner("https://op.example", "SPA"),
    RecordOwner("https://op.examplespa", ""),
    RecordOwner("https://op.example", "spa", "shop"),
]


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize("other", OTHER_OWNERS)
def test_what_was_made_for_another_client_does_not_open(other: RecordOwner) -> None:
    """With the same secrets, and also when its key id is put in the place of ours."""
    elsewhere = Keyring([NEW, OLD], other)
    sealed, ours = elsewhere.seal("session", "a", b"tokens"), keyring.seal("session", "a", b"")
    assert elsewhere.open("session", "a", sealed) == b"tokens"
    assert keyring.open("session", "a", sealed) is None
    assert keyring.open("session", "a", ours[:9] + sealed[9:]) is None
    assert keyring.owner_of(sealed) is None


@pytest.mark.parametrize("other", OTHER_OWNERS)
def test_no_two_owners_share_a_name(other: RecordOwner) -> None:
    """What is found by a name is found by its owner; frontends of one client share some names."""
    assert other.name_for_frontend("a") != OWNER.name_for_frontend("a")
    is_same_client = (other.issuer, other.client_id) == (OWNER.issuer, OWNER.client_id)
    assert (other.name_for_client("a") == OWNER.name_for_client("a")) == is_same_client
    assert OWNER.name_for_client("default", "a") != OWNER.name_for_frontend("a")
    assert OWNER.name_for_client("a", "bc") != OWNER.name_for_client("ab", "c")


def test_own_is_what_our_listed_secrets_sealed() -> None:
    """Damaged or not; another secret's, an earlier format's and an empty one are not."""
    sealed = keyring.seal("session", "a", b"tokens")
    assert keyring.owner_of(sealed) == OWNER
    assert keyring.owner_of(sealed[:-1]) == OWNER
    assert keyring.owner_of(Keyring([OLD], OWNER).seal("session", "a", b"")) == OWNER
    assert Keyring([OLD], OWNER).owner_of(sealed) is None
    assert keyring.owner_of(b"\x01" + sealed[1:]) is None
    assert keyring.owner_of(b"") is None


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
    sealed = Keyring([OLD], OWNER).seal("session", "a", b"tokens")
    assert Keyring([NEW, OLD], OWNER).open("session", "a", sealed) == b"tokens"
    assert Keyring([NEW], OWNER).open("session", "a", sealed) is None
    fresh = Keyring([NEW, OLD], OWNER).seal("session", "a", b"tokens")
    assert Keyring([NEW], OWNER).open("session", "a", fresh) == b"tokens"
    assert Keyring([OLD], OWNER).open("session", "a", fresh) is None


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
        Keyring(secrets, OWNER)


@pytest.mark.rule("FE-02")
def test_a_record_tells_which_frontend_it_is_of() -> None:
    """By its seal, which no other frontend's opens; what was made before there were frontends is
    that of `default`."""
    shop = dataclasses.replace(OWNER, frontend="shop")
    both = Keyring([NEW, OLD], OWNER, shop)
    before = keyring.seal("session", "a", b"before")
    sealed = both.seal("session", "a", b"tokens", frontend="shop")
    assert (both.owner_of(before), both.owner_of(sealed)) == (OWNER, shop)
    assert both.open("session", "a", before) == b"before"
    assert both.open("session", "a", sealed) == b"tokens"
    assert keyring.open("session", "a", sealed) is None
    assert both.open("session", "a", before[:9] + sealed[9:]) is None
    assert (both.first_of("shop"), both.first_of("default")) == (shop, OWNER)
    with pytest.raises(LookupError):
        both.first_of("crm")
    with pytest.raises(ValueError, match="two owners"):
        Keyring([NEW], OWNER, OWNER)
