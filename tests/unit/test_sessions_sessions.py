"""Sessions on the memory store, by an injected clock: life, writes, cache, news, races."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.model import Session, Tokens
from bff.sessions.bound_streams import BoundStreams
from bff.sessions.memory import MemoryStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sealing.records import sid_index, subject_index
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.store import StoredRecord
from tests.parts.record_owner import OWNER
from tests.polling import HANG_SECONDS, until

OLD = "an old secret of at least 32 bytes, or more"
NEW = "a new secret of at least 32 bytes, or more"
OP = "https://op.example"
POLICY = SessionPolicy(idle_seconds=1800, absolute_seconds=43200)


class SlowStore(MemoryStore):
    """The memory store over a line that the test can hold up or cut."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.is_down = False
        self.loads = 0
        self.touches: list[str] = []
        self.hold_answers: asyncio.Event | None = None

    async def load(self, key: str) -> StoredRecord | None:
        self._require_up()
        self.loads += 1
        answer = await super().load(key)
        if self.hold_answers is not None:
            await self.hold_answers.wait()
        return answer

    async def touch(self, key: str, *, idle_seconds: float) -> bool:
        self._require_up()
        self.touches.append(key)
        return await super().touch(key, idle_seconds=idle_seconds)

    def _require_up(self) -> None:
        if self.is_down:
            raise StoreUnavailable("cut")


@pytest.fixture
def store(clock: ManualClock) -> SlowStore:
    return SlowStore(clock)


@pytest.fixture
async def sessions(store: SlowStore, clock: ManualClock) -> AsyncIterator[Sessions]:
    opened = Sessions(store, Keyring([NEW], OWNER), clock, POLICY)
    await opened.start()
    yield opened
    await opened.close()


def tokens(clock: ManualClock, name: str = "1", refresh_seconds: float | None = None) -> Tokens:
    now = clock.now()
    return Tokens(
        access_token=f"at{name}",
        obtained_at=now,
        expires_at=now + 300,
        refresh_token=f"rt{name}",
        refresh_expires_at=now + refresh_seconds if refresh_seconds is not None else None,
    )


ABOUT: Mapping[str, Any] = {
    "claims": {"name": "Alice"},
    "acr": "gold",
    "auth_time": 7,
    "client": "Firefox",
    "address": "192.0.2.7",
    "organization": "acme",
    "resources": ("https://api.example",),
    "asked_details": '[{"type":"payment"}]',
}


async def create(
    sessions: Sessions, clock: ManualClock, key: str = "k", sid: str | None = "s1"
) -> Session:
    return await sessions.create(
        key, issuer=OP, sub="alice", sid=sid, tokens=tokens(clock), **ABOUT
    )


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# --- life


async def test_a_session_comes_back_as_it_was_created(
    sessions: Sessions, clock: ManualClock
) -> None:
    """From memory at once, and from the store."""
    created = await create(sessions, clock)
    assert created.idle_expires_at == clock.now() + POLICY.idle_seconds
    assert created.expires_at == clock.now() + POLICY.absolute_seconds
    assert {name: getattr(created, name) for name in ABOUT} == ABOUT
    assert sessions.cached("k") == created
    assert await sessions.load_fresh("k") == created
    assert await sessions.load("unknown") is None
    assert sessions.cached("unknown") is None


@pytest.mark.rule("SE-04")
async def test_an_idle_session_is_none(sessions: Sessions, clock: ManualClock) -> None:
    """Also when the cache has just been filled."""
    await create(sessions, clock)
    clock.advance(POLICY.idle_seconds - 0.5)
    assert await sessions.load("k") is not None
    clock.advance(0.5)
    assert sessions.cached("k") is None
    assert await sessions.load("k") is None


@pytest.mark.rule("SE-05")
async def test_constant_use_ends_at_the_absolute_lifetime(
    sessions: Sessions, clock: ManualClock
) -> None:
    """Neither a touch nor a refresh moves it."""
    session: Session | None = await create(sessions, clock)
    for _ in range(43):
        clock.advance(1000)
        assert session is not None
        sessions.touch(session)
        await settle()
        session = await sessions.replace(replace(session, tokens=tokens(clock)))
    assert await sessions.load("k") is not None
    clock.advance(200)
    assert await sessions.load("k") is None


@pytest.mark.rule("SE-05")
async def test_a_session_does_not_outlive_its_refresh_token(
    sessions: Sessions, clock: ManualClock
) -> None:
    """The smaller limit wins; a rotated token moves it, never past the absolute one."""
    session = await sessions.create(
        "k", issuer=OP, sub="a", sid=None, tokens=tokens(clock, refresh_seconds=600)
    )
    assert session.expires_at == clock.now() + 600
    clock.advance(500)
    rotated = await sessions.replace(
        replace(session, tokens=tokens(clock, "2", refresh_seconds=600))
    )
    assert rotated is not None
    assert rotated.expires_at == clock.now() + 600
    sessions.touch(rotated)
    await settle()
    clock.advance(200)
    assert await sessions.load("k") is not None, "it ended with the first refresh token"
    clock.advance(400)
    assert await sessions.load("k") is None
    long = await sessions.create(
        "l", issuer=OP, sub="a", sid=None, tokens=tokens(clock, refresh_seconds=1e9)
    )
    assert long.expires_at == clock.now() + POLICY.absolute_seconds


# --- writes


async def test_the_writer_sees_its_own_write(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """At once, from memory, without a read."""
    created = await create(sessions, clock)
    written = await sessions.replace(replace(created, tokens=tokens(clock, "2")))
    assert written is not None
    assert written.version == 2
    assert sessions.cached("k") == written
    assert await sessions.load("k") == written
    assert store.loads == 0
    assert await sessions.load_fresh("k") == written


async def test_a_write_over_what_has_changed_is_none(
    sessions: Sessions, clock: ManualClock
) -> None:
    """The first of two refreshes stays (lost update)."""
    created = await create(sessions, clock)
    await sessions.replace(replace(created, tokens=tokens(clock, "2")))
    assert await sessions.replace(replace(created, tokens=tokens(clock, "3"))) is None
    current = await sessions.load("k")
    assert current is not None
    assert current.tokens.access_token == "at2"


async def test_a_write_after_the_end_is_none(sessions: Sessions, clock: ManualClock) -> None:
    """Nothing is resurrected, neither by a refresh nor by activity."""
    created = await create(sessions, clock)
    clock.advance(100)
    await sessions.end(created, "logout")
    sessions.touch(created)
    assert await sessions.replace(created) is None
    await settle()
    assert sessions.cached("k") is None
    assert await sessions.load("k") is None


async def test_one_of_many_logouts_gets_the_session(sessions: Sessions, clock: ManualClock) -> None:
    """Named by key or by session; no caller is told twice what to revoke."""
    created = await create(sessions, clock)
    ended = await asyncio.gather(
        *(sessions.end(created if n % 2 else "k", "logout") for n in range(50))
    )
    assert sum(session is not None for session in ended) == 1
    assert await sessions.end("k", "logout") is None
    assert await sessions.of_subject(OP, "alice") == []


@pytest.mark.rule("TK-14")
async def test_a_logout_gets_the_tokens_written_last(
    sessions: Sessions, clock: ManualClock
) -> None:
    """Those are to be revoked, also when the caller knew older ones."""
    created = await create(sessions, clock)
    await sessions.replace(replace(created, tokens=tokens(clock, "2")))
    ended = await sessions.end(created, "logout")
    assert ended is not None
    assert ended.tokens.refresh_token == "rt2"


async def test_a_caller_cannot_change_claims_afterwards(
    sessions: Sessions, clock: ManualClock
) -> None:
    """What is cached is what was written."""
    claims: dict[str, object] = {"name": "Alice"}
    await sessions.create("k", issuer=OP, sub="a", sid=None, tokens=tokens(clock), claims=claims)
    claims["role"] = "admin"
    cached = sessions.cached("k")
    assert cached is not None
    assert cached.claims == {"name": "Alice"}


@pytest.mark.rule("TK-06")
async def test_leases_are_named_by_the_session(sessions: Sessions, clock: ManualClock) -> None:
    """A write asks for none: the version alone decides (docs/adr/0003)."""
    created = await create(sessions, clock)
    lease = await sessions.leases.acquire_lease("k", ttl_seconds=5)
    assert lease is not None
    assert await sessions.leases.acquire_lease("k", ttl_seconds=5) is None
    assert await sessions.leases.renew_lease(lease, ttl_seconds=5)
    await sessions.leases.release_lease(lease)
    assert await sessions.leases.acquire_lease("k", ttl_seconds=5) is not None, (
        "another one holds it"
    )
    assert await sessions.replace(created) is not None


# --- whose sessions


@pytest.mark.rule("SE-08")
async def test_sessions_are_found_by_user_and_by_sid(
    sessions: Sessions, clock: ManualClock
) -> None:
    """A set each; another OP's user of the same name is another user (OIDC Core section 5.7)."""
    first = await create(sessions, clock, "a", sid="s1")
    clock.advance(1)
    second = await create(sessions, clock, "b", sid="s2")
    other = await sessions.create(
        "c", issuer="https://other.example", sub="alice", sid="s1", tokens=tokens(clock)
    )
    assert await sessions.of_subject(OP, "alice") == [first, second]
    assert await sessions.of_sid(OP, "s1") == [first]
    assert await sessions.of_subject("https://other.example", "alice") == [other]
    assert await sessions.of_subject(OP, "s1") == []
    await sessions.end(first, "logout")
    assert await sessions.of_subject(OP, "alice") == [second]
    assert await sessions.of_sid(OP, "s1") == []


async def test_an_index_is_not_believed(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """Write access to the store does not have a user's sessions ended or listed as another's."""
    await create(sessions, clock)
    store._indexes[subject_index(OWNER, OP, "bob")] = {"k": None}
    store._indexes[sid_index(OWNER, OP, "s2")] = {"k": None}
    assert await sessions.of_subject(OP, "bob") == []
    assert await sessions.of_sid(OP, "s2") == []


def test_no_two_users_share_an_index() -> None:
    """Where issuer ends and subject begins is part of the name, and so is the kind."""
    names = {
        subject_index(OWNER, "ab", "c"),
        subject_index(OWNER, "a", "bc"),
        sid_index(OWNER, "ab", "c"),
    }
    assert len(names) == 3
    assert subject_index(OWNER, "ab", "c") in names


# --- what can't be opened


@pytest.mark.rule("SE-09")
async def test_swapped_records_fail_closed(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """No user becomes another one by moving ciphertexts; and nothing is deleted for it."""
    await create(sessions, clock, "a")
    await create(sessions, clock, "b")
    one, two = store._records["a"], store._records["b"]
    one.sealed, two.sealed = two.sealed, one.sealed
    assert await sessions.load_fresh("a") is None
    assert await sessions.load_fresh("b") is None
    assert sessions.cached("a") is None, "what was cached before is not served on"
    assert await sessions.of_subject(OP, "alice") == []
    one.sealed, two.sealed = two.sealed, one.sealed
    assert await sessions.load_fresh("a") is not None


@pytest.mark.rule("OP-03")
async def test_secrets_rotate_without_logging_anybody_out(
    store: SlowStore, clock: ManualClock
) -> None:
    """[old], [new, old], [new]: sessions survive the first step; what was not rewritten dies at
    the second, and is still there should the old secret come back."""

    async def load(secrets: list[str], key: str) -> Session | None:
        return await Sessions(store, Keyring(secrets, OWNER), clock, POLICY).load_fresh(key)

    before = Sessions(store, Keyring([OLD], OWNER), clock, POLICY)
    quiet = await create(before, clock, "quiet")
    refreshed = await create(before, clock, "refreshed")
    rotating = Sessions(store, Keyring([NEW, OLD], OWNER), clock, POLICY)
    assert await load([NEW, OLD], "quiet") == quiet
    assert await rotating.replace(refreshed) is not None
    assert await load([NEW], "quiet") is None
    assert await load([NEW], "refreshed") is not None
    assert await load([NEW, OLD], "quiet") == quiet


async def test_an_unreadable_record_is_none_and_can_be_ended(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """Sealed by us but of no known form: fails closed, and a logout still removes it."""
    await create(sessions, clock)
    store._records["k"].sealed = Keyring([NEW], OWNER).seal("session", "k", b'{"format":1}')
    assert await sessions.load_fresh("k") is None
    assert await sessions.end("k", "logout") is None
    assert "k" not in store._records


# --- the cache


async def test_an_old_entry_is_read_again(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """After `cache_seconds`, should news have been lost on the way; then it is fresh again."""
    await create(sessions, clock)
    for _ in range(10):
        assert await sessions.load("k")
    assert store.loads == 0
    clock.advance(POLICY.cache_seconds)
    assert sessions.cached("k") is None
    for _ in range(10):
        assert await sessions.load("k")
    assert store.loads == 1


async def test_a_burst_costs_one_read(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """All calls of a page that has just been opened share it."""
    created = await create(sessions, clock)
    clock.advance(6)
    store.hold_answers = asyncio.Event()
    calls = [asyncio.create_task(sessions.load("k")) for _ in range(50)]
    await settle()
    store.hold_answers.set()
    assert await asyncio.gather(*calls) == [created] * 50
    assert store.loads == 1


async def test_without_news_the_cache_is_not_used(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """A logout elsewhere could go unheard: every call reads, and none joins another's read."""
    await create(sessions, clock)
    [listener] = store._listeners
    listener.on_watch(watching=False)
    assert not sessions.watching
    assert sessions.cached("k") is None
    await asyncio.gather(*(sessions.load("k") for _ in range(5)))
    assert store.loads == 5
    listener.on_watch(watching=True)
    assert sessions.cached("k") is None, "read while changes went unheard"
    assert await sessions.load("k") is not None
    assert sessions.cached("k") is not None


@pytest.mark.rule("SE-06")
async def test_a_read_from_before_a_logout_is_neither_kept_nor_joined(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """The stale fill: the answer left the store before the logout and arrives after it."""
    await create(sessions, clock)
    clock.advance(6)
    store.hold_answers = asyncio.Event()
    early = asyncio.create_task(sessions.load("k"))
    await settle()
    held, store.hold_answers = store.hold_answers, None
    ended = asyncio.create_task(sessions.end("k", "logout"))
    assert await ended is not None
    late = asyncio.create_task(sessions.load("k"))
    assert await late is None
    held.set()
    await early
    assert sessions.cached("k") is None
    assert await sessions.load("k") is None


async def test_a_write_by_another_process_drops_what_memory_holds(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """Its tokens are spent."""
    created = await create(sessions, clock)
    elsewhere = Sessions(store, Keyring([NEW], OWNER), clock, POLICY)
    written = await elsewhere.replace(replace(created, tokens=tokens(clock, "2")))
    assert sessions.cached("k") is None
    assert await sessions.load("k") == written


async def test_what_memory_held_goes_on_when_the_store_and_its_news_fail(
    store: SlowStore, clock: ManualClock
) -> None:
    """Also of sessions that were never read, only made here."""
    policy = replace(POLICY, stale_seconds=60)
    sessions = Sessions(store, Keyring([NEW], OWNER), clock, policy)
    await store.start()
    created = await create(sessions, clock)
    for listener in store._listeners:
        listener.on_watch(watching=False)
    store.is_down = True
    assert await sessions.load("k") == created
    clock.advance(61)
    with pytest.raises(StoreUnavailable):
        await sessions.load("k")


async def test_records_of_others_are_told_from_ours_and_from_none(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    await create(sessions, clock)
    theirs = Sessions(store, Keyring([OLD], OWNER), clock, POLICY)
    await create(theirs, clock, "theirs")
    assert await sessions.foreign_among(["k", "gone", "theirs"]) == 1
    assert await sessions.foreign_among(["k"]) == 0


async def test_a_read_from_before_a_gap_in_the_news_is_not_joined(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """A change may have gone unheard in it."""
    await create(sessions, clock)
    clock.advance(6)
    store.hold_answers = asyncio.Event()
    early = asyncio.create_task(sessions.load("k"))
    await settle()
    held, store.hold_answers = store.hold_answers, None
    for watching in (False, True):
        for listener in store._listeners:
            listener.on_watch(watching=watching)
    async with asyncio.timeout(HANG_SECONDS):
        assert await sessions.load("k") is not None
    held.set()
    await early


async def test_a_read_from_before_a_refresh_is_not_kept(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """Spent tokens must not come back into the cache."""
    created = await create(sessions, clock)
    store.hold_answers = asyncio.Event()
    early = asyncio.create_task(sessions.load_fresh("k"))
    await settle()
    written = await sessions.replace(replace(created, tokens=tokens(clock, "2")))
    store.hold_answers.set()
    await early
    assert sessions.cached("k") == written


async def test_a_read_from_before_another_process_s_refresh_is_not_joined(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """A caller that asks after the news must not get what was read before it."""
    created = await create(sessions, clock)
    elsewhere = Sessions(store, Keyring([NEW], OWNER), clock, POLICY)
    clock.advance(6)
    store.hold_answers = asyncio.Event()
    early = asyncio.create_task(sessions.load("k"))
    await settle()
    held, store.hold_answers = store.hold_answers, None
    written = await elsewhere.replace(replace(created, tokens=tokens(clock, "2")))
    late = asyncio.create_task(sessions.load("k"))
    await settle()
    held.set()
    await early
    assert await late == written


async def test_what_is_known_to_have_ended_does_not_go_on_while_the_store_is_down(
    store: SlowStore, clock: ManualClock
) -> None:
    """Not even where sessions may: which process ended it, and when, does not matter."""
    policy = SessionPolicy(idle_seconds=1800, absolute_seconds=43200, stale_seconds=600)
    here, elsewhere = (Sessions(store, Keyring([NEW], OWNER), clock, policy) for _ in range(2))
    await here.start()
    for key in ("kept", "ended"):
        await create(here, clock, key)
        clock.advance(6)
        assert await here.load(key) is not None
    assert await elsewhere.end("ended", "logout") is not None
    store.is_down = True
    clock.advance(6)
    assert await here.load("kept") is not None
    with pytest.raises(StoreUnavailable):
        await here.load("ended")
    await here.close()


async def test_an_unavailable_store_is_no_logout(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """Trouble raises, it never answers None; what is fresh in memory is served on."""
    created = await create(sessions, clock)
    store.is_down = True
    assert await sessions.load("k") == created
    clock.advance(6)
    for load in (sessions.load, sessions.load_fresh):
        with pytest.raises(StoreUnavailable):
            await load("k")
    store.is_down = False
    assert await sessions.load("k") == created


# --- activity


async def test_activity_is_written_when_it_matters(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """At once in memory; in the store once a minute at most, not once a request."""
    await create(sessions, clock)
    for _ in range(600):
        clock.advance(1)
        session = await sessions.load("k")
        assert session is not None
        sessions.touch(session)
        await settle()
    assert 8 <= len(store.touches) <= 10
    fresh = await sessions.load_fresh("k")
    assert fresh is not None
    assert fresh.idle_expires_at > clock.now() + POLICY.idle_seconds - 61


async def test_activity_moves_the_cached_expiry_at_once(clock: ManualClock) -> None:
    """`idle_expires_in` of the next answer is right, before the store knows."""
    sessions = Sessions(
        MemoryStore(clock), Keyring([NEW], OWNER), clock, replace(POLICY, idle_seconds=60)
    )
    await sessions.start()
    created = await create(sessions, clock)
    clock.advance(4)
    sessions.touch(created)
    moved = sessions.cached("k")
    assert moved == replace(created, idle_expires_at=clock.now() + 60)
    await sessions.close()


async def test_activity_during_trouble_is_written_afterwards(
    sessions: Sessions, store: SlowStore, clock: ManualClock
) -> None:
    """A store that was away for a moment logs no user out who was active in it."""
    created = await create(sessions, clock)
    clock.advance(1000)
    store.is_down = True
    sessions.touch(created)
    await settle()
    active_at = clock.now()
    clock.advance(100)
    store.is_down = False
    await until(lambda: store.touches == ["k"])
    assert store._records["k"].idle_expires_at == active_at + POLICY.idle_seconds


async def test_activity_is_not_lost_at_shutdown(store: SlowStore, clock: ManualClock) -> None:
    """What was noted is written before the store is closed."""
    closing = Sessions(store, Keyring([NEW], OWNER), clock, POLICY)
    await closing.start()
    created = await create(closing, clock)
    clock.advance(1000)
    closing.touch(created)
    await closing.close()
    assert store._records["k"].idle_expires_at == clock.now() + POLICY.idle_seconds


# --- news


async def test_observers_hear_of_writes_and_ends(sessions: Sessions, clock: ManualClock) -> None:
    """Each end once; nothing more after they stopped."""
    news: list[object] = []
    stop = sessions.observe(
        on_changed=news.append,
        on_ended=lambda key, reason: news.append((key, reason)),
        on_watch=news.append,
    )
    sessions.observe(on_ended=lambda key, reason: news.append(f"{key} {reason}"))
    created = await create(sessions, clock)
    assert news == []
    await sessions.replace(created)
    assert news == ["k"]
    await sessions.end("k", "logout")
    await sessions.end("k", "logout")
    assert news == ["k", ("k", "logout"), "k logout"]
    assert sessions.end_reason("k") == "logout"
    assert sessions.end_reason("k2") is None
    stop()
    stop()
    await create(sessions, clock, "k2")
    await sessions.end("k2", "logout")
    assert news[3:] == ["k2 logout"]


async def test_a_faulty_observer_does_not_silence_the_others(
    sessions: Sessions, clock: ManualClock
) -> None:
    """One broken event stream can't keep a logout from the rest."""
    heard: list[str] = []

    def fail(key: str, reason: str) -> None:
        raise RuntimeError(key + reason)

    sessions.observe(on_ended=fail)
    sessions.observe(on_ended=lambda key, _: heard.append(key))
    await create(sessions, clock)
    assert await sessions.end("k", "logout") is not None
    assert heard == ["k"]


async def test_a_session_is_of_the_provider_it_was_made_at(clock: ManualClock) -> None:
    """Two clients of one OP share its issuer and a `sid`: each finds the sessions of its own, and
    what is found says of which it is."""
    owners = [replace(OWNER, provider=name, client_id=name) for name in ("staff", "guests")]
    opened = Sessions(MemoryStore(clock), Keyring([NEW], *owners), clock, POLICY)
    await opened.start()
    for name in ("staff", "guests"):
        await opened.create(
            name, issuer=OP, sub="alice", sid="s1", tokens=tokens(clock), provider=name
        )
    for name in ("staff", "guests"):
        [of_sid] = await opened.of_sid(OP, "s1", provider=name)
        [of_subject] = await opened.of_subject(OP, "alice", provider=name)
        for found in (of_sid, of_subject):
            assert (found.key, found.provider) == (name, name)
    assert len(await opened.of_sid(OP, "s1")) == 2
    await opened.close()


async def test_closing_writes_activity_and_leaves_no_task(
    store: SlowStore, clock: ManualClock
) -> None:
    before = asyncio.all_tasks()
    opened = Sessions(store, Keyring([NEW], OWNER), clock, POLICY)
    streams = BoundStreams(opened, clock)
    await opened.start()
    streams.start()
    session = await create(opened, clock)
    clock.advance(600)
    opened.touch(session)
    await streams.close()
    await opened.close()
    assert asyncio.all_tasks() == before
    record = await store.load(session.key)
    assert record is not None
    assert record.idle_expires_at == clock.now() + POLICY.idle_seconds
