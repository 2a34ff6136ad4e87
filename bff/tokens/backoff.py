"""How long to leave alone what has failed: a session, a target (`Backoff`), an OP (`Breaker`); and
what an OP has refused (`RememberedRefusals`)."""

import random
from dataclasses import dataclass

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import OpError

MAX_KEYS = 10_000
LONGEST_ASKED_SECONDS = 60.0
REFUSED_SECONDS = 30.0


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
        self._failures: BoundedMap[str, _Failures] = BoundedMap(MAX_KEYS)

    def remaining_seconds(self, key: str) -> float:
        """Zero when an attempt may be made now."""
        failures = self._failures.get(key)
        return max(0.0, failures.retry_at - self._clock.now()) if failures is not None else 0.0

    def failed(self, key: str, *, retry_after: float = 0.0) -> None:
        """Count a failure. `retry_after` seconds, if the other side named them, are respected."""
        failures = self._failures.get(key) or self._failures.keep(key, _Failures(0, 0.0))
        failures.count += 1
        doublings = min(failures.count - 1, 16)
        ceiling = min(self._longest_seconds, self._first_seconds * 2**doublings)
        wait = ceiling * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret
        failures.retry_at = self._clock.now() + max(wait, min(retry_after, self._longest_seconds))

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)

    def clear(self) -> None:
        """Every key may be tried again at once."""
        self._failures.clear()


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One call that was let through."""

    began_at: float


class Breaker:
    """A circuit breaker: an OP that fails is left alone by the whole process, and then probed.

    Opens after `threshold` failures in a row; then one attempt at a time is let through, first
    after `first_seconds`, later after twice as long each time, with jitter. A success closes it.

    A probe that has not been answered for `longest_seconds` does not keep others from probing. What
    began before it opened belongs to the outage that is known already and does not prolong it, or
    a hundred refreshes that fail in one moment would count as a hundred outages.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        threshold: int = 5,
        first_seconds: float = 0.5,
        longest_seconds: float = 5.0,
    ) -> None:
        self._clock = clock
        self._threshold = threshold
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._failures = 0
        self._wait_seconds = 0.0
        self._retry_at = 0.0
        self._probe: Attempt | None = None

    @property
    def is_open(self) -> bool:
        return self._failures >= self._threshold

    def pause_seconds(self) -> float:
        """Zero when an attempt would be let through now."""
        if not self.is_open:
            return 0.0
        retry_at = self._retry_at
        if self._probe is not None:
            retry_at = max(retry_at, self._probe.began_at + self._longest_seconds)
        return max(0.0, retry_at - self._clock.now())

    def begin(self) -> Attempt | None:
        """Right before an attempt; None: it must not be made. Report how it ended."""
        if self.pause_seconds() > 0:
            return None
        attempt = Attempt(self._clock.now())
        if self.is_open:
            self._probe = attempt
        return attempt

    def succeeded(self) -> None:
        """The OP answered, whatever it said: it is there."""
        self._failures = 0
        self._probe = None

    def failed(self, attempt: Attempt, *, asked_seconds: float = 0.0) -> None:
        """Count a failure. What the OP asked for is respected, up to a minute."""
        if not self.is_open:
            self._failures += 1
            if self.is_open:
                self._open(self._first_seconds)
        elif attempt is self._probe:
            self._probe = None
            self._open(min(self._wait_seconds * 2, self._longest_seconds))
        if self.is_open:
            asked = min(asked_seconds, LONGEST_ASKED_SECONDS)
            self._retry_at = max(self._retry_at, self._clock.now() + asked)

    def _open(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        jitter = 0.5 + random.random() / 2  # noqa: S311 - jitter, not a secret
        self._retry_at = self._clock.now() + wait_seconds * jitter


class RememberedRefusals:
    """What an OP has refused, by key, a token for an API for example: the next callers get the same
    answer, for `REFUSED_SECONDS`, and the OP is not asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refusals: BoundedMap[str, tuple[float, OpError]] = BoundedMap(MAX_KEYS)

    def require_not(self, key: str) -> None:
        """Raises: the refusal, as it was, with what is left of the time."""
        until, error = self._refusals.get(key, (0.0, None))
        seconds = until - self._clock.now()
        if error is not None and seconds > 0:
            raise type(error)(error.log_detail, retry_after=max(1, round(seconds)))

    def has(self, key: str) -> bool:
        until, _ = self._refusals.get(key, (0.0, None))
        return self._clock.now() < until

    def remember(self, key: str, error: OpError) -> None:
        self._refusals[key] = self._clock.now() + REFUSED_SECONDS, error
