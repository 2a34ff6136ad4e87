"""Sessions that end by themselves: the store drops them without a word, so each process looks after
those that it has written, and says when one of them is gone.

No scan: one look at the store for each session when its time is up, and again when that was moved.
Of the processes that find it gone the one that gets the session's lease speaks, so an expiry is
told once. Not told: sessions of a process that ended before, those past the bound, and those
whose time was up while the store or its stream of changes was down, for they may have been ended.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Callable

import structlog

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.sessions.store import SessionStore

log = structlog.get_logger("bff.sessions")

IDLE = "idle"
ABSOLUTE = "absolute"

LOOK_EVERY_SECONDS = 1.0
LATER_SECONDS = 0.5  # than the expiry: the store's clock is not ours
MOST_WATCHED = 100_000
SPOKEN_FOR_SECONDS = 30.0  # the lease of one that speaks: longer than another is late
MOST_AT_ONCE = 256  # looked at in a row before others have a turn

Told = Callable[[str, str], None]


class Expiries:
    """`on_expired(key, reason)` is told of each."""

    def __init__(
        self, store: SessionStore, clock: Clock, on_expired: Told, *, most: int = MOST_WATCHED
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_expired = on_expired
        self._most = most
        self._due: dict[str, tuple[float, float]] = {}  # when to look, and the absolute expiry
        # Each key with its due time or an older one; also those forgotten, until that time comes.
        self._order: list[tuple[float, str]] = []
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._worker = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

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

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                await self._look()
            except Exception:  # without this worker no expiry would be told any more
                log.exception("expiries_failed")

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
            if looked % MOST_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _look_at(self, key: str, expires_at: float, *, is_absolute: bool) -> None:
        stored = await self._store.load(key)
        if stored is not None:
            self.expect(key, idle_expires_at=stored.idle_expires_at, expires_at=expires_at)
        elif await self._store.acquire_lease(key, ttl_seconds=SPOKEN_FOR_SECONDS) is not None:
            self._on_expired(key, ABSOLUTE if is_absolute else IDLE)
