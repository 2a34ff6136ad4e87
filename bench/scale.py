"""How much is measured: the whole, or just enough to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """`max_ages_seconds`: of `session.cache_max_age`, the default and the most that may be set."""

    name: str
    rounds: int
    seconds: float
    warm_up_seconds: float
    sessions: tuple[int, ...]
    max_ages_seconds: tuple[int, ...]
    transfers: int
    streams: int
    starts: int


FULL = Scale(
    name="full",
    rounds=3,
    seconds=5.0,
    warm_up_seconds=2.0,
    sessions=(1, 10_000, 100_000),
    max_ages_seconds=(5, 60),
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
    max_ages_seconds=(1, 2),
    transfers=2,
    streams=200,
    starts=1,
)
