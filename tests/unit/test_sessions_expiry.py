"""An end is told once, and what is kept for the telling stays within its bound."""

from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from bff.model import Session, Tokens
from bff.sessions.expiry import IDLE, ExpiryWatch
from bff.sessions.memory import MemoryStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from tests.parts.record_owner import OWNER
from tests.polling import until

IDLE_SECONDS = 600.0
Told = list[tuple[str, str]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def sessions(clock: ManualClock) -> AsyncIterator[Sessions]:
    keyring = Keyring(["a secret of at least 32 bytes, or some more"], OWNER)
    opened = Sessions(MemoryStore(clock), keyring, clock, SessionPolicy(IDLE_SECONDS, 36_000))
    await opened.start()
    yield opened
    await opened.close()


async def test_a_request_that_outlives_its_session_brings_no_second_end(
    sessions: Sessions, clock: ManualClock
) -> None:
    """It counts as activity after the logout, with the session that it began with."""
    told: Told = []
    sessions.observe(on_expired=lambda key, reason: told.append((key, reason)))
    gone = await create(sessions, clock, "a" * 64)
    clock.advance(IDLE_SECONDS / 2)
    other = await create(sessions, clock, "b" * 64)  # looked at after the first
    await sessions.end(gone, "logout")
    sessions.touch(gone)
    clock.advance(IDLE_SECONDS + 1)
    await until(lambda: (other.key, IDLE) in told)
    assert told == [(other.key, IDLE)]


async def test_ended_sessions_count_until_their_time_comes(clock: ManualClock) -> None:
    """Else logins and logouts in a row would fill the memory."""
    told: Told = []
    store = MemoryStore(clock)
    await store.start()
    expiries = ExpiryWatch(store, clock, lambda key, reason: told.append((key, reason)), most=2)
    for key in ("a", "b", "c"):
        expiries.expect(key, idle_expires_at=clock.now() + 1, expires_at=clock.now() + 100)
        if key != "c":
            expiries.forget(key)
    expiries.start()
    clock.advance(2)
    await until(lambda: not expiries._order)
    expiries.expect("d", idle_expires_at=clock.now() + 1, expires_at=clock.now() + 100)
    clock.advance(2)
    await until(lambda: told == [("d", IDLE)])
    await expiries.close()
    await store.close()


async def create(sessions: Sessions, clock: ManualClock, key: str) -> Session:
    tokens = Tokens("at", clock.now(), clock.now() + 60, "rt")
    return await sessions.create(key, issuer="i", sub="s", sid=None, tokens=tokens)
