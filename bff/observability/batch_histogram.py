"""A histogram that is told of many observations in one call.

`prometheus_client` takes one at a time, and each costs as much as a tenth of an API call. So the
path of a request adds to plain integers, an `Observations`, and these are handed over later.
"""

from collections.abc import Sequence

from prometheus_client import Histogram


class Observations:
    """How many fell into each bucket of a histogram with these `bounds`, and their sum. To observe
    an amount is `counts[bisect_left(bounds, amount)] += 1` and `total += amount`: written out where
    it is done, for a call would cost more than both."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0


class BatchHistogram(Histogram):
    """Has the buckets of the observations that it is handed."""

    def add(self, observations: Observations) -> None:
        """Count them all."""
        for bucket, count in zip(self._buckets, observations.counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(observations.total)
