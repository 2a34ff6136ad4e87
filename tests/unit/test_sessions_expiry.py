"""An end is told once, and what is kept for the telling stays within its bound."""

from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.model import Session, Tokens
from bff.sessions.expiry import ABSOLUTE, IDLE, LATER_SECONDS, ExpiryWatch
from bff.sessions.memory import MemoryStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.store import NewRecord
from tests.parts.record_owner import OWNER
from tests.parts.scripted_store import ScriptedStore
from tests.polling import until

IDLE_SECONDS = 600.0
Told = list[tuple[str, str]]


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


class Watch:
    """An `ExpiryWatch`, what it has told, and a way to wait until it has looked once more."""

    def __init__(self, store: ScriptedStore, clock: ManualClock) -> None:
        self.told: Told = []
        self._clock = clock
        self._looks = 0
        self.expiries = ExpiryWatch(store, clock, lambda *told: self.told.append(told))
        self.expiries.start()

    def expect(self, key: str, *, idle: float, absolute: float = 1000) -> None:
        """Both in seconds from now."""
        now = self._clock.now()
        self.expiries.expect(key, idle_expires_at=now + idle, expires_at=now + absolute)

    async def looked(self) -> Told:
        """What it has told by the time it has looked at all that is due now."""
        self._looks += 1
        last = (f"look {self._looks}", IDLE)  # of those due the last one
        self.expect(last[0], idle=-LATER_SECONDS)
        await until(lambda: last in self.told)
        return [told for told in self.told if not told[0].startswith("look")]


@pytest.fixture
async def watch(store: ScriptedStore, clock: ManualClock) -> AsyncIterator[Watch]:
    opened = Watch(store, clock)
    yield opened
    await opened.expiries.close()


@pytest.mark.rule("SE-04")
async def test_a_session_that_expired_is_told_a_little_later_with_its_reason(
    watch: Watch, clock: ManualClock
) -> None:
    watch.expect("idle", idle=1)
    watch.expect("absolute", idle=100, absolute=1)
    watch.expect("both", idle=1, absolute=1)
    clock.advance(1 + LATER_SECONDS - 0.1)
    assert await watch.looked() == []
    clock.advance(0.1)
    told = await watch.looked()
    assert sorted(told) == [("absolute", ABSOLUTE), ("both", ABSOLUTE), ("idle", IDLE)]


async def test_an_end_that_was_put_off_is_looked_for_later(
    watch: Watch, store: ScriptedStore, clock: ManualClock
) -> None:
    """By this process, or by another, as the record says."""
    watch.expect("here", idle=1)
    watch.expect("here", idle=5)
    watch.expect("here", idle=2)
    watch.expect("elsewhere", idle=1)
    for key in ("here", "elsewhere"):
        await store.create(
            key, NewRecord(b"", idle_seconds=5, expires_at=clock.now() + 1000, indexes=())
        )
    clock.advance(3)
    loads = store.calls["load"]
    assert await watch.looked() == []
    assert store.calls["load"] == loads + 2, "one of them, and what tells of the look"
    clock.advance(2 + LATER_SECONDS)
    assert sorted(await watch.looked()) == [("elsewhere", IDLE), ("here", IDLE)]


async def test_each_end_is_told_by_one_process(
    watch: Watch, store: ScriptedStore, clock: ManualClock
) -> None:
    another = Watch(store, clock)
    for one in (watch, another):
        for number in range(20):
            one.expect(str(number), idle=1)
    clock.advance(2)
    told = await watch.looked()
    await until(lambda: len(told) + len(another.told) >= 20)
    told = [*await watch.looked(), *another.told]
    assert sorted(told) == sorted((str(number), IDLE) for number in range(20))
    await another.expiries.close()


@pytest.mark.rule("SE-10")
async def test_what_the_store_does_not_say_is_not_told(
    watch: Watch, store: ScriptedStore, clock: ManualClock
) -> None:
    """It may have been ended meanwhile; nor is what the stream of changes may have told of."""
    watch.expect("unknown", idle=1)
    store.faults["load"] = [StoreUnavailable("away")]
    clock.advance(2)
    assert await watch.looked() == []
    watch.expect("missed", idle=1)
    watch.expiries.forget_all()
    watch.expect("next", idle=1)
    clock.advance(2)
    assert await watch.looked() == [("next", IDLE)]


async def create(sessions: Sessions, clock: ManualClock, key: str) -> Session:
    tokens = Tokens("at", clock.now(), clock.now() + 60, "rt")
    return await sessions.create(key, issuer="i", sub="s", sid=None, tokens=tokens)
