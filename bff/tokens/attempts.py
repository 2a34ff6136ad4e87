"""Whether a session's tokens may be refreshed now, and what one attempt means for the next.

A refresh is put off after a failure (`backoff`), while the OP fails for all sessions, while the OP
gives the session no token for the target, and when the session has been refreshed too often, for
whichever token (`limits`). None of these touches the session.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import ApiTokenRefused, ClientRejected, OpError, OpUnavailable, RefreshRefused
from bff.limits.limiter import Limiter
from bff.model import DEFAULT_PROVIDER, Session, public_id
from bff.observability.metrics import Metrics
from bff.tokens.backoff import Attempt, Backoff, Breaker, RememberedRefusals

FINAL_COUNT = 3
SPACING_SECONDS = 10.0
MAX_KEYS = 10_000

log = structlog.get_logger("bff.tokens")


class Attempts:
    """Of one process at one provider, for the tokens of logins or for those of one target."""

    def __init__(
        self,
        clock: Clock,
        limiter: Limiter,
        metrics: Metrics,
        provider: str = DEFAULT_PROVIDER,
    ) -> None:
        self._provider = provider
        self._limiter = limiter
        self._metrics = metrics
        self._backoff = Backoff(clock)
        self._breaker = Breaker(clock)
        self._refused_targets = RememberedRefusals(clock)
        self._refusals = Refusals(clock)

    def may_begin(self, key: str) -> bool:
        """Whether a refresh that nothing waits for is worth starting."""
        return (
            self._pause_seconds(key) == 0
            and not self._refused_targets.has(key)
            and self._limiter.refused_seconds(key) == 0
        )

    def require_begin(self, key: str) -> None:
        """That a refresh may start now.

        Raises:
            ApiTokenRefused: the OP gives no token for this target, as it said a moment ago.
            OpUnavailable: the session, or the OP, is left alone after failures.
            RateLimited: the session was refreshed too often.
        """
        self._refused_targets.require_not(key)
        pause = self._pause_seconds(key)
        if pause > 0:
            raise backing_off(pause)
        self._limiter.require_not_refused(key)

    async def spend(self, key: str, is_safe: Callable[[], bool]) -> Attempt | None:
        """Leave to send the refresh token, asked right before that; its end must be reported by
        `answered` or `failed`. None: `is_safe`, asked last, no longer held.

        Raises:
            OpUnavailable: the OP has begun to fail meanwhile.
            RateLimited: the session was refreshed too often.
        """
        await self._limiter.take(key)
        if not is_safe():
            return None
        attempt = self._breaker.begin()
        if attempt is None:
            raise backing_off(self._breaker.pause_seconds())
        return attempt

    def answered(self, key: str) -> None:
        """The OP is there, whatever it said."""
        if self._breaker.is_open:
            self._backoff.clear()  # the other sessions failed because the OP did, and it is back
        self._backoff.succeeded(key)
        self._breaker.succeeded()

    def failed(self, key: str, attempt: Attempt, error: OpError) -> None:
        """There was no answer, or none that could be used."""
        self._backoff.failed(key, retry_after=error.asked_seconds)
        self._breaker.failed(attempt, asked_seconds=error.asked_seconds)
        self._record(key, error)

    def is_meant(self, session: Session, error: RefreshRefused) -> bool:
        """Count a refusal; whether the OP has said the same often enough to mean the grant."""
        return self._refusals.is_final(session, error.log_detail)

    def refused(self, key: str, error: RefreshRefused) -> None:
        """The OP has said no, and may say something else later."""
        self._backoff.failed(key, retry_after=SPACING_SECONDS)
        self._record(key, error)

    def refused_for_api(self, key: str, error: ApiTokenRefused) -> None:
        """The OP is there, and gives no token for one API: that says nothing of the session."""
        self.answered(key)
        self.has_none_for_api(key, error)
        self._record(key, error)

    def has_none_for_api(self, key: str, error: ApiTokenRefused) -> None:
        """No token for one API can be had: the next callers are told so at once."""
        self._refused_targets.remember(key, error)

    def forget(self, key: str) -> None:
        """The session has ended."""
        self._backoff.succeeded(key)
        self._refusals.forget(key)

    def _pause_seconds(self, key: str) -> float:
        return max(self._backoff.remaining_seconds(key), self._breaker.pause_seconds())

    def _record(self, key: str, error: OpError) -> None:
        outcome = "client_rejected" if isinstance(error, ClientRejected) else "failed"
        self._metrics.refreshed(outcome, self._provider)
        log.warning(
            "refresh_failed",
            code=error.code,
            detail=error.log_detail,
            provider=self._provider,
            session=public_id(key),
        )


def backing_off(seconds: float) -> OpUnavailable:
    """The error while an OP, a session or a scope is left alone."""
    return OpUnavailable("backing off", retry_after=max(1, round(seconds)))


@dataclass(slots=True)
class _Count:
    """How often the refresh token of this `version` of a record has been answered `answer`."""

    version: int
    answer: str
    count: int
    counted_at: float


class Refusals:
    """Refreshes that an OP refuses without saying that the grant is dead. Counts, for each session,
    the same answer to the same refresh token; answers that come within `SPACING_SECONDS` of each
    other count as one.

    RFC 6749 section 5.2 has `invalid_grant` for a dead grant, and some OPs answer something else
    (Dex: `invalid_request`). One such answer may be a passing fault of the OP; the same one again
    and again means the grant.

    The count belongs to one process. Each process that is asked comes to the same result by itself,
    and one that has just started errs on the side of the session; in the store, a fault of the OP
    would write every session's record.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: BoundedMap[str, _Count] = BoundedMap(MAX_KEYS)

    def is_final(self, session: Session, answer: str) -> bool:
        """Count `answer`; whether it has now come often enough to be meant."""
        now = self._clock.now()
        found = self._counts.get(session.key)
        if found is None or (found.version, found.answer) != (session.version, answer):
            found = self._counts[session.key] = _Count(session.version, answer, 1, now)
        elif now - found.counted_at >= SPACING_SECONDS:
            found.count += 1
            found.counted_at = now
        return found.count >= FINAL_COUNT

    def forget(self, key: str) -> None:
        """The session is gone. A refresh token that was taken has another version."""
        self._counts.pop(key, None)
