"""The cache of opened sessions: what it may serve, and the races it must lose."""

from dataclasses import replace

import pytest

from bff.model import Session, Tokens
from bff.sessions.cache import SessionCache

NOW = 1000.0
SECONDS = 5.0


def session(key: str = "k", version: int = 1) -> Session:
    return Session(
        key=key,
        version=version,
        issuer="https://op.example",
        sub="alice",
        sid=None,
        created_at=NOW,
        expires_at=NOW + 3600,
        idle_expires_at=NOW + 60,
        tokens=Tokens(f"at{version}", NOW, NOW + 300),
    )


@pytest.fixture
def cache() -> SessionCache:
    return SessionCache(entries=3, seconds=SECONDS)


def fill(cache: SessionCache, found: Session, now: float = NOW) -> None:
    cache.finish(cache.begin(found.key, now), found)


def test_what_was_read_is_served_while_fresh(cache: SessionCache) -> None:
    """For `seconds` from before the read began, not from when it ended."""
    ticket = cache.begin("k", NOW)
    cache.finish(ticket, session())
    assert cache.get("k", NOW) == session()
    assert cache.get("k", NOW + SECONDS - 0.1) == session()
    assert cache.get("k", NOW + SECONDS) is None
    assert cache.get("other", NOW) is None


def test_a_clock_set_back_makes_nothing_fresh(cache: SessionCache) -> None:
    """An entry from the future is not served for hours."""
    fill(cache, session())
    assert cache.get("k", NOW - 1) is None


@pytest.mark.parametrize(
    "found",
    [replace(session(), expires_at=NOW + 2), replace(session(), idle_expires_at=NOW + 2)],
    ids=["absolute", "idle"],
)
def test_what_has_expired_is_not_served(cache: SessionCache, found: Session) -> None:
    """Freshness is no life: both expiries count (SE-04, SE-05)."""
    fill(cache, found)
    assert cache.get("k", NOW + 1.9) is not None
    assert cache.get("k", NOW + 2) is None


def test_the_least_recently_used_go_first(cache: SessionCache) -> None:
    """Memory is bounded, whatever the number of sessions."""
    for key in "abc":
        fill(cache, session(key))
    cache.get("a", NOW)
    fill(cache, session("d"))
    assert [key for key in "abcd" if cache.get(key, NOW)] == ["a", "c", "d"]
    assert len(cache) == 3


def test_a_change_drops_the_older_entry_only(cache: SessionCache) -> None:
    """An own write stays cached when its echo comes back from the store."""
    fill(cache, session(version=2))
    cache.changed("k", 2)
    assert cache.get("k", NOW) == session(version=2)
    cache.changed("k", 3)
    assert cache.get("k", NOW) is None


def test_a_read_overtaken_by_a_change_is_not_kept(cache: SessionCache) -> None:
    """The stale fill: read at version 1, replaced, and only then answered."""
    ticket = cache.begin("k", NOW)
    cache.changed("k", 2)
    cache.finish(ticket, session(version=1))
    assert cache.get("k", NOW) is None


def test_a_read_that_saw_the_change_is_kept(cache: SessionCache) -> None:
    """News that is slower than the read does not cost another one."""
    ticket = cache.begin("k", NOW)
    cache.changed("k", 2)
    cache.finish(ticket, session(version=2))
    assert cache.get("k", NOW) == session(version=2)


def test_a_read_overtaken_by_the_end_is_not_kept(cache: SessionCache) -> None:
    """A logout while the record is on its way must not be forgotten (SE-06)."""
    reading, writing = cache.begin("k", NOW), cache.begin("k", NOW)
    cache.ended("k")
    cache.finish(reading, session(version=1))
    assert cache.get("k", NOW) is None
    cache.finish(writing, session(version=2))
    assert cache.get("k", NOW) is None


def test_the_end_of_one_session_leaves_others_alone(cache: SessionCache) -> None:
    """Also those being read."""
    fill(cache, session("a"))
    ticket = cache.begin("b", NOW)
    cache.ended("k")
    cache.finish(ticket, session("b"))
    assert cache.get("a", NOW)
    assert cache.get("b", NOW)


def test_a_gap_in_the_news_voids_all(cache: SessionCache) -> None:
    """What was cached, and what is being read."""
    fill(cache, session("a"))
    ticket = cache.begin("b", NOW)
    cache.clear()
    cache.finish(ticket, session("b"))
    assert cache.get("a", NOW) is None
    assert cache.get("b", NOW) is None


def test_the_read_that_began_last_wins(cache: SessionCache) -> None:
    """Answers may arrive in another order than they were asked for."""
    first, second = cache.begin("k", NOW), cache.begin("k", NOW + 1)
    cache.finish(second, session(version=2))
    cache.finish(first, session(version=1))
    assert cache.get("k", NOW + 2) == session(version=2)


def test_an_absent_record_drops_the_entry(cache: SessionCache) -> None:
    """And a failed read does, but not what a later one found."""
    fill(cache, session())
    cache.finish(cache.begin("k", NOW), None)
    assert cache.get("k", NOW) is None
    early = cache.begin("k", NOW)
    fill(cache, session())
    cache.finish(early, None)
    assert cache.get("k", NOW) == session()


def test_activity_moves_the_idle_expiry_only(cache: SessionCache) -> None:
    """Forward, on the entry as it is now: newer tokens stay."""
    fill(cache, session(version=2))
    cache.move_idle("k", NOW + 90)
    cache.move_idle("k", NOW + 70)
    cache.move_idle("other", NOW + 70)
    assert cache.get("k", NOW) == replace(session(version=2), idle_expires_at=NOW + 90)
    assert len(cache) == 1


def test_tickets_leave_nothing_behind(cache: SessionCache) -> None:
    """Reads of a million unknown keys don't fill the memory."""
    for n in range(100):
        cache.finish(cache.begin(str(n), NOW), None)
    assert not cache._tickets
    assert len(cache) == 0


def test_what_is_vouched_for_need_not_be_read_again() -> None:
    """While the stream of changes is known to be whole, age alone makes nothing stale."""
    cache = SessionCache(entries=10, seconds=5)
    cache.finish(cache.begin("k", 100.0), session("k"))
    assert cache.get("k", 106.0) is None
    cache.vouch(103.0)
    assert cache.get("k", 106.0) is not None
    assert cache.get("k", 108.0) is None
    cache.vouch(102.0)
    assert cache.get("k", 107.5) is not None, "an older proof takes nothing back"
    assert [at for _, at in cache] == [103.0]
