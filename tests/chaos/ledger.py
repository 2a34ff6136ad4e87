"""What the OP noted about every refresh, and what follows from it. Pure.

A refresh token that is presented twice was rotated the first time, and the answer to that first
time got lost. The ledger says whether a part other than the gateway is to blame for that.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# From the OP's answer until its first write has reached the store, with a machine under load.
WRITE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Refresh:
    """One request with a refresh token. `token` is a digest; `port` is the caller's.

    `rotated`: the OP spent the token. `said`: it then meant to tell the caller; whether the caller
    was still listening is the caller's business. Times are epoch seconds.
    """

    sub: str
    token: str
    port: int
    arrived_at: float
    answered_at: float
    rotated: bool
    said: bool


@dataclass(frozen=True, slots=True)
class Kill:
    """A gateway killed with SIGKILL, and the local ports of its connections at that moment."""

    at: float
    ports: frozenset[int]


def lost_answers(refreshes: Iterable[Refresh]) -> dict[str, Refresh]:
    """By user: the rotation whose token was presented again, the first of them if several."""
    rotated: dict[str, Refresh] = {}
    lost: dict[str, Refresh] = {}
    for refresh in sorted(refreshes, key=lambda found: found.arrived_at):
        if refresh.token in rotated:
            lost.setdefault(refresh.sub, rotated[refresh.token])
        elif refresh.rotated:
            rotated[refresh.token] = refresh
    return lost


def is_unavoidable(refresh: Refresh, kills: Sequence[Kill]) -> bool:
    """No gateway could have kept what this rotation gave: the OP kept the answer to itself, or it
    went to a process that was killed before it can have been stored."""
    if not refresh.said:
        return True
    return any(
        refresh.port in kill.ports and kill.at - WRITE_SECONDS < refresh.answered_at
        for kill in kills
        if refresh.arrived_at < kill.at
    )


def shortest_interval(refreshes: Iterable[Refresh]) -> float:
    """Seconds between two rotations of one session; infinite when there were none."""
    times: Mapping[str, list[float]] = defaultdict(list)
    for refresh in refreshes:
        if refresh.rotated:
            times[refresh.sub].append(refresh.arrived_at)
    shortest = float("inf")
    for arrivals in times.values():
        arrivals.sort()
        for earlier, later in itertools.pairwise(arrivals):
            shortest = min(shortest, later - earlier)
    return shortest
