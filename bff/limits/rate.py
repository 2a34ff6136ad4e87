"""A rate such as 60 a minute, as a bucket that leaks.

A bucket holds as many events as the rate names and empties evenly over the rate's period: so many
may come at once, and after that one whenever there is room for one. How full it is, is told in
seconds until it is empty.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` events in `period_seconds`."""

    count: int
    period_seconds: float

    @property
    def each_seconds(self) -> float:
        """What one event adds to a bucket."""
        return self.period_seconds / self.count

    def wait_seconds(self, fullness: float) -> float:
        """How long until one more event fits into a bucket this full; 0 when it does."""
        # What rounding leaves over must not refuse the last one; the stores allow for as much.
        wait = fullness + self.each_seconds - self.period_seconds
        return wait if wait > self.each_seconds / 100 else 0.0


def retry_after(wait_seconds: float) -> int:
    """Whole seconds for a Retry-After."""
    return max(1, math.ceil(wait_seconds))
