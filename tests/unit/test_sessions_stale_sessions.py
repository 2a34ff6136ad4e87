"""Going on while the store is down: only if so configured, only for a while, never after an end."""

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.model import Session, Tokens
from bff.sessions.cache import StaleSessions


def a_session(clock: ManualClock, key: str = "k") -> Session:
    now = clock.now()
    return Session(
        key, 1, "https://op", "alice", None, now, now + 9000, now + 900, Tokens("at", now, now + 60)
    )


class Store:
    """Reads what it is told, or fails."""

    def __init__(self, session: Session | None) -> None:
        self.session = session
        self.down = False
        self.reads = 0

    async def read(self, _key: str) -> Session | None:
        self.reads += 1
        if self.down:
            raise StoreUnavailable("down")
        return self.session


async def test_what_was_read_goes_on_for_the_configured_time() -> None:
    clock = ManualClock()
    store = Store(a_session(clock))
    known = StaleSessions(clock, seconds=60, entries=10)
    assert await known.fall_back("k", store.read) is store.session
    store.down = True
    clock.advance(60)
    assert await known.fall_back("k", store.read) is store.session
    clock.advance(1.5)
    with pytest.raises(StoreUnavailable):
        await known.fall_back("k", store.read)


async def test_the_store_is_left_alone_for_a_second_after_a_failure() -> None:
    clock = ManualClock()
    store = Store(a_session(clock))
    known = StaleSessions(clock, seconds=60, entries=10)
    await known.fall_back("k", store.read)
    store.down = True
    for _ in range(10):
        await known.fall_back("k", store.read)
    assert store.reads == 2
    store.down = False
    clock.advance(1)
    await known.fall_back("k", store.read)
    assert store.reads == 3


async def test_off_by_default_means_off() -> None:
    clock = ManualClock()
    store = Store(a_session(clock))
    known = StaleSessions(clock, seconds=0, entries=10)
    await known.fall_back("k", store.read)
    store.down = True
    with pytest.raises(StoreUnavailable):
        await known.fall_back("k", store.read)


async def test_an_ended_or_expired_session_does_not_go_on() -> None:
    clock = ManualClock()
    store = Store(a_session(clock))
    known = StaleSessions(clock, seconds=3600, entries=10)
    await known.fall_back("k", store.read)
    known.forget("k")
    store.down = True
    with pytest.raises(StoreUnavailable):
        await known.fall_back("k", store.read)
    store.down = False
    clock.advance(1)
    await known.fall_back("k", store.read)
    store.down = True
    clock.advance(901)  # past its idle expiry
    with pytest.raises(StoreUnavailable):
        await known.fall_back("k", store.read)


@pytest.mark.rule("SE-06")
async def test_a_session_that_the_store_had_no_more_does_not_go_on() -> None:
    """It ended elsewhere before the store went away, and this process has seen that."""
    clock = ManualClock()
    store = Store(a_session(clock))
    known = StaleSessions(clock, seconds=3600, entries=10)
    await known.fall_back("k", store.read)
    found, store.session = store.session, None
    assert await known.fall_back("k", store.read) is None
    store.session, store.down = found, True
    with pytest.raises(StoreUnavailable):
        await known.fall_back("k", store.read)


async def test_memory_is_bounded() -> None:
    clock = ManualClock()
    store = Store(a_session(clock))
    known = StaleSessions(clock, seconds=60, entries=2)
    for key in ("a", "b", "c"):
        store.session = a_session(clock, key)
        await known.fall_back(key, store.read)
    store.down = True
    with pytest.raises(StoreUnavailable):
        await known.fall_back("a", store.read)
    assert await known.fall_back("c", store.read) is store.session
