"""Timeouts that cost next to nothing while nothing is late.

Moving a deadline is an assignment; the event loop's timer behind it is moved only when it fires, or
when the deadline comes closer.
"""

import asyncio
from collections.abc import Callable

NEVER = float("inf")


class Deadline:
    """Calls `on_passed` once each time the moment that was last set has come."""

    __slots__ = ("_at", "_handle", "_loop", "_on_passed")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_passed: Callable[[], None]) -> None:
        self._loop = loop
        self._on_passed = on_passed
        self._at = NEVER
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """From now on; the deadline before it no longer counts."""
        self._at = at = self._loop.time() + seconds
        handle = self._handle
        if handle is None:
            self._handle = self._loop.call_at(at, self._look)
        elif handle.when() > at:
            handle.cancel()
            self._handle = self._loop.call_at(at, self._look)

    def clear(self) -> None:
        """Nothing is awaited."""
        self._at = NEVER

    def close(self) -> None:
        """Never call anybody again."""
        self._at = NEVER
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        if self._at == NEVER:
            return
        if self._loop.time() < self._at - _ROUNDING_SECONDS:
            self._handle = self._loop.call_at(self._at, self._look)
            return
        self._at = NEVER
        self._on_passed()


_ROUNDING_SECONDS = 0.002  # uvloop's timers count in milliseconds
