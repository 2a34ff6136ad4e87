"""What a session store must do. Two engines implement it, `memory` and `redis_store`; one contract
suite (`tests/contract`) runs against both.

A store knows opaque sealed bytes, versions and expiry; it never knows a token, a cookie or a
request. Every method may raise `StoreUnavailable`; none of them waits longer than the configured
timeout. All multi-key steps are idempotent, so that they work on Redis Cluster.

An answer may get lost on its way: after `StoreUnavailable` a write may have happened all the same,
and a False or None may hide an own write that was tried twice. Who must know reads again.

Expiry is not announced to listeners: whoever holds a stream open watches the clock as well.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bff.sessions.beats import Beat


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it lies in the store. `idle_expires_at` is epoch seconds by our clock."""

    version: int
    sealed: bytes = field(repr=False)
    idle_expires_at: float


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

    def on_beat(self, beat: Beat) -> None:
        """Another process speaks. `saved` is False as well where it sees other nodes than we do."""


class SessionStore(Protocol):
    """Sessions and their indexes, leases, logins under way, what has been seen, and how often.

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
        """What the beats of this process tell the others (`Beat.saved`)."""

    # --- sessions

    async def create(
        self,
        key: str,
        sealed: bytes,
        *,
        idle_seconds: float,
        expires_at: float,
        indexes: Sequence[str],
    ) -> None:
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

    # --- refresh leases

    async def acquire_lease(self, name: str, *, ttl_seconds: float) -> Lease | None:
        """The lease, or None when somebody else holds it. `name` is the key of the record whose
        refresh it guards."""

    async def renew_lease(self, lease: Lease, *, ttl_seconds: float) -> bool:
        """False when the lease has lapsed or passed to another holder."""

    async def release_lease(self, lease: Lease) -> None:
        """Give it back, if still held, and wake those who wait (`on_changed`)."""

    # --- login transactions

    async def put_login(
        self, state_key: str, sealed: bytes, *, browser_key: str, ttl_seconds: float, cap: int
    ) -> bytes | None:
        """Keep a transaction; past `cap` open ones of one browser the oldest is dropped. What was
        kept under the same key until now: each value but the last is returned once."""

    async def take_login(self, state_key: str) -> bytes | None:
        """The transaction, once: a second call returns None."""

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
