"""What a session store must do. Two engines implement it, `memory` and `redis.store`; one contract
suite (`tests/contract`) runs against both.

A store knows opaque sealed bytes, versions and expiry; it never knows a token, a cookie or a
request. Every method may raise `StoreUnavailable`; none of them waits longer than the configured
timeout. All multi-key steps are idempotent, so that they work on Redis Cluster.

An answer may get lost on its way: after `StoreUnavailable` a write may have happened all the same,
and a False or None may hide an own write that was tried twice. A caller that must know reads again.

Expiry is not announced to listeners: a part that keeps a stream open watches the clock as well.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bff.clock import Clock
from bff.sessions.messages import Heartbeat

CHECK_SECONDS = 10.0  # how long what `check_store` writes can stay


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it lies in the store. `idle_expires_at` is epoch seconds by our clock."""

    version: int
    sealed: bytes = field(repr=False)
    idle_expires_at: float


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record that is to be stored: for `idle_seconds` from now, unless it is touched, and in any
    case until `expires_at` (epoch seconds) at most; in the sets named `indexes`."""

    sealed: bytes = field(repr=False)
    idle_seconds: float
    expires_at: float
    indexes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to refresh one session. `holder` differs with every grant of the same name."""

    name: str
    holder: str


class StoreListener(Protocol):
    """Told of every write by any process. All methods are synchronous and must not raise."""

    def on_changed(self, key: str, *, version: int | None) -> None:
        """The record is now at `version`; None: only its refresh lease was released."""

    def on_ended(self, key: str, reason: str) -> None:
        """The record was deleted."""

    def on_watch(self, *, watching: bool) -> None:
        """The stream of changes was gained (True) or lost (False). What was missed is unknown."""

    def on_proven(self, at: float) -> None:
        """Every change made before `at`, epoch seconds by our clock, has been told."""

    def on_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Another process speaks. `saved` is False as well where it sees other nodes than we do."""


class LeaseStore(Protocol):
    """Leases: each a right that one caller has for a while. The name of the one that guards a
    session's refresh is the key of its record. Every method may raise `StoreUnavailable`."""

    async def acquire_lease(self, name: str, *, ttl_seconds: float) -> Lease | None:
        """The lease, or None when another caller holds it."""

    async def renew_lease(self, lease: Lease, *, ttl_seconds: float) -> bool:
        """False when the lease has lapsed or passed to another holder."""

    async def release_lease(self, lease: Lease) -> None:
        """Give it back, if still held, and wake waiting processes (`on_changed`)."""


class SessionStore(LeaseStore, Protocol):
    """Leases, sessions and their indexes, logins under way, what has been seen, and how often.

    `gather_seconds`: how long it pays to wait for more touches to come, before a step is taken.
    """

    gather_seconds: float

    async def start(self) -> None:
        """Open connections and the change stream. Does not fail when the store is down."""

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """One round trip; raises `StoreUnavailable`."""

    def watch(self, listener: StoreListener) -> None:
        """Register a listener, before `start`."""

    def say_saved(self, *, saved: bool) -> None:
        """What the heartbeats of this process tell the others (`Heartbeat.saved`)."""

    # --- sessions

    async def create(self, key: str, record: NewRecord) -> None:
        """Store a new record at version 1 and add it to the index sets.

        The index comes first: a crash in between must not leave a session that a logout by
        subject or sid can't find.

        Raises:
            InternalError: the key holds another record; it is never overwritten.
        """

    async def load(self, key: str) -> StoredRecord | None: ...

    async def replace(self, key: str, sealed: bytes, *, expected_version: int) -> bool:
        """Compare-and-set to `expected_version + 1`, leaving the expiry alone, and publish.

        False when the record is gone or has another version: another writer won, and nothing was
        written. Never recreates a deleted record.
        """

    async def touch(self, key: str, *, idle_seconds: float) -> bool:
        """Move the idle expiry to `idle_seconds` from now, unless it is later already, and never
        past the absolute one. False when the record is gone."""

    async def touch_all(self, idle_seconds: Mapping[str, float]) -> frozenset[str]:
        """`touch` for many keys, in as few steps as the engine knows. Those that are gone."""

    async def delete(
        self,
        key: str,
        *,
        reason: str,
        indexes: Sequence[str] = (),
        expected_version: int | None = None,
    ) -> StoredRecord | None:
        """Delete and publish; with `expected_version` only a record of that version.

        The record as it last was, for exactly one of several concurrent callers: the tokens in it
        are the ones to revoke, also when a refresh wrote newer ones a moment ago.
        """

    async def members(self, index: str) -> tuple[str, ...]:
        """Keys of the sessions in an index set; some may have just expired."""

    def scan(self) -> AsyncIterator[tuple[str, ...]]:
        """Keys of all sessions, some at a time, with little work a step.

        A session that is there all the while is found, perhaps twice; of those that come and go
        meanwhile some are. In a cluster one that moves between nodes just then may be missed.
        """

    # --- login transactions

    async def put_login(
        self, state_key: str, sealed: bytes, *, browser_key: str, ttl_seconds: float, cap: int
    ) -> bytes | None:
        """Keep a transaction; past `cap` open ones of one browser the oldest is dropped. What was
        kept under the same key until now: each value but the last is returned once."""

    async def take_login(self, state_key: str) -> bytes | None:
        """The transaction, once: a second call returns None."""

    async def load_login(self, state_key: str) -> bytes | None:
        """The transaction, which stays."""

    # --- what has been seen

    async def remember(self, key: str, *, ttl_seconds: float) -> None:
        """Know `key` for that long from now on."""

    async def is_remembered(self, key: str) -> bool: ...

    # --- how often

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        """Add `seconds` to a bucket that loses one of them each second: if all of it fits, or with
        `to_the_brim` as much as does. How full it was before, in seconds until it is empty."""


class StoreCheckFailed(Exception):
    """The store answers, but not as it must. The text is for the operator."""


async def check_store(store: SessionStore, clock: Clock) -> None:
    """Take every kind of step once, with a session without a user.

    Raises:
        StoreUnavailable: a step was refused, or not answered.
        StoreCheckFailed: it was answered with something else than what it must be.
    """
    key, index, state, browser = (secrets.token_hex(32) for _ in range(4))
    await store.create(
        key,
        NewRecord(
            b"trial",
            idle_seconds=CHECK_SECONDS,
            expires_at=clock.now() + CHECK_SECONDS,
            indexes=[index],
        ),
    )
    try:
        record = await store.load(key)
        _require(lambda: record is not None and record.sealed == b"trial", "read what was written")
        lease = await store.acquire_lease(key, ttl_seconds=CHECK_SECONDS)
        _require(lambda: lease is not None, "give a lease")
        replaced = await store.replace(key, b"tried", expected_version=1)
        _require(lambda: replaced, "replace a record")
        if lease is not None:
            await store.release_lease(lease)
        await store.touch(key, idle_seconds=CHECK_SECONDS)
        members = await store.members(index)
        _require(lambda: members == (key,), "keep an index")
        await store.put_login(
            state, b"trial", browser_key=browser, ttl_seconds=CHECK_SECONDS, cap=1
        )
        kept = await store.load_login(state)
        login = await store.take_login(state)
        _require(lambda: kept == login == b"trial", "keep a login")
        await store.remember(state, ttl_seconds=1)
        await store.is_remembered(state)
        await store.fill(state, seconds=1, size_seconds=1)
        async for _names in store.scan():
            break
    finally:
        await store.delete(key, reason="trial", indexes=[index])


def _require(holds: Callable[[], bool], what: str) -> None:
    if not holds():
        raise StoreCheckFailed(
            f"it does not {what}: is it shared with something that deletes keys?"
        )
