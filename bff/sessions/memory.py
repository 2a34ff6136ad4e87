"""Sessions in this process's memory: the embedded default, for one worker.

Nothing here awaits but the scan, so each method is one atomic step of the event loop. Expiry is by
the injected clock: on access, and by a sweep of bounded length with every write.
"""

import asyncio
import heapq
import itertools
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from bff.clock import Clock
from bff.errors import InternalError
from bff.sessions.store import Lease, StoredRecord, StoreListener

SWEPT_AT_ONCE = 16
BUCKETS_SWEPT_AT_ONCE = 4
SCANNED_AT_ONCE = 500


@dataclass(slots=True)
class _Record:
    version: int
    sealed: bytes = field(repr=False)
    idle_expires_at: float
    expires_at: float
    indexes: frozenset[str]

    def as_stored(self) -> StoredRecord:
        return StoredRecord(self.version, self.sealed, self.idle_expires_at)


@dataclass(slots=True)
class _Login:
    sealed: bytes = field(repr=False)
    browser_key: str
    expires_at: float


class MemoryStore:
    """A `SessionStore`; see there for the rules."""

    gather_seconds = 0.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._indexes: dict[str, dict[str, None]] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._logins: dict[str, _Login] = {}
        self._browsers: dict[str, dict[str, None]] = {}
        self._seen: dict[str, float] = {}
        self._buckets = MemoryBuckets(clock)
        self._listeners: list[StoreListener] = []
        # (when to look, what it is, its key); a record that was touched meanwhile is put back.
        self._due: list[tuple[float, str, str]] = []

    async def start(self) -> None:
        for listener in self._listeners:
            listener.on_watch(watching=True)

    async def close(self) -> None:
        """Nothing is open."""

    async def ping(self) -> None:
        """Always there."""

    def watch(self, listener: StoreListener) -> None:
        self._listeners.append(listener)

    def say_saved(self, *, saved: bool) -> None:
        """There is no other process to be told."""

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
        self._sweep()
        if self._live(key) is not None:
            raise InternalError("the session's key is taken")
        idle_expires_at = min(self._clock.now() + idle_seconds, expires_at)
        self._records[key] = _Record(1, sealed, idle_expires_at, expires_at, frozenset(indexes))
        for index in indexes:
            self._indexes.setdefault(index, {})[key] = None
        heapq.heappush(self._due, (idle_expires_at, "session", key))

    async def load(self, key: str) -> StoredRecord | None:
        record = self._live(key)
        return record.as_stored() if record is not None else None

    async def replace(self, key: str, sealed: bytes, *, expected_version: int) -> bool:
        record = self._live(key)
        if record is None or record.version != expected_version:
            return False
        record.version += 1
        record.sealed = sealed
        for listener in self._listeners:
            listener.on_changed(key, version=record.version)
        return True

    async def touch(self, key: str, *, idle_seconds: float) -> bool:
        self._sweep()
        record = self._live(key)
        if record is None:
            return False
        moved = min(self._clock.now() + idle_seconds, record.expires_at)
        record.idle_expires_at = max(record.idle_expires_at, moved)
        return True

    async def touch_all(self, idle_seconds: Mapping[str, float]) -> frozenset[str]:
        return frozenset(
            [
                key
                for key, left in idle_seconds.items()
                if not await self.touch(key, idle_seconds=left)
            ]
        )

    async def delete(
        self,
        key: str,
        *,
        reason: str,
        indexes: Sequence[str] = (),
        expected_version: int | None = None,
    ) -> StoredRecord | None:
        record = self._live(key)
        if record is None or expected_version not in (None, record.version):
            return None
        self._drop(key, record, *indexes)
        for listener in self._listeners:
            listener.on_ended(key, reason)
        return record.as_stored()

    async def members(self, index: str) -> tuple[str, ...]:
        return tuple(self._indexes.get(index, ()))

    async def scan(self) -> AsyncIterator[tuple[str, ...]]:
        keys = iter(tuple(self._records))
        while batch := tuple(itertools.islice(keys, SCANNED_AT_ONCE)):
            yield tuple(key for key in batch if self._live(key) is not None)
            await asyncio.sleep(0)

    # --- refresh leases

    async def acquire_lease(self, name: str, *, ttl_seconds: float) -> Lease | None:
        self._sweep()
        now = self._clock.now()
        held = self._leases.get(name)
        if held is not None and now < held[1]:
            return None
        lease = Lease(name, secrets.token_hex(8))
        self._leases[name] = (lease.holder, now + ttl_seconds)
        heapq.heappush(self._due, (now + ttl_seconds, "lease", name))
        return lease

    async def renew_lease(self, lease: Lease, *, ttl_seconds: float) -> bool:
        if not self._holds(lease):
            return False
        self._leases[lease.name] = (lease.holder, self._clock.now() + ttl_seconds)
        return True

    async def release_lease(self, lease: Lease) -> None:
        if self._holds(lease):
            del self._leases[lease.name]
            for listener in self._listeners:
                listener.on_changed(lease.name, version=None)

    # --- login transactions

    async def put_login(
        self, state_key: str, sealed: bytes, *, browser_key: str, ttl_seconds: float, cap: int
    ) -> bytes | None:
        self._sweep()
        before = await self.take_login(state_key)
        expires_at = self._clock.now() + ttl_seconds
        self._logins[state_key] = _Login(sealed, browser_key, expires_at)
        heapq.heappush(self._due, (expires_at, "login", state_key))
        browsers = self._browsers.setdefault(browser_key, {})
        browsers[state_key] = None
        while len(browsers) > cap:
            self._take(next(iter(browsers)))
        return before

    async def take_login(self, state_key: str) -> bytes | None:
        login = self._take(state_key)
        return login.sealed if login is not None and self._clock.now() < login.expires_at else None

    # --- what has been seen

    async def remember(self, key: str, *, ttl_seconds: float) -> None:
        self._sweep()
        self._seen[key] = self._clock.now() + ttl_seconds
        heapq.heappush(self._due, (self._seen[key], "seen", key))

    async def is_remembered(self, key: str) -> bool:
        return self._clock.now() < self._seen.get(key, 0.0)

    # --- how often

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        return self._buckets.fill(
            key, seconds=seconds, size_seconds=size_seconds, to_the_brim=to_the_brim
        )

    # --- within

    def _live(self, key: str) -> _Record | None:
        record = self._records.get(key)
        if record is not None and self._clock.now() >= record.idle_expires_at:
            self._drop(key, record)
            return None
        return record

    def _holds(self, lease: Lease) -> bool:
        holder, expires_at = self._leases.get(lease.name, ("", 0.0))
        return holder == lease.holder and self._clock.now() < expires_at

    def _drop(self, key: str, record: _Record, *more_indexes: str) -> None:
        del self._records[key]
        for index in record.indexes.union(more_indexes):
            members = self._indexes.get(index, {})
            members.pop(key, None)
            if not members:
                self._indexes.pop(index, None)

    def _take(self, state_key: str) -> _Login | None:
        login = self._logins.pop(state_key, None)
        if login is not None:
            browsers = self._browsers.get(login.browser_key, {})
            browsers.pop(state_key, None)
            if not browsers:
                self._browsers.pop(login.browser_key, None)
        return login

    def _sweep(self) -> None:
        """Drop some of what has expired; each write pays for more than it adds."""
        now = self._clock.now()
        for _ in range(SWEPT_AT_ONCE):
            if not self._due or self._due[0][0] > now:
                return
            _, kind, key = heapq.heappop(self._due)
            expires_at = self._expiry(kind, key)
            if expires_at is None:
                continue
            if expires_at > now:
                heapq.heappush(self._due, (expires_at, kind, key))
            elif kind == "session":
                self._drop(key, self._records[key])
            elif kind == "login":
                self._take(key)
            elif kind == "lease":
                del self._leases[key]
            else:
                del self._seen[key]

    def _expiry(self, kind: str, key: str) -> float | None:
        if kind == "session":
            record = self._records.get(key)
            return record.idle_expires_at if record is not None else None
        if kind == "login":
            login = self._logins.get(key)
            return login.expires_at if login is not None else None
        if kind == "seen":
            return self._seen.get(key)
        held = self._leases.get(key)
        return held[1] if held is not None else None


class MemoryBuckets:
    """Buckets that leak: the `fill` of a `SessionStore`. An empty one is forgotten, sooner or
    later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._empty_at: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []  # when to look; one filled meanwhile is put back

    def __len__(self) -> int:
        return len(self._empty_at)

    def fill(self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool) -> float:
        now = self._clock.now()
        self._sweep(now)
        before = max(0.0, self._empty_at.get(key, 0.0) - now)
        room = max(0.0, size_seconds - before)
        if seconds * 0.99 > room:  # what rounding leaves over does not count
            if not to_the_brim:
                return before
            seconds = room
        if seconds > 0:
            if key not in self._empty_at:
                heapq.heappush(self._due, (now + before + seconds, key))
            self._empty_at[key] = now + before + seconds
        return before

    def _sweep(self, now: float) -> None:
        """Each call pays for more than it adds."""
        for _ in range(BUCKETS_SWEPT_AT_ONCE):
            if not self._due or self._due[0][0] > now:
                return
            _, key = heapq.heappop(self._due)
            if self._empty_at[key] > now:
                heapq.heappush(self._due, (self._empty_at[key], key))
            else:
                del self._empty_at[key]
