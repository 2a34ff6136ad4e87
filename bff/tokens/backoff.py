"""How long to leave what has failed alone: a session, or a scope. See `breaker` for the OP."""

import random
from dataclasses import dataclass

from bff.clock import Clock

MAX_KEYS = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    retry_at: float


class Backoff:
    """Exponential with jitter, per key. A key that succeeds is forgotten."""

    def __init__(
        self, clock: Clock, *, first_seconds: float = 0.5, longest_seconds: float = 30.0
    ) -> None:
        self._clock = clock
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._failures: dict[str, _Failures] = {}

    def remaining_seconds(self, key: str) -> float:
        """Zero when an attempt may be made now."""
        failures = self._failures.get(key)
        return max(0.0, failures.retry_at - self._clock.now()) if failures is not None else 0.0

    def failed(self, key: str, *, retry_after: float = 0.0) -> None:
        """Count a failure. `retry_after` seconds, if the other side named them, are respected."""
        if key not in self._failures and len(self._failures) >= MAX_KEYS:
            self._failures.pop(next(iter(self._failures)))
        failures = self._failures.setdefault(key, _Failures(0, 0.0))
        failures.count += 1
        doublings = min(failures.count - 1, 16)
        ceiling = min(self._longest_seconds, self._first_seconds * 2**doublings)
        wait = ceiling * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret
        failures.retry_at = self._clock.now() + max(wait, min(retry_after, self._longest_seconds))

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)

    def clear(self) -> None:
        """What kept everybody waiting is over."""
        self._failures.clear()
