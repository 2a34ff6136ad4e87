"""A user who does nothing wrong, and counts what that is worth while others do harm."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.wire import Client, Unreachable

PATH = "/api/x"
PAUSE_SECONDS = 0.02
ANSWERED = "200"


@dataclass(slots=True)
class Visits:
    """`refused` counts by status, or by what went wrong; `late` those that took longer than the
    gateway's timeouts allow, so that the machine, which stood still, may be the reason."""

    answered: int = 0
    late: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    worst_seconds: float = 0.0

    def __str__(self) -> str:
        refused = f", refused {dict(self.refused)}" if self.refused else ""
        return f"{self.answered} answered{refused}, worst wait {self.worst_seconds * 1000:.0f} ms"


class HonestUser:
    """Calls the API again and again. `fresh`: on a new connection each time. `patience_seconds` is
    how long the gateway waits for a head, and for the API."""

    def __init__(
        self, port: int, host: str, cookie: str, *, fresh: bool, patience_seconds: float
    ) -> None:
        self.visits = Visits()
        self._patience_seconds = patience_seconds
        self._client = Client(port, host)
        self._cookie = cookie
        self._fresh = fresh
        self._stopped = False

    def stop(self) -> None:
        """After the call under way."""
        self._stopped = True

    async def run(self) -> Visits:
        try:
            while not self._stopped:
                await self._visit()
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._client.close()
        return self.visits

    async def _visit(self) -> None:
        began = time.monotonic()
        try:
            outcome = str((await self._client.get(PATH, self._cookie)).status)
        except Unreachable as error:
            outcome = str(error)
        waited = time.monotonic() - began
        if outcome == ANSWERED:
            self.visits.answered += 1
        elif waited >= self._patience_seconds:
            self.visits.late += 1
        else:
            self.visits.refused[outcome] += 1
        self.visits.worst_seconds = max(self.visits.worst_seconds, waited)
        if self._fresh:
            self._client.close()
