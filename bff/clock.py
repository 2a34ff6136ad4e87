"""Time, as a dependency. Nothing else in the package reads a clock."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time in epoch seconds."""

    def now(self) -> float: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()


class ManualClock:
    """A clock that stands still until it is told to move: for tests and for replaying a case."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The time that another program has told, and when it was asked and has answered by our clock:
    epoch seconds."""

    asked_at: float
    told: float
    answered_at: float

    @property
    def ahead_seconds(self) -> float:
        """By how much its clock is ahead of ours."""
        return self.told - (self.asked_at + self.answered_at) / 2
