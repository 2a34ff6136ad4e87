"""Keeping what the OP has rotated: it exists nowhere else.

A store that is down is waited for, while the process lives. A store that has forgotten is told
again: Redis replicates asynchronously, so that a failover may bring back a record as it was before
its last write, with a refresh token that is spent. Each process therefore remembers for a while
what it wrote, and writes it again over an older version of a record that is still there.

Never recreates a record, and never puts older tokens over newer ones.
"""

import asyncio
import dataclasses
from collections import OrderedDict

import structlog

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.model import Session
from bff.sessions.sessions import Sessions
from bff.sessions.store import Lease

log = structlog.get_logger("bff.tokens")

FIRST_PAUSE_SECONDS = 0.05
# Well below `calm.SECONDS`: who holds rotated tokens must be first when the store is back.
LONGEST_PAUSE_SECONDS = 0.25
REMEMBER_SECONDS = 60.0
REMEMBER_ENTRIES = 10_000
RESTORED_AT_ONCE = 16


class Rotations:
    """Writes rotated tokens, and remembers them. One per process."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._written: OrderedDict[str, tuple[float, Session]] = OrderedDict()
        self._restoring: asyncio.Task[None] | None = None
        sessions.observe(on_ended=self._forget, on_watch=self._on_watch)

    async def keep(self, updated: Session, lease: Lease) -> Session | None:
        """Write `updated` over the version it was made from, first under the lease.

        Returns what the store has then: ours, or what somebody wrote over it; None when a logout
        came first.

        Raises:
            StoreUnavailable: not before the session has expired.
        """
        guard: Lease | None = lease
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                written = await self._sessions.replace(updated, lease=guard)
                if written is None:
                    current = await self._sessions.load_fresh(updated.key)
                    if current is not None and current.version == updated.version:
                        guard = None  # the lease lapsed but nobody wrote: the version alone decides
                        continue
                    # Our own write whose answer was lost, or a newer one; or gone.
                    written = current
            except StoreUnavailable:
                if self._clock.now() >= updated.expires_at:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            if written is not None:
                self._remember(written)
            return written

    async def restored(self, loaded: Session) -> Session:
        """`loaded`, or what this process knows to have been written after it.

        Raises:
            StoreUnavailable: the older version is all the store has, and it can't be told.
        """
        _, known = self._written.get(loaded.key, (0.0, loaded))
        if not _is_older(loaded, known):
            return loaded
        log.warning("rotation_restored", session=loaded.key[:16], found_version=loaded.version)
        again = dataclasses.replace(known, version=loaded.version)
        written = await self._sessions.replace(again)
        if written is not None:
            self._remember(written)
        return written or loaded

    async def close(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
            await asyncio.wait([self._restoring])

    def _remember(self, session: Session) -> None:
        now = self._clock.now()
        self._written[session.key] = (now, session)
        self._written.move_to_end(session.key)
        while self._written:
            written_at, _ = next(iter(self._written.values()))
            is_recent = now - written_at <= REMEMBER_SECONDS
            if is_recent and len(self._written) <= REMEMBER_ENTRIES:
                return
            self._written.popitem(last=False)

    def _forget(self, key: str, _reason: str) -> None:
        self._written.pop(key, None)

    def _on_watch(self, watching: bool) -> None:
        if watching and self._written and (self._restoring is None or self._restoring.done()):
            self._restoring = asyncio.create_task(self._restore_all())

    async def _restore_all(self) -> None:
        """The newest first: they are the likeliest to have been lost."""
        now = self._clock.now()
        keys = [key for key, (at, _) in self._written.items() if now - at <= REMEMBER_SECONDS]
        keys.reverse()
        for start in range(0, len(keys), RESTORED_AT_ONCE):
            batch = keys[start : start + RESTORED_AT_ONCE]
            await asyncio.gather(*(self._restore(key) for key in batch))

    async def _restore(self, key: str) -> None:
        try:
            loaded = await self._sessions.load_fresh(key)
            if loaded is not None:
                await self.restored(loaded)
        except StoreUnavailable:
            return  # the stream will break and come back, or the next refresh restores it


def _is_older(loaded: Session, known: Session) -> bool:
    """By version and by time: a version counts anew where a store went back."""
    return loaded.version < known.version and loaded.tokens.obtained_at < known.tokens.obtained_at
