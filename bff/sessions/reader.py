"""The read path: cache, joined reads, and the store's news that keep both honest.

The cache is bypassed whenever changes made by other processes may go unheard.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.model import Session
from bff.sessions.beats import Beat
from bff.sessions.cache import SessionCache
from bff.sessions.last_known import LastKnown
from bff.sessions.observers import Observers
from bff.sessions.reads import JoinedReads
from bff.sessions.records import SealedSessions
from bff.sessions.store import SessionStore


@dataclass(slots=True)
class Write:
    """A write under way. Set `outcome` to what the store then holds, if that is known."""

    outcome: Session | None = None


class SessionReader:
    """Reads sessions; a `StoreListener`."""

    def __init__(
        self,
        store: SessionStore,
        records: SealedSessions,
        clock: Clock,
        cache: SessionCache,
        observers: Observers,
        last_known: LastKnown,
    ) -> None:
        self._store = store
        self._records = records
        self._clock = clock
        self._cache = cache
        self._observers = observers
        self._last_known = last_known
        self._reads = JoinedReads(self.load_fresh)
        self.watching = False

    def cached(self, key: str) -> Session | None:
        """A live session, if memory can vouch for it."""
        return self._cache.get(key, self._clock.now()) if self.watching else None

    async def load(self, key: str) -> Session | None:
        """From memory or the store; concurrent callers share one read."""
        session = self.cached(key)
        if session is not None:
            return session
        # Without news, a read that began before a logout elsewhere must not be joined after it.
        read = self._reads.get if self.watching else self.load_fresh
        return await self._last_known.fall_back(key, read)

    async def load_fresh(self, key: str) -> Session | None:
        """As the store has it now, and into the cache."""
        ticket = self._cache.begin(key, self._clock.now())
        session = None
        try:
            session = await self.load_aside(key)
        finally:
            self._cache.finish(ticket, session)
        return session

    async def load_aside(self, key: str) -> Session | None:
        """As the store has it now, leaving the cache alone."""
        stored = await self._store.load(key)
        reason = self._observers.end_reason(key)
        if stored is not None and reason is not None and not self._records.is_foreign(stored):
            # The store went back in time, as Redis does in a failover that loses its last writes.
            with suppress(StoreUnavailable):
                await self._store.delete(key, reason=reason)
            return None
        session = self._records.open(key, stored)
        return session if session is not None and session.is_live(self._clock.now()) else None

    @contextmanager
    def writing(self, key: str) -> Iterator[Write]:
        """Around a write to the store: what was read before it is dropped, what it made is kept,
        unless the store's news of a later change got here first."""
        ticket = self._cache.begin(key, self._clock.now())
        write = Write()
        try:
            yield write
        finally:
            self._cache.finish(ticket, write.outcome)
            self._reads.close_to_joiners(key)

    def move_idle(self, key: str, idle_expires_at: float) -> None:
        """Show activity at once."""
        self._cache.move_idle(key, idle_expires_at)

    def forget(self, key: str) -> None:
        """The record is gone, or may be."""
        self._cache.ended(key)
        self._last_known.forget(key)
        self._reads.close_to_joiners(key)

    async def close(self) -> None:
        await self._reads.cancel()

    # --- the store's news

    def on_changed(self, key: str, *, version: int | None) -> None:
        if version is not None:
            self._cache.changed(key, version)
            self._reads.close_to_joiners(key)
        self._observers.changed(key)

    def on_ended(self, key: str, reason: str) -> None:
        self.forget(key)
        self._observers.ended(key, reason)

    def on_watch(self, *, watching: bool) -> None:
        if not watching:
            for session, read_at in self._cache:
                self._last_known.remember(session, read_at)
        self._cache.clear()
        self._reads.close_all_to_joiners()
        self.watching = watching
        self._observers.watching(watching=watching)

    def on_proven(self, at: float) -> None:
        self._cache.vouch(at)

    def on_beat(self, beat: Beat) -> None:
        self._observers.beat(beat)
