"""What this process keeps in memory until it expires, by the injected clock: on access, and by a
sweep of bounded length with every write.
"""

import heapq
from collections.abc import Callable
from typing import TypeVar

from bff.clock import Clock

SWEPT_AT_ONCE = 16

Entry = TypeVar("Entry")


class Expiring(dict[str, Entry]):
    """Entries of one kind, each with a time at which it expires, and which may be put off.

    `expires_at` says when. `on_drop` is called with each that is dropped, by whatever way.
    """

    def __init__(
        self,
        clock: Clock,
        expires_at: Callable[[Entry], float],
        on_drop: Callable[[str, Entry], object] | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._expires_at = expires_at
        self._on_drop = on_drop
        # When to look at which key: once for each entry, and put back if that was put off.
        self._due: list[tuple[float, str]] = []

    def put(self, key: str, entry: Entry) -> None:
        """Keep it until it expires, in the place of another one."""
        if key not in self:
            heapq.heappush(self._due, (self._expires_at(entry), key))
        self[key] = entry

    def live(self, key: str) -> Entry | None:
        """The entry, unless it has expired."""
        entry = self.get(key)
        if entry is not None and self._clock.now() >= self._expires_at(entry):
            self.drop(key)
            return None
        return entry

    def drop(self, key: str) -> Entry | None:
        """Forget it. What it was, if there was one."""
        entry = self.pop(key, None)
        if entry is not None and self._on_drop is not None:
            self._on_drop(key, entry)
        return entry

    def sweep(self) -> None:
        """Drop some of what has expired; a call for each that is put drops more than that."""
        now = self._clock.now()
        for _ in range(SWEPT_AT_ONCE):
            if not self._due or self._due[0][0] > now:
                return
            _, key = heapq.heappop(self._due)
            entry = self.get(key)
            if entry is None:
                continue
            if self._expires_at(entry) > now:
                heapq.heappush(self._due, (self._expires_at(entry), key))
            else:
                self.drop(key)


class MemoryBuckets:
    """Buckets that leak: the `fill` of a `SessionStore`. An empty one is forgotten, sooner or
    later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._empty_at = Expiring[float](clock, lambda empty_at: empty_at)

    def __len__(self) -> int:
        return len(self._empty_at)

    def fill(self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool) -> float:
        self._empty_at.sweep()
        now = self._clock.now()
        before = max(0.0, self._empty_at.get(key, 0.0) - now)
        room = max(0.0, size_seconds - before)
        if seconds * 0.99 > room:  # what rounding leaves over does not count
            if not to_the_brim:
                return before
            seconds = room
        if seconds > 0:
            self._empty_at.put(key, now + before + seconds)
        return before
