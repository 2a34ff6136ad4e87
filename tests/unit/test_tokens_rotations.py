"""What was rotated is kept, and told again to a store that has forgotten it; nothing else is."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from bff.clock import ManualClock
from bff.errors import SessionEnded, StoreUnavailable
from bff.model import Session, Tokens
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.store import StoredRecord
from bff.tokens.rotations import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    REMEMBER_SECONDS,
    RESTORED_AT_ONCE,
    Rotations,
)
from tests.parts.record_owner import OWNER
from tests.parts.scripted_store import ScriptedStore
from tests.polling import HANG_SECONDS, until
from tests.unit.conftest import SECRET


@pytest.fixture
async def sessions(store: ScriptedStore, clock: ManualClock) -> AsyncIterator[Sessions]:
    """They idle out no sooner than they end anyway."""
    opened = Sessions(store, Keyring([SECRET], OWNER), clock, SessionPolicy(3600, 3600))
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def rotations(sessions: Sessions, clock: ManualClock) -> AsyncIterator[Rotations]:
    opened = Rotations(sessions, clock)
    yield opened
    await opened.close()


def named(session: Session, name: str, at: float) -> Session:
    """With tokens of that name, obtained then."""
    return dataclasses.replace(session, tokens=Tokens(f"at{name}", at, at + 60, f"rt{name}"))


async def new_session(sessions: Sessions, clock: ManualClock, key: str = "k") -> Session:
    tokens = Tokens("at0", clock.now(), clock.now() + 60, "rt0")
    return await sessions.create(key, issuer="i", sub="s", sid=None, tokens=tokens)


async def rotated(
    rotations: Rotations, sessions: Sessions, session: Session, name: str, at: float
) -> Session:
    """As the coordinator keeps what the OP answered."""
    with rotations.under_way():
        kept = await rotations.keep(named(session, name, at))
    assert kept is not None
    return kept


async def stored(sessions: Sessions, key: str = "k") -> tuple[int, str | None]:
    """Version and refresh token of the record."""
    found = await sessions.load_fresh(key)
    assert found is not None
    return found.version, found.tokens.refresh_token


@pytest.mark.rule("TK-07")
async def test_what_the_store_has_lost_is_told_again(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """Whether it is noticed when the stream of changes comes back, or by a refresh."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    store.go_back("k", before)
    loaded = await sessions.load_fresh("k")
    assert loaded is not None
    found = await rotations.restored(loaded)
    assert found is not None
    assert found.tokens.refresh_token == "rt1"
    assert await stored(sessions) == (2, "rt1")
    for _ in range(2):  # rounds, one after the other
        store.go_back("k", before)
        store.break_stream()
        assert not store.said_saved[-1]
        await until(lambda: store.said_saved[-1])
        assert await stored(sessions) == (2, "rt1")


@pytest.mark.rule("TK-07")
async def test_a_rotation_for_the_token_of_one_api_is_told_again_as_well(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """The login's access token is the same in both records; the refresh token is not."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    tokens = dataclasses.replace(session.tokens, refresh_token="rt1")
    at = clock.now() + 1
    api_tokens = {"orders": Tokens("at1", at, at + 60)}
    with rotations.under_way():
        await rotations.keep(dataclasses.replace(session, tokens=tokens, api_tokens=api_tokens))
    store.go_back("k", before)
    loaded = await sessions.load_fresh("k")
    assert loaded is not None
    found = await rotations.restored(loaded)
    assert found is not None
    assert found.tokens.refresh_token == "rt1"


@pytest.mark.rule("TK-07")
async def test_two_that_restore_at_once_both_get_the_newest_tokens(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """The round after a failover and a refresh: one of them finds that it has been done, and must
    not go on with the spent token that it read before."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    store.go_back("k", before)
    loaded = await sessions.load_fresh("k")
    assert loaded is not None
    answers = await asyncio.gather(*(rotations.restored(loaded) for _ in range(2)))
    assert [found and found.tokens.refresh_token for found in answers] == ["rt1", "rt1"]
    assert await stored(sessions) == (2, "rt1")


@pytest.mark.rule("TK-07")
async def test_the_newest_of_what_several_processes_know_is_restored(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """The store has lost two refreshes. The process that knows of the first one only may come
    before the other, between its read and its write; its token is spent all the same."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    elsewhere = Sessions(store, Keyring([SECRET], OWNER), clock, SessionPolicy(3600, 3600))
    theirs = await elsewhere.replace(named(session, "1", clock.now() + 10))
    assert theirs is not None
    await rotated(rotations, sessions, theirs, "2", clock.now() + 20)
    store.go_back("k", before)
    loaded = await sessions.load_fresh("k")
    assert loaded is not None
    assert await elsewhere.replace(named(session, "1", clock.now() + 10)) is not None
    found = await rotations.restored(loaded)
    assert found is not None
    assert found.tokens.refresh_token == "rt2"
    assert await stored(sessions) == (3, "rt2")


@pytest.mark.rule("TK-07")
async def test_what_has_ended_meanwhile_is_not_restored(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """A logout by another process comes before its news: no spent token is handed on."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    store.go_back("k", before)
    loaded = await sessions.load_fresh("k")
    assert loaded is not None
    store.lose("k")
    assert await rotations.restored(loaded) is None
    assert await store.load("k") is None


@pytest.mark.rule("TK-07")
async def test_a_store_that_went_back_further_than_a_refresh_began_is_written_as_well(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """What another process wrote just before was lost with it: ours are the only good tokens."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    elsewhere = Sessions(store, Keyring([SECRET], OWNER), clock, SessionPolicy(3600, 3600))
    theirs = await elsewhere.replace(named(session, "1", clock.now() + 10))
    assert theirs is not None
    store.go_back("k", before)
    kept = await rotated(rotations, sessions, theirs, "2", clock.now() + 20)
    assert kept.tokens.refresh_token == "rt2"
    assert await stored(sessions) == (2, "rt2")


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize(
    ("version", "seconds"),
    [
        # The store went back, and another process has refreshed since: the version counts anew.
        (2, +70.0),
        # Another process has refreshed, and its clock is behind ours.
        (4, -5.0),
        # Both.
        (3, -5.0),
    ],
)
async def test_newer_tokens_are_never_taken_for_older_ones(
    sessions: Sessions,
    rotations: Rotations,
    store: ScriptedStore,
    clock: ManualClock,
    version: int,
    seconds: float,
) -> None:
    """What this process wrote is spent by then: written again it would end the whole grant."""
    session = await new_session(sessions, clock)
    first = await rotated(rotations, sessions, session, "1", clock.now() + 50)
    known = await rotated(rotations, sessions, first, "2", clock.now() + 100)
    assert known.version == 3
    elsewhere = Sessions(store, Keyring([SECRET], OWNER), clock, SessionPolicy(3600, 3600))
    if version <= known.version:
        sealed = await store.load("k")
        assert sealed is not None
        store.go_back("k", dataclasses.replace(sealed, version=version - 1))
    current = await elsewhere.load_fresh("k")
    assert current is not None
    newer = named(current, "newer", known.tokens.obtained_at + seconds)
    assert await elsewhere.replace(newer) is not None
    loaded = await sessions.load_fresh("k")
    assert loaded is not None
    assert (loaded.version, loaded.tokens.refresh_token) == (version, "rtnewer")
    assert await rotations.restored(loaded) == loaded
    assert await stored(sessions) == (version, "rtnewer")


async def test_the_same_tokens_are_not_written_again(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """Another process has restored them, and the version counts anew."""
    session = await new_session(sessions, clock)
    first = await rotated(rotations, sessions, session, "1", clock.now() + 50)
    before = await store.load("k")
    assert before is not None
    known = await rotated(rotations, sessions, first, "1", clock.now() + 50)
    assert (first.version, known.version) == (2, 3)
    store.go_back("k", before)
    loaded = await sessions.load_fresh("k")
    assert loaded is not None
    assert await rotations.restored(loaded) == loaded
    assert await stored(sessions) == (2, "rt1")


@pytest.mark.rule("TK-07")
async def test_a_store_that_does_not_answer_is_told_later(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """All of many sessions, of which the first tries fail in reading and in writing. The other
    processes are told that something is owed until all is written."""
    sealed = {}
    for number in range(20):
        session = await new_session(sessions, clock, f"k{number}")
        sealed[session.key] = await store.load(session.key)
        await rotated(rotations, sessions, session, "1", clock.now() + 50)
    for key, before in sealed.items():
        assert before is not None
        store.go_back(key, before)
    store.faults = {
        "load": [StoreUnavailable("away")] * 30,
        "replace": [StoreUnavailable("away")] * 3,
    }
    store.said_saved.clear()
    began = asyncio.get_running_loop().time()
    store.break_stream()
    assert store.said_saved[-1] is False
    await until(lambda: not store.faults["load"] and not store.faults["replace"])
    await until(lambda: store.said_saved[-1])
    paused_for = asyncio.get_running_loop().time() - began
    assert paused_for > LONGEST_PAUSE_SECONDS, "it is not asked without a pause"
    assert {await stored(sessions, key) for key in sealed} == {(2, "rt1")}


async def test_all_of_many_are_restored_without_a_pause(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """The other processes wait for it."""
    sealed = {}
    for number in range(3 * RESTORED_AT_ONCE):
        session = await new_session(sessions, clock, f"k{number}")
        sealed[session.key] = await store.load(session.key)
        await rotated(rotations, sessions, session, "1", clock.now() + 50)
    for key, before in sealed.items():
        assert before is not None
        store.go_back(key, before)
    store.break_stream()
    for _ in range(100):
        await asyncio.sleep(0)
    assert store.said_saved[-1]
    assert {await stored(sessions, key) for key in sealed} == {(2, "rt1")}


@pytest.mark.rule("TK-07")
async def test_a_second_break_during_a_round_begins_another(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """What the round under way has read may be older than what the store has lost since."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    calls = store.calls["load"]
    answer = store.hold("load")
    store.break_stream()
    await until(lambda: store.calls["load"] == calls + 1)
    tasks = asyncio.all_tasks()
    store.go_back("k", before)
    store.break_stream()
    assert asyncio.all_tasks() == tasks, "after this one, not beside it"
    answer.set()
    await until(lambda: store.said_saved[-1])
    assert await stored(sessions) == (2, "rt1")


class FaultyStore(ScriptedStore):
    """Raises what no rule foresees, as long as it is asked for one of these."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.faulty: set[str] = set()

    async def load(self, key: str) -> StoredRecord | None:
        if key in self.faulty:
            raise ZeroDivisionError
        return await super().load(key)


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("is_mended", [True, False])
async def test_an_unforeseen_fault_with_one_session_keeps_no_other_from_being_restored(
    clock: ManualClock, *, is_mended: bool
) -> None:
    """Nothing is said to be saved meanwhile. The one is tried again, though not for longer than
    what was written is remembered, and costs one entry in the log."""
    store = FaultyStore(clock)
    sessions = Sessions(store, Keyring([SECRET], OWNER), clock, SessionPolicy(3600, 3600))
    await sessions.start()
    rotations = Rotations(sessions, clock)
    sealed = {}
    for number in range(RESTORED_AT_ONCE + 2):
        session = await new_session(sessions, clock, f"k{number}")
        sealed[session.key] = await store.load(session.key)
        await rotated(rotations, sessions, session, "1", clock.now() + 50)
    for key, before in sealed.items():
        assert before is not None
        store.go_back(key, before)
    last = list(sealed)[-1]  # which is restored first
    store.faulty.add(last)
    with capture_logs() as logs:
        store.break_stream()

        async def the_others_are_back() -> bool:
            return {await stored(sessions, key) for key in sealed if key != last} == {(2, "rt1")}

        await until(the_others_are_back)
        assert store.said_saved[-1] is False
        if is_mended:
            store.faulty.clear()
        else:
            clock.advance(REMEMBER_SECONDS + 1)
        await until(lambda: store.said_saved[-1])
    store.faulty.clear()
    assert await stored(sessions, last) == ((2, "rt1") if is_mended else (1, "rt0"))
    assert [entry["event"] for entry in logs].count("rotation_not_restored") == 1
    await rotations.close()
    await sessions.close()


@pytest.mark.rule("TK-07")
async def test_a_refused_write_is_owed_although_the_stream_goes_on(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """The others are told until it is written: the record names a spent token meanwhile."""
    session = await new_session(sessions, clock)
    store.faults["replace"] = [StoreUnavailable("read only")]
    store.said_saved.clear()
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    assert store.said_saved[0] is False
    assert store.said_saved[-1] is True
    assert await stored(sessions) == (2, "rt1")


@pytest.mark.rule("TK-07")
async def test_a_store_that_goes_back_during_a_write_is_written(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """The write has met a newer record, which is gone when it is read: what is there then is the
    one whose token has been spent."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    elsewhere = Sessions(store, Keyring([SECRET], OWNER), clock, SessionPolicy(3600, 3600))
    assert await elsewhere.replace(named(session, "other", clock.now() + 10)) is not None
    calls, answer = store.calls["replace"], store.hold("replace")
    task = asyncio.create_task(rotated(rotations, sessions, session, "1", clock.now() + 20))
    await until(lambda: store.calls["replace"] == calls + 1)
    store.go_back("k", before)
    answer.set()
    assert (await task).tokens.refresh_token == "rt1"
    assert await stored(sessions) == (2, "rt1")


async def test_a_write_that_succeeds_is_not_read_again(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """Each time is a round trip to the store."""
    session, calls = await new_session(sessions, clock), store.calls["load"]
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    assert store.calls["load"] == calls


@pytest.mark.rule("TK-07")
async def test_a_session_that_has_ended_unheard_keeps_no_round_from_its_end(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """A logout while the stream was away: there is nothing to write again, and it is no fault."""
    await rotated(rotations, sessions, await new_session(sessions, clock), "1", clock.now() + 50)
    store.lose("k")
    with capture_logs() as logs:
        store.break_stream()
        assert not store.said_saved[-1]
        await until(lambda: store.said_saved[-1])
    assert logs == []


async def test_nothing_is_restored_after_the_close(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    await rotated(rotations, sessions, await new_session(sessions, clock), "1", clock.now() + 50)
    tasks = asyncio.all_tasks()
    store.hold("load")
    store.break_stream()
    assert asyncio.all_tasks() != tasks
    await rotations.close()
    assert asyncio.all_tasks() == tasks


async def test_while_the_stream_is_lost_nothing_is_restored(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """What the store has lost is known only when the stream is back."""
    await rotated(rotations, sessions, await new_session(sessions, clock), "1", clock.now() + 50)
    calls = store.calls["load"]
    for listener in store._listeners:
        listener.on_watch(watching=False)
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.calls["load"] == calls


async def test_what_nothing_has_lost_owes_nothing(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    session = await new_session(sessions, clock)
    store.break_stream()
    assert False not in store.said_saved
    store.said_saved.clear()
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    assert not store.said_saved


async def test_an_ended_session_is_not_written_again(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """A store that brings it back is not helped to its newest tokens."""
    session = await new_session(sessions, clock)
    kept = await rotated(rotations, sessions, session, "1", clock.now() + 50)
    await sessions.end("k", "logout")
    calls = store.calls["replace"]
    loaded = dataclasses.replace(named(kept, "0", clock.now()), version=1)
    assert await rotations.restored(loaded) == loaded
    assert store.calls["replace"] == calls


async def test_a_write_that_the_session_does_not_outlive_is_given_up(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """Until then it is tried for as long as it takes."""
    session = await new_session(sessions, clock)
    store.faults["replace"] = [StoreUnavailable("away") for _ in range(3)]
    clock.advance(3599)
    kept = await rotated(rotations, sessions, session, "1", clock.now())
    store.faults["replace"] = [StoreUnavailable("away")]
    clock.advance(1)
    with pytest.raises(StoreUnavailable):
        await rotated(rotations, sessions, kept, "2", clock.now())


async def test_a_store_that_is_away_is_asked_a_few_times_a_second(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """At first sooner: a process that holds rotated tokens must be among the first."""
    session = await new_session(sessions, clock)
    store.faults["replace"] = [StoreUnavailable("away") for _ in range(12)]
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(HANG_SECONDS):
        await rotated(rotations, sessions, session, "1", clock.now() + 50)
    paused_for = asyncio.get_running_loop().time() - began
    assert paused_for > 3 * FIRST_PAUSE_SECONDS + 8 * LONGEST_PAUSE_SECONDS


async def test_closing_does_not_wait_for_a_store_that_is_away(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """What it restores is tried without end; a process that stops has to stop."""
    await rotated(rotations, sessions, await new_session(sessions, clock), "1", clock.now() + 50)
    store.faults["load"] = [StoreUnavailable("away") for _ in range(10_000)]
    tasks = asyncio.all_tasks()
    store.break_stream()
    calls = store.calls["load"]
    await until(lambda: store.calls["load"] > calls)
    async with asyncio.timeout(HANG_SECONDS):
        await rotations.close()
    assert asyncio.all_tasks() == tasks
    store.faults.clear()


async def test_what_was_written_is_remembered_for_a_while(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """A minute: longer than a failover takes, and not for as long as a session lives."""
    first, second = [await new_session(sessions, clock, key) for key in ("first", "second")]
    before = await store.load("first")
    assert before is not None
    await rotated(rotations, sessions, first, "1", clock.now() + 50)
    clock.advance(REMEMBER_SECONDS)
    await rotated(rotations, sessions, second, "1", clock.now() + 50)
    store.go_back("first", before)
    loaded = await sessions.load_fresh("first")
    assert loaded is not None
    found = await rotations.restored(loaded)
    assert found is not None
    assert found.version == 2
    store.go_back("first", before)
    clock.advance(REMEMBER_SECONDS + 1)
    await rotated(rotations, sessions, await new_session(sessions, clock), "1", clock.now() + 50)
    assert await rotations.restored(loaded) == loaded
    assert await stored(sessions, "first") == (1, "rt0")


async def test_what_was_restored_is_remembered_anew(
    sessions: Sessions, rotations: Rotations, store: ScriptedStore, clock: ManualClock
) -> None:
    """One failover may follow another."""
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    for _ in range(3):
        clock.advance(REMEMBER_SECONDS - 1)
        other = await new_session(sessions, clock, f"at {clock.now()}")
        await rotated(rotations, sessions, other, "1", clock.now() + 50)
        store.go_back("k", before)
        loaded = await sessions.load_fresh("k")
        assert loaded is not None
        await rotations.restored(loaded)
        assert await stored(sessions) == (2, "rt1")


@pytest.mark.parametrize(("later", "found"), [(0, (2, "rt1")), (1, (1, "rt0"))])
async def test_after_a_break_only_what_was_written_of_late_is_restored(
    sessions: Sessions,
    rotations: Rotations,
    store: ScriptedStore,
    clock: ManualClock,
    later: float,
    found: tuple[int, str],
) -> None:
    session, before = await new_session(sessions, clock), await store.load("k")
    assert before is not None
    await rotated(rotations, sessions, session, "1", clock.now() + 50)
    clock.advance(REMEMBER_SECONDS + later)
    store.go_back("k", before)
    store.break_stream()
    await until(lambda: store.said_saved[-1])
    assert await stored(sessions) == found


async def test_a_session_that_is_gone_has_ended(rotations: Rotations) -> None:
    with pytest.raises(SessionEnded):
        await rotations.load("gone")
