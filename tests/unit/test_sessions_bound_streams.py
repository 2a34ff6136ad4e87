"""What is bound to a session ends with it, once, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.model import Session, Tokens
from bff.sessions.bound_streams import EXPIRED, BoundStreams
from bff.sessions.sessions import Sessions
from tests.parts.scripted_store import ScriptedStore
from tests.polling import until


@pytest.fixture
async def bound_streams(sessions: Sessions, clock: ManualClock) -> AsyncIterator[BoundStreams]:
    opened = BoundStreams(sessions, clock)
    opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def session(sessions: Sessions, clock: ManualClock) -> Session:
    tokens = Tokens("at", clock.now(), clock.now() + 60, "rt")
    return await sessions.create("k", issuer="i", sub="s", sid=None, tokens=tokens)


@pytest.mark.rule("SE-06")
async def test_all_that_is_held_ends_once(
    sessions: Sessions, bound_streams: BoundStreams, session: Session
) -> None:
    """But not what was let go of before."""
    ended: list[str] = []
    bound_streams.hold(session, ended.append)
    bound_streams.hold(session, ended.append)
    with bound_streams.held(session, lambda _: ended.append("let go of")):
        assert bound_streams.count("k") == 3
    await sessions.end(session, "logout")
    assert ended == ["logout", "logout"]
    assert len(bound_streams) == 0


@pytest.mark.rule("SE-06")
async def test_one_that_fails_at_its_end_keeps_no_other_open(
    sessions: Sessions, bound_streams: BoundStreams, session: Session
) -> None:
    ended: list[str] = []

    def fail(_reason: str) -> None:
        ended.append("fails")
        raise RuntimeError("a fault of ours")

    for end in (fail, ended.append, fail, ended.append):
        bound_streams.hold(session, end)
    await sessions.end(session, "logout")
    assert sorted(ended) == ["fails", "fails", "logout", "logout"]


@pytest.mark.rule("SE-04")
async def test_a_look_that_fails_is_not_the_last(
    bound_streams: BoundStreams, session: Session, store: ScriptedStore, clock: ManualClock
) -> None:
    ended: list[str] = []
    bound_streams.hold(session, ended.append)
    store.faults["load"] = [RuntimeError("a fault of ours")]
    clock.advance(1800)
    await until(lambda: ended == [EXPIRED])


async def test_what_was_let_go_of_leaves_nothing_behind(
    bound_streams: BoundStreams, session: Session
) -> None:
    first, second = (bound_streams.hold(session, lambda _: None) for _ in range(2))
    first()
    first()
    assert (bound_streams.count("k"), len(bound_streams)) == (1, 1)
    second()
    assert (bound_streams.count("k"), len(bound_streams)) == (0, 0)


@pytest.mark.rule("SE-06")
async def test_a_session_that_had_ended_before_is_told_at_once(
    sessions: Sessions, bound_streams: BoundStreams, session: Session
) -> None:
    """But after `hold` has returned: the caller then has what it needs to let go."""
    await sessions.end(session, "logout")
    ended: list[str] = []
    bound_streams.hold(session, ended.append)
    assert ended == []
    await asyncio.sleep(0)
    assert ended == ["logout"]


@pytest.mark.rule("SE-04")
async def test_an_end_that_nothing_announces_is_found(
    bound_streams: BoundStreams, session: Session, clock: ManualClock
) -> None:
    ended: list[str] = []
    bound_streams.hold(session, ended.append)
    clock.advance(1800)
    await until(lambda: ended == [EXPIRED])


@pytest.mark.rule("SE-10")
async def test_a_store_that_is_away_ends_nothing(
    bound_streams: BoundStreams, session: Session, store: ScriptedStore, clock: ManualClock
) -> None:
    """It is looked at again later: a session in use elsewhere has not run out."""
    ended: list[str] = []
    bound_streams.hold(session, ended.append)
    await store.touch("k", idle_seconds=3000)
    store.faults["load"] = [StoreUnavailable("away")]
    clock.advance(1800)
    await until(lambda: not store.faults["load"])
    calls = store.calls["load"]
    await until(lambda: store.calls["load"] > calls)
    await asyncio.sleep(0)
    assert ended == []
    assert bound_streams.count("k") == 1


async def test_a_session_that_goes_on_is_not_looked_at_again_until_its_time_comes(
    bound_streams: BoundStreams,
    sessions: Sessions,
    session: Session,
    store: ScriptedStore,
    clock: ManualClock,
) -> None:
    """The store is asked once for each session, not once a second."""
    ended: list[str] = []
    bound_streams.hold(session, ended.append)
    await store.touch("k", idle_seconds=3500)
    clock.advance(1801)
    calls = store.calls["load"]
    await until(lambda: store.calls["load"] == calls + 2)  # and once for the word of its expiry
    tokens = Tokens("at", clock.now(), clock.now() + 60, "rt")
    other = await sessions.create("other", issuer="i", sub="s", sid=None, tokens=tokens)
    store.lose("other")
    clock.advance(60)  # memory can't vouch for it any more
    calls = store.calls["load"]
    bound_streams.hold(other, ended.append)
    await until(lambda: ended == [EXPIRED])
    assert store.calls["load"] == calls + 1


@pytest.mark.rule("SE-06")
async def test_after_a_gap_in_the_news_each_is_looked_at(
    bound_streams: BoundStreams, session: Session, store: ScriptedStore
) -> None:
    """The end may have been told while this process did not hear."""
    ended: list[str] = []
    bound_streams.hold(session, ended.append)
    del store._records["k"]
    store.break_stream()
    await until(lambda: ended == [EXPIRED])
