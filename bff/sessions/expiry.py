"""How sessions end by time: activity that puts the end off, and word of those that have expired."""

import asyncio
import contextlib
import heapq
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.sessions.store import SessionStore
from bff.tasks import BackgroundTask, PeriodicTask

log = structlog.get_logger("bff.sessions")

TOUCHED_AT_ONCE = 128
RETRY_SECONDS = 0.5
CLOSE_SECONDS = 3.0

IDLE = "idle"
ABSOLUTE = "absolute"

LOOK_EVERY_SECONDS = 1.0
LATER_SECONDS = 0.5  # than the expiry: the store's clock is not ours
MOST_WATCHED = 100_000
ANNOUNCED_SECONDS = 30.0  # how long no other process announces the same end
LOOKED_AT_ONCE = 256  # before other tasks have a turn

Announce = Callable[[str, str], None]


class Touches:
    """Activity on its way to the store: written in batches, never in a request's way.

    Only the expiry moves; a touch knows no tokens and can't overwrite any. One that fails is tried
    again with the time that it was made for, since a lost one could log out an active user, and
    after the others, for it may be one shard of a cluster that fails. `on_gone` is called for
    records that were not there any more.
    """

    def __init__(self, store: SessionStore, clock: Clock, on_gone: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_gone = on_gone
        self._expires_at: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._worker = BackgroundTask(self._run)

    def start(self) -> None:
        self._worker.start()

    async def close(self) -> None:
        """Write what is left, once."""
        await self._worker.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._write_all()

    def add(self, key: str, idle_expires_at: float) -> None:
        """Note activity that moves the idle expiry to this, for the next batch."""
        self._expires_at[key] = idle_expires_at
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._store.gather_seconds)
            self._wake.clear()
            try:
                complete = await self._write_all()
            except Exception:  # without this worker every user would idle out
                log.exception("touches_failed")
                complete = False
            if not complete:
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def _write_all(self) -> bool:
        """One try for what is noted so far; False when the store failed, the rest is left then."""
        batch = list(self._expires_at.items())
        for start in range(0, len(batch), TOUCHED_AT_ONCE):
            if not await self._write(dict(batch[start : start + TOUCHED_AT_ONCE])):
                return False
        return True

    async def _write(self, expires_at: Mapping[str, float]) -> bool:
        for key in expires_at:  # to the end: what fails again and again must not keep others back
            self._expires_at[key] = self._expires_at.pop(key)
        now = self._clock.now()
        left = {key: at - now for key, at in expires_at.items()}
        left = {key: seconds for key, seconds in left.items() if seconds > 0}
        try:
            gone = await self._store.touch_all(left) if left else ()
        except StoreUnavailable as error:
            log.warning("touches_delayed", sessions=len(left), detail=error.log_detail)
            return False
        for key in gone:
            self._on_gone(key)
        for key, at in expires_at.items():
            if self._expires_at.get(key) == at:
                del self._expires_at[key]
        return True


class ExpiryWatch:
    """Announces sessions that have expired: `on_expired(key, reason)` is called for each.

    The store drops an expired record without a message, so each process looks at the sessions that
    it has written: once when their time is up, and again when that was moved. Of the processes that
    find a record gone the one that gets a lease for it announces it, so that each end is announced
    once. It is not the lease of a refresh: a failover may bring the record back. Not announced:
    sessions of a process that ended before, those past the bound, and those whose time was up while
    the store or its stream of changes was down, for they may have been ended.
    """

    def __init__(
        self, store: SessionStore, clock: Clock, on_expired: Announce, *, most: int = MOST_WATCHED
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_expired = on_expired
        self._most = most
        self._due: dict[str, tuple[float, float]] = {}  # when to look, and the absolute expiry
        # Each key with its due time or an older one; also those forgotten, until that time comes.
        self._order: list[tuple[float, str]] = []
        self._worker = PeriodicTask(
            self._look,
            every_seconds=LOOK_EVERY_SECONDS,
            # Without this worker no expiry would be announced any more.
            on_failure=partial(log.exception, "expiries_failed"),
        )

    def start(self) -> None:
        self._worker.start()

    async def close(self) -> None:
        await self._worker.close()

    def expect(self, key: str, *, idle_expires_at: float, expires_at: float) -> None:
        """As far as this process knows the session ends at the earlier of both."""
        due = min(idle_expires_at, expires_at) + LATER_SECONDS
        known = self._due.get(key)
        if known is None:
            if len(self._order) >= self._most:
                return
            heapq.heappush(self._order, (due, key))
        elif known[0] > due:
            due = known[0]
        self._due[key] = due, expires_at

    def forget(self, key: str) -> None:
        """It has ended otherwise, and that was told."""
        self._due.pop(key, None)  # its place in the order is dropped when its time comes

    def forget_all(self) -> None:
        """Some may have ended otherwise, unheard."""
        self._due.clear()
        self._order.clear()

    async def _look(self) -> None:
        now, looked = self._clock.now(), 0
        while self._order and self._order[0][0] <= now:
            _, key = heapq.heappop(self._order)
            if key not in self._due:
                continue
            due, expires_at = self._due[key]
            if due > now:
                heapq.heappush(self._order, (due, key))
                continue
            del self._due[key]
            with contextlib.suppress(StoreUnavailable):
                await self._look_at(key, expires_at, is_absolute=due >= expires_at)
            looked += 1
            if looked % LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _look_at(self, key: str, expires_at: float, *, is_absolute: bool) -> None:
        stored = await self._store.load(key)
        if stored is not None:
            self.expect(key, idle_expires_at=stored.idle_expires_at, expires_at=expires_at)
            return
        lease = await self._store.acquire_lease(f"expired:{key}", ttl_seconds=ANNOUNCED_SECONDS)
        if lease is not None:
            self._on_expired(key, ABSOLUTE if is_absolute else IDLE)
