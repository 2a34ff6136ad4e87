"""How much is measured: the whole, or just enough to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """`rotation_seconds`: how long many sessions are measured, whose activity is written once a
    minute."""

    name: str
    rounds: int
    seconds: float
    warm_up_seconds: float
    sessions: tuple[int, ...]
    rotation_seconds: float
    transfers: int
    streams: int
    starts: int


FULL = Scale(
    name="full",
    rounds=3,
    seconds=5.0,
    warm_up_seconds=2.0,
    sessions=(1, 10_000, 100_000),
    rotation_seconds=60.0,
    transfers=10,
    streams=5_000,
    starts=5,
)
QUICK = Scale(
    name="quick",
    rounds=1,
    seconds=1.0,
    warm_up_seconds=1.0,
    sessions=(1, 1_000),
    rotation_seconds=2.0,
    transfers=2,
    streams=200,
    starts=1,
)
