"""How long to leave an OP alone after it has failed: per session, and for the OP as a whole."""

import random
from dataclasses import dataclass

from bff.clock import Clock

MAX_KEYS = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    retry_at: float


class Backoff:
    """Exponential with full jitter, per key. A key that succeeds is forgotten.

    `threshold` failures are free before waiting starts; with one it is a plain back-off, with
    more it is a circuit breaker: after the wait one attempt is let through as a probe.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        first_seconds: float = 0.5,
        longest_seconds: float = 30.0,
        threshold: int = 1,
    ) -> None:
        self._clock = clock
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._threshold = threshold
        self._failures: dict[str, _Failures] = {}

    def remaining_seconds(self, key: str) -> float:
        """Zero when an attempt may be made now."""
        failures = self._failures.get(key)
        if failures is None or failures.count < self._threshold:
            return 0.0
        return max(0.0, failures.retry_at - self._clock.now())

    def claim_probe(self, key: str) -> None:
        """Call before an attempt: while it runs, nobody else is let through as a second probe."""
        failures = self._failures.get(key)
        if failures is not None and failures.count >= self._threshold:
            failures.retry_at = self._clock.now() + self._first_seconds

    def failed(self, key: str, *, retry_after: float = 0.0) -> None:
        """Count a failure. `retry_after` seconds, if the other side named them, are respected."""
        if key not in self._failures and len(self._failures) >= MAX_KEYS:
            self._failures.pop(next(iter(self._failures)))
        failures = self._failures.setdefault(key, _Failures(0, 0.0))
        failures.count += 1
        steps = max(0, failures.count - self._threshold)
        ceiling = min(self._longest_seconds, self._first_seconds * 2 ** min(steps, 16))
        wait = ceiling * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret
        failures.retry_at = self._clock.now() + max(wait, min(retry_after, self._longest_seconds))

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
