"""Requests to an OP for tokens of single APIs: one at a time for each name, whose answer is that of
all callers that wait, and none while the OP is left alone after a failure or a refusal.
"""

import asyncio
import contextlib
from collections.abc import Iterator

from bff.clock import Clock
from bff.errors import ApiTokenRefused, OpUnavailable
from bff.model import Tokens, TokenTarget
from bff.tasks import SingleFlight, Work
from bff.tokens.attempts import backing_off
from bff.tokens.backoff import Backoff, RememberedRefusals

WAIT_SECONDS = 10.0


class TargetRequests:
    """Of one process. `what` they are for is said when one takes longer than `wait_seconds`, as
    long as a caller waits at most."""

    def __init__(self, clock: Clock, what: str, *, wait_seconds: float) -> None:
        self._what = what
        self._wait_seconds = wait_seconds
        self._flights: SingleFlight[Tokens] = SingleFlight()
        self._backoff = Backoff(clock)
        self._refused = RememberedRefusals(clock)

    async def join(self, name: str, request: Work[Tokens]) -> Tokens:
        """What the request of this name brings, which is begun unless it is under way.

        Raises:
            ApiTokenRefused: as a moment ago.
            OpUnavailable: the OP is left alone, or has not answered yet.
        """
        self._refused.require_not(name)
        pause = self._backoff.remaining_seconds(name)
        if pause > 0:
            raise backing_off(pause)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._flights.join(name, request)
        except TimeoutError:
            raise OpUnavailable(f"{self._what} still under way", retry_after=1) from None

    def begin(self, name: str, request: Work[Tokens]) -> None:
        """In the background, unless it is under way or the OP is left alone."""
        if not self._refused.has(name) and self._backoff.remaining_seconds(name) == 0:
            self._flights.start(name, request)

    @contextlib.contextmanager
    def asking(self, name: str) -> Iterator[None]:
        """While the OP is asked: its answer says whether to leave it alone."""
        try:
            yield
        except ApiTokenRefused as error:
            self._refused.remember(name, error)
            raise
        except Exception:
            self._backoff.failed(name)
            raise
        self._backoff.succeeded(name)

    async def drain(self, seconds: float) -> None:
        """Let those that are under way finish, for at most `seconds`."""
        await self._flights.drain(seconds)


def name_of(session_key: str, target: TokenTarget) -> str:
    """Of a request for a token of a session."""
    return f"{session_key}\n{target.key}"
