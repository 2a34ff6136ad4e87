"""Buckets that leak, in this process's memory. One that is empty is forgotten, sooner or later."""

import heapq

from bff.clock import Clock

SWEPT_AT_ONCE = 4


class MemoryBuckets:
    """The `fill` of a `SessionStore`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._empty_at: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []  # when to look; one filled meanwhile is put back

    def __len__(self) -> int:
        return len(self._empty_at)

    def fill(self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool) -> float:
        now = self._clock.now()
        self._sweep(now)
        before = max(0.0, self._empty_at.get(key, 0.0) - now)
        room = max(0.0, size_seconds - before)
        if seconds * 0.99 > room:  # what rounding leaves over does not count
            if not to_the_brim:
                return before
            seconds = room
        if seconds > 0:
            if key not in self._empty_at:
                heapq.heappush(self._due, (now + before + seconds, key))
            self._empty_at[key] = now + before + seconds
        return before

    def _sweep(self, now: float) -> None:
        """Each call pays for more than it adds."""
        for _ in range(SWEPT_AT_ONCE):
            if not self._due or self._due[0][0] > now:
                return
            _, key = heapq.heappop(self._due)
            if self._empty_at[key] > now:
                heapq.heappush(self._due, (self._empty_at[key], key))
            else:
                del self._empty_at[key]
