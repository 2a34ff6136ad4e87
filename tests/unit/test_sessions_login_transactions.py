"""Login transactions: sealed, bound to their state, single use, in time."""

import dataclasses

import pytest

from bff.clock import ManualClock
from bff.model import LoginTransaction
from bff.sessions.memory import MemoryStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sealing.records import encode_login
from bff.sessions.single_use import LoginTransactions
from tests.parts.record_owner import OWNER

OLD = "an old secret of at least 32 bytes, or more"
NEW = "a new secret of at least 32 bytes, or more"


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock)


def transactions(store: MemoryStore, clock: ManualClock, *secrets: str) -> LoginTransactions:
    return LoginTransactions(store, Keyring(secrets or [NEW], OWNER), clock, ttl_seconds=600, cap=2)


def login(clock: ManualClock, verifier: str = "verifier") -> LoginTransaction:
    return LoginTransaction(
        issuer="https://op.example",
        code_verifier=verifier,
        nonce="nonce",
        binder_hash="binder",
        return_url="/",
        created_at=clock.now(),
        acr_values=("gold",),
    )


@pytest.mark.rule("AZ-03")
@pytest.mark.rule("AZ-06")
async def test_a_transaction_is_taken_once_by_its_state(
    store: MemoryStore, clock: ManualClock
) -> None:
    """Another state, a longer one, or the same again find nothing."""
    logins = transactions(store, clock)
    await logins.put("state", login(clock))
    for wrong in ("", "stat", "state ", "STATE", "state\ud800"):
        assert await logins.take(wrong) is None
    assert await logins.take("state") == login(clock)
    assert await logins.take("state") is None


@pytest.mark.rule("AZ-05")
async def test_each_tab_has_its_own(store: MemoryStore, clock: ManualClock) -> None:
    """Parallel logins keep their verifiers apart; past the cap the oldest goes."""
    logins = transactions(store, clock)
    for state in ("a", "b", "c"):
        await logins.put(state, login(clock, verifier=state))
    assert await logins.take("c") == login(clock, verifier="c")
    assert await logins.take("b") == login(clock, verifier="b")
    assert await logins.take("a") is None


@pytest.mark.rule("SE-02")
async def test_a_login_learns_which_session_the_one_before_it_made(
    store: MemoryStore, clock: ManualClock
) -> None:
    """In the same browser, for as long as a login may be open; none is dropped for it."""
    logins = transactions(store, clock)
    for state in ("a", "b"):
        await logins.put(state, login(clock))
    assert await logins.replace_outcome("binder", "first") is None
    assert await logins.replace_outcome("another", "elsewhere") is None
    assert await logins.replace_outcome("binder", "second") == "first"
    assert await logins.take("a") is not None
    clock.advance(600)
    assert await logins.replace_outcome("binder", "third") is None


@pytest.mark.rule("AZ-03")
async def test_an_old_transaction_is_none(store: MemoryStore, clock: ManualClock) -> None:
    """Ten minutes, by our clock, whatever the store still has."""
    logins = transactions(store, clock)
    await logins.put("state", login(clock))
    long_lived = LoginTransactions(store, Keyring([NEW], OWNER), clock, ttl_seconds=9999, cap=10)
    await long_lived.put("other", login(clock))
    clock.advance(600)
    assert await logins.take("state") is None
    assert await logins.take("other") is None


async def test_the_store_learns_neither_state_nor_verifier(
    store: MemoryStore, clock: ManualClock
) -> None:
    """Its content is of no use to a reader of the store."""
    await transactions(store, clock).put("the-state", login(clock, verifier="the-verifier"))
    [(state_key, kept)] = store._logins.items()
    assert "the-state" not in state_key
    assert b"verifier" not in kept.sealed
    assert b"op.example" not in kept.sealed


async def test_a_moved_transaction_does_not_open(store: MemoryStore, clock: ManualClock) -> None:
    """One login's verifier can't be put under another's state."""
    logins = transactions(store, clock)
    await logins.put("a", login(clock))
    await logins.put("b", login(clock))
    first, second = store._logins.values()
    first.sealed, second.sealed = second.sealed, first.sealed
    assert await logins.take("a") is None
    assert await logins.take("b") is None


@pytest.mark.rule("OP-03")
async def test_a_login_survives_a_rotation(store: MemoryStore, clock: ManualClock) -> None:
    """A user who is at the OP's form while secrets rotate comes back to a login."""
    await transactions(store, clock, OLD).put("a", login(clock))
    await transactions(store, clock, OLD).put("b", login(clock))
    assert await transactions(store, clock, NEW, OLD).take("a") is not None
    assert await transactions(store, clock, NEW).take("b") is None


async def test_an_unreadable_transaction_is_none(store: MemoryStore, clock: ManualClock) -> None:
    """Sealed by us, but by a release that wrote something else: a fresh login, not a 500."""
    logins = transactions(store, clock)
    await logins.put("state", login(clock))
    [(state_key, kept)] = store._logins.items()
    kept.sealed = Keyring([NEW], OWNER).seal("login", state_key, b'{"format":1}')
    assert await logins.take("state") is None


@pytest.mark.rule("FE-03")
async def test_a_login_of_one_frontend_is_no_login_of_another(
    store: MemoryStore, clock: ManualClock
) -> None:
    """Neither by its state nor, were it moved to the place of one of theirs, by its seal."""
    keyring = Keyring([NEW], OWNER, dataclasses.replace(OWNER, frontend="shop"))
    here, there = (
        LoginTransactions(store, keyring, clock, ttl_seconds=600, cap=2, frontend=name)
        for name in ("default", "shop")
    )
    await here.put("the-state", login(clock))
    assert await there.take("the-state") is None
    assert await here.take("the-state") is not None
    place = there._state_key("the-state")
    moved = keyring.seal("login", place, encode_login(login(clock)), frontend="default")
    await store.put_login(place, moved, browser_key="b", ttl_seconds=600, cap=2)
    assert await there.take("the-state") is None
    assert await here.replace_outcome("binder", "one") is None
    assert await there.replace_outcome("binder", "two") is None
    assert await here.replace_outcome("binder", "three") == "one"
