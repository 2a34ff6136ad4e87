"""One document of the OP, kept in memory: fetched in single flight, never by a request of its own
accord, and never thrown away because a renewal failed.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from bff.clock import Clock
from bff.errors import OpAnswerMalformed, OpError
from bff.tasks import SingleFlight

KEEP_SECONDS = 3600.0
RETRY_SECONDS = 5.0

T = TypeVar("T")
log = structlog.get_logger("bff.oidc")


class Cached(Generic[T]):
    """What `fetch` returns, for an hour; an old value serves while a new one is on its way.

    `fetched_at` is when the value came, in epoch seconds; None: there has been none.
    After a failure nothing is fetched for five seconds: callers get the old value or, when there
    has never been one, the same failure again. The log names the document and its `provider`.
    """

    def __init__(
        self, name: str, fetch: Callable[[], Awaitable[T]], clock: Clock, *, provider: str
    ) -> None:
        self._name = name
        self._provider = provider
        self._fetch = fetch
        self._clock = clock
        self._value: T | None = None
        self._failure: OpError | None = None
        self._due_at = 0.0
        self.fetched_at: float | None = None
        self._flights: SingleFlight[None] = SingleFlight()

    @property
    def in_flight(self) -> bool:
        return self._flights.is_running(self._name)

    async def get(self) -> T:
        """The value; waits only when there is none yet.

        Raises:
            OpError: there has never been a value and the fetch failed.
        """
        if self._clock.now() >= self._due_at:
            self._flights.start(self._name, self._run)
        if self._value is None and self.in_flight:
            await self._flights.join(self._name, self._run)
        return self.settled() if self._value is None else self._value

    async def renew(self) -> T:
        """A value fetched from now on, or by a fetch already under way.

        Raises:
            OpError: the fetch failed; the old value is still there for `get`.
        """
        await self._flights.join(self._name, self._run)
        return self.settled()

    def settled(self) -> T:
        """What the last fetch brought: its value, or its failure raised (again)."""
        if self._failure is not None:
            failure = self._failure
            raise type(failure)(failure.log_detail, retry_after=failure.retry_after)
        if self._value is None:
            raise RuntimeError("settled() before any fetch")
        return self._value

    async def close(self) -> None:
        await self._flights.cancel()

    async def _run(self) -> None:
        self._due_at = self._clock.now() + RETRY_SECONDS
        try:
            self._value = await self._fetch()
        except OpError as failure:
            self._failure = failure
            log.warning(
                "op_fetch_failed",
                document=self._name,
                provider=self._provider,
                code=failure.code,
                detail=failure.log_detail,
            )
        except Exception:  # a fetch in the background has no caller to report it
            self._failure = OpAnswerMalformed("an unforeseen fault")
            log.exception("op_fetch_aborted", document=self._name, provider=self._provider)
        else:
            self._failure = None
            self.fetched_at = self._clock.now()
            self._due_at = self.fetched_at + KEEP_SECONDS
