"""Activity on its way to the store: written in batches in the background, never in a request's way.

Only the expiry moves; a touch knows no tokens and can't overwrite any. One that fails is tried
again with the time it happened, for a lost one could log out a user who was there.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import structlog

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.sessions.store import SessionStore

log = structlog.get_logger("bff.sessions")

AT_ONCE = 128
RETRY_SECONDS = 0.5
CLOSE_SECONDS = 3.0


class Touches:
    """`on_gone` is told of records that were not there any more."""

    def __init__(
        self, store: SessionStore, clock: Clock, idle_seconds: float, on_gone: Callable[[str], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._on_gone = on_gone
        self._active_at: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._worker = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what is left, once."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._write_all()

    def add(self, key: str, active_at: float) -> None:
        """Note activity, for the next batch."""
        self._active_at[key] = active_at
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
        batch = list(self._active_at.items())
        for start in range(0, len(batch), AT_ONCE):
            if not await self._write(dict(batch[start : start + AT_ONCE])):
                return False
        return True

    async def _write(self, active_at: Mapping[str, float]) -> bool:
        now = self._clock.now()
        left = {key: at + self._idle_seconds - now for key, at in active_at.items()}
        left = {key: seconds for key, seconds in left.items() if seconds > 0}
        try:
            gone = await self._store.touch_all(left) if left else ()
        except StoreUnavailable as error:
            log.warning("touches_delayed", sessions=len(left), detail=error.log_detail)
            return False
        for key in gone:
            self._on_gone(key)
        for key, at in active_at.items():
            if self._active_at.get(key) == at:
                del self._active_at[key]
        return True
