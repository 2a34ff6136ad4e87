"""Sessions in this process's memory: the embedded default, for one worker.

Nothing here awaits but the scan, so each method is one atomic step of the event loop. Expiry is by
the injected clock: on access, and by a sweep of bounded length with every write.
"""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from bff.clock import Clock
from bff.errors import InternalError
from bff.sessions.expiring import Expiring, MemoryBuckets
from bff.sessions.store import Lease, NewRecord, StoredRecord, StoreListener

SCANNED_AT_ONCE = 500


@dataclass(slots=True)
class _Record:
    version: int
    sealed: bytes = field(repr=False)
    idle_expires_at: float
    expires_at: float
    indexes: Sequence[str]

    def as_stored(self) -> StoredRecord:
        return StoredRecord(self.version, self.sealed, self.idle_expires_at)


@dataclass(slots=True)
class _Held:
    holder: str
    expires_at: float


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
        self._records = Expiring[_Record](clock, lambda it: it.idle_expires_at, self._leave_indexes)
        self._indexes: dict[str, dict[str, None]] = {}
        self._leases = Expiring[_Held](clock, lambda it: it.expires_at)
        self._logins = Expiring[_Login](clock, lambda it: it.expires_at, self._leave_browser)
        self._browsers: dict[str, dict[str, None]] = {}
        self._seen = Expiring[float](clock, lambda expires_at: expires_at)
        self._buckets = MemoryBuckets(clock)
        self._listeners: list[StoreListener] = []

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

    async def create(self, key: str, record: NewRecord) -> None:
        self._sweep()
        if self._records.live(key) is not None:
            raise InternalError("the session's key is taken")
        idle_expires_at = min(self._clock.now() + record.idle_seconds, record.expires_at)
        self._records.put(
            key, _Record(1, record.sealed, idle_expires_at, record.expires_at, record.indexes)
        )
        for index in record.indexes:
            self._indexes.setdefault(index, {})[key] = None

    async def load(self, key: str) -> StoredRecord | None:
        record = self._records.live(key)
        return record.as_stored() if record is not None else None

    async def replace(self, key: str, sealed: bytes, *, expected_version: int) -> bool:
        record = self._records.live(key)
        if record is None or record.version != expected_version:
            return False
        record.version += 1
        record.sealed = sealed
        for listener in self._listeners:
            listener.on_changed(key, version=record.version)
        return True

    async def touch(self, key: str, *, idle_seconds: float) -> bool:
        self._sweep()
        record = self._records.live(key)
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
        record = self._records.live(key)
        if record is None or expected_version not in (None, record.version):
            return None
        self._records.drop(key)
        for listener in self._listeners:
            listener.on_ended(key, reason)
        return record.as_stored()

    async def members(self, index: str) -> tuple[str, ...]:
        return tuple(self._indexes.get(index, ()))

    async def scan(self) -> AsyncIterator[tuple[str, ...]]:
        keys = iter(tuple(self._records))
        while batch := tuple(itertools.islice(keys, SCANNED_AT_ONCE)):
            yield tuple(key for key in batch if self._records.live(key) is not None)
            await asyncio.sleep(0)

    # --- refresh leases

    async def acquire_lease(self, name: str, *, ttl_seconds: float) -> Lease | None:
        self._sweep()
        if self._leases.live(name) is not None:
            return None
        lease = Lease(name, secrets.token_hex(8))
        self._leases.put(name, _Held(lease.holder, self._clock.now() + ttl_seconds))
        return lease

    async def renew_lease(self, lease: Lease, *, ttl_seconds: float) -> bool:
        held = self._held(lease)
        if held is not None:
            held.expires_at = self._clock.now() + ttl_seconds
        return held is not None

    async def release_lease(self, lease: Lease) -> None:
        if self._held(lease) is not None:
            self._leases.drop(lease.name)
            for listener in self._listeners:
                listener.on_changed(lease.name, version=None)

    # --- login transactions

    async def put_login(
        self, state_key: str, sealed: bytes, *, browser_key: str, ttl_seconds: float, cap: int
    ) -> bytes | None:
        self._sweep()
        before = await self.take_login(state_key)
        expires_at = self._clock.now() + ttl_seconds
        self._logins.put(state_key, _Login(sealed, browser_key, expires_at))
        browsers = self._browsers.setdefault(browser_key, {})
        browsers[state_key] = None
        while len(browsers) > cap:
            self._logins.drop(next(iter(browsers)))
        return before

    async def take_login(self, state_key: str) -> bytes | None:
        login = self._logins.live(state_key)
        self._logins.drop(state_key)
        return login.sealed if login is not None else None

    async def load_login(self, state_key: str) -> bytes | None:
        login = self._logins.live(state_key)
        return login.sealed if login is not None else None

    # --- what has been seen

    async def remember(self, key: str, *, ttl_seconds: float) -> None:
        self._sweep()
        self._seen.put(key, self._clock.now() + ttl_seconds)

    async def is_remembered(self, key: str) -> bool:
        return self._seen.live(key) is not None

    # --- how often

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        return self._buckets.fill(
            key, seconds=seconds, size_seconds=size_seconds, to_the_brim=to_the_brim
        )

    # --- within

    def _held(self, lease: Lease) -> _Held | None:
        """None: it has lapsed, or passed to another holder."""
        held = self._leases.live(lease.name)
        return held if held is not None and held.holder == lease.holder else None

    def _leave_indexes(self, key: str, record: _Record) -> None:
        for index in record.indexes:
            _leave(self._indexes, index, key)

    def _leave_browser(self, state_key: str, login: _Login) -> None:
        _leave(self._browsers, login.browser_key, state_key)

    def _sweep(self) -> None:
        self._records.sweep()
        self._leases.sweep()
        self._logins.sweep()
        self._seen.sweep()


def _leave(groups: dict[str, dict[str, None]], name: str, member: str) -> None:
    """An empty group is none."""
    members = groups.get(name, {})
    members.pop(member, None)
    if not members:
        groups.pop(name, None)
