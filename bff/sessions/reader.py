"""The read path: cache, joined reads, and the store's news that keep both honest.

The cache is bypassed whenever changes made by other processes may go unheard.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.model import Session
from bff.sessions.cache import SessionCache, StaleSessions
from bff.sessions.messages import Heartbeat
from bff.sessions.news import SessionNews
from bff.sessions.sealing.records import SealedSessions
from bff.sessions.store import SessionStore
from bff.tasks import SingleFlight


@dataclass(slots=True)
class Lookups:
    """Sessions that were asked for: how many memory had, and how often the store was asked."""

    in_cache: int = 0
    in_store: int = 0


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
        news: SessionNews,
        stale: StaleSessions,
    ) -> None:
        self._store = store
        self._records = records
        self._clock = clock
        self._cache = cache
        self._news = news
        self._stale = stale
        self._reads: SingleFlight[Session | None] = SingleFlight()
        self.watching = False
        self.lookups = Lookups()

    def cached(self, key: str) -> Session | None:
        """A live session, if memory can vouch for it."""
        session = self._cache.get(key, self._clock.now()) if self.watching else None
        if session is not None:
            self.lookups.in_cache += 1
        return session

    async def load(self, key: str) -> Session | None:
        """From memory or the store; concurrent callers share one read."""
        session = self.cached(key)
        if session is not None:
            return session
        # Without news, a read that began before a logout elsewhere must not be joined after it.
        read = self._joined if self.watching else self.load_fresh
        return await self._stale.fall_back(key, read)

    async def _joined(self, key: str) -> Session | None:
        return await self._reads.join(key, lambda: self.load_fresh(key))

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
        self.lookups.in_store += 1
        stored = await self._store.load(key)
        reason = self._news.end_reason(key)
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
            self._reads.forget(key)

    def move_idle(self, key: str, idle_expires_at: float) -> None:
        """Show activity at once."""
        self._cache.move_idle(key, idle_expires_at)

    def forget(self, key: str) -> None:
        """The record is gone, or may be."""
        self._cache.ended(key)
        self._stale.forget(key)
        self._reads.forget(key)

    async def close(self) -> None:
        await self._reads.cancel()

    # --- the store's news

    def on_changed(self, key: str, *, version: int | None) -> None:
        if version is not None:
            self._cache.changed(key, version)
            self._reads.forget(key)
        self._news.changed(key)

    def on_ended(self, key: str, reason: str) -> None:
        self.forget(key)
        self._news.ended(key, reason)

    def on_watch(self, *, watching: bool) -> None:
        if not watching:
            for session, read_at in self._cache:
                self._stale.remember(session, read_at)
        self._cache.clear()
        self._reads.forget_all()
        self.watching = watching
        self._news.watching(watching=watching)

    def on_proven(self, at: float) -> None:
        self._cache.vouch(at)
        self._news.proven()

    def on_heartbeat(self, heartbeat: Heartbeat) -> None:
        self._news.heartbeat(heartbeat)
