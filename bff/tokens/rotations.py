"""Keeping what the OP has rotated: it exists nowhere else.

A store that is down is waited for, while the process lives. A store that has forgotten is told
again: Redis replicates asynchronously, so that a failover may bring back a record as it was before
its last write, with a refresh token that is spent. Each process therefore remembers for a while
what it wrote, and writes it again over an older version of a record that is still there.

As long as something is under way or not written again, the other processes are told so, and leave
refresh tokens alone (see `refresh_hold`).

Never recreates a record, and never puts older tokens over newer ones.
"""

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import SessionEnded, StoreUnavailable
from bff.model import Session, public_id
from bff.sessions.sessions import Sessions
from bff.tasks import BackgroundTask

log = structlog.get_logger("bff.tokens")

FIRST_PAUSE_SECONDS = 0.05
# A process that holds rotated tokens must be among the first when the store is back.
LONGEST_PAUSE_SECONDS = 0.25
REMEMBER_SECONDS = 60.0
REMEMBER_ENTRIES = 10_000
RESTORED_AT_ONCE = 16


class Rotations:
    """Writes rotated tokens, and remembers them. One per process."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._written: BoundedMap[str, tuple[float, Session]] = BoundedMap(REMEMBER_ENTRIES)
        self._open: set[object] = set()
        # Those of them that trouble with the store has met, and a round of restoring.
        self._owed: set[object] = set()
        self._restoring = BackgroundTask(self._restore_all)
        self._gained = False  # the stream, since the last round of restoring began
        sessions.observe(on_ended=self._forget, on_watch=self._on_watch)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """From before the OP is asked until what it answers is written."""
        mark = object()
        self._open.add(mark)
        try:
            yield
        finally:
            self._open.discard(mark)
            if mark in self._owed:
                self._owed.discard(mark)
                self._tell()

    async def keep(self, updated: Session) -> Session | None:
        """Write `updated` over the version it was made from.

        Returns what the store has then: ours, or what another process wrote over it; None when a
        logout came first.

        Raises:
            StoreUnavailable: not before the session has expired.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                written = await self._sessions.replace(updated)
                if written is None:
                    # Our own write whose answer was lost, or a newer one; or gone.
                    written = await self._sessions.load_fresh(updated.key)
                    if written is not None and _went_back(written, updated):
                        updated = dataclasses.replace(updated, version=written.version)
                        continue
            except StoreUnavailable:
                self.store_failed()
                if self._clock.now() >= updated.expires_at:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            if written is not None:
                self._remember(written)
            return written

    async def load(self, key: str) -> Session:
        """The session as the store has it, restored if that has gone back.

        Raises:
            SessionEnded: it is gone.
            StoreUnavailable: nothing is known of it.
        """
        loaded = await self._sessions.load_fresh(key)
        session = None if loaded is None else await self.restored(loaded)
        if session is None:
            raise SessionEnded("the session is gone")
        return session

    async def restored(self, loaded: Session) -> Session | None:
        """`loaded`, or what this process knows to have been written after it. What another process,
        or another task of this one, restores at the same time may be older still, and is then
        written over.

        Returns what the store has then; None when a logout came first.

        Raises:
            StoreUnavailable: the older version is all the store has, and it can't be told.
        """
        found: Session | None = loaded
        while found is not None:
            _, known = self._written.get(found.key, (0.0, found))
            if not _is_older(found, known):
                break
            log.warning(
                "rotation_restored", session=public_id(found.key), found_version=found.version
            )
            again = dataclasses.replace(known, version=found.version)
            written = await self._sessions.replace(again)
            if written is not None:
                self._remember(written)
                return written
            found = await self._sessions.load_fresh(found.key)
        return found

    def store_failed(self) -> None:
        """It did not answer a refresh: what is under way may be what the store lacks."""
        self._owed |= self._open
        self._tell()

    async def close(self) -> None:
        await self._restoring.close()

    def _remember(self, session: Session) -> None:
        now = self._clock.now()
        self._written[session.key] = (now, session)
        while now - next(iter(self._written.values()))[0] > REMEMBER_SECONDS:
            self._written.popitem(last=False)

    def _forget(self, key: str, _reason: str) -> None:
        self._written.pop(key, None)

    def _on_watch(self, watching: bool) -> None:
        if not watching:
            return
        if self._restoring.is_running:
            self._gained = True
        elif self._written:
            self._owed.add(self._restoring)
            self._restoring.start()
        self.store_failed()

    def _tell(self) -> None:
        self._sessions.say_saved(saved=not self._owed)

    async def _restore_all(self) -> None:
        """The newest first: they are the likeliest to have been lost."""
        left = [key for key in self._written if self._is_remembered(key)]
        faulty: set[str] = set()
        while left:
            batch = [left.pop() for _ in range(min(RESTORED_AT_ONCE, len(left)))]
            done = await asyncio.gather(*(self._restore(key, faulty) for key in batch))
            failed = [key for key, is_done in zip(batch, done, strict=True) if not is_done]
            if failed:
                left += reversed(failed)
                await asyncio.sleep(LONGEST_PAUSE_SECONDS)
            if self._gained:  # the store may have gone back once more
                self._gained = False
                left = list(self._written)
        self._owed.discard(self._restoring)
        self._tell()

    async def _restore(self, key: str, faulty: set[str]) -> bool:
        """False when it is to be tried again. Sessions with an unforeseen fault are added to
        `faulty`, so that each is logged once."""
        try:
            await self.load(key)
        except SessionEnded:
            return True
        except StoreUnavailable:
            return False
        except Exception:  # a fault with one session must not keep the others from being restored
            if key not in faulty:
                log.exception("rotation_not_restored", session=public_id(key))
            faulty.add(key)
            return not self._is_remembered(key)
        return True

    def _is_remembered(self, key: str) -> bool:
        """For certain; what is older is dropped with the next write."""
        written_at, _ = self._written.get(key, (float("-inf"), None))
        return self._clock.now() - written_at <= REMEMBER_SECONDS


def _went_back(loaded: Session, updated: Session) -> bool:
    """The store has the record as it was when the refresh started, or as it was before that."""
    return loaded.version == updated.version or _is_older(loaded, updated)


def _is_older(loaded: Session, known: Session) -> bool:
    """By version and by time: a version counts anew where a store went back."""
    return loaded.version < known.version and loaded.refreshed_at < known.refreshed_at
