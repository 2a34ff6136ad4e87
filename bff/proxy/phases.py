"""Phases of a connection or an exchange: which may follow which, and which time limit runs in each.

Each table has a row for each phase. The tables are data, so that a test walks through them, and a
step that none of them has is a fault of the gateway's own.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum  # not Enum, whose members take a call of Python to be hashed
from typing import Generic, TypeVar

from bff.proxy.transport import RUNS_ON

P = TypeVar("P", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Row(Generic[P]):
    """`following`: the phases that may come next. `limit`: the name of the time limit that runs
    from the phase's beginning, empty for none; `runs_on`: it was begun before."""

    following: frozenset[P]
    limit: str = ""
    runs_on: bool = False


class PhaseTable(Generic[P]):
    """`steps[phase][wanted]` is the phase that is wanted, if it may follow, else a KeyError. It is
    looked at for every request, several times: plain tuples and dictionaries are fastest."""

    def __init__(self, rows: Mapping[P, Row[P]]) -> None:
        self.rows = dict(sorted(rows.items()))
        if [int(phase) for phase in self.rows] != list(range(len(self.rows))):
            raise ValueError("the phases are not numbered from 0 on, or one has no row")
        self.steps = tuple({one: one for one in row.following} for row in self.rows.values())


@functools.lru_cache(maxsize=64)  # connections of one kind have the same limits
def phase_seconds(table: PhaseTable[P], limits: object) -> tuple[float | None, ...]:
    """How long each phase may last: None for as long as it likes, or `RUNS_ON`. `limits`, which can
    be hashed, has an attribute for each limit that does not run on."""

    def seconds(row: Row[P]) -> float | None:
        if row.runs_on:
            return RUNS_ON
        found: float | None = getattr(limits, row.limit) if row.limit else None
        return found

    return tuple(seconds(row) for row in table.rows.values())


def row(*following: P, limit: str = "", runs_on: bool = False) -> Row[P]:
    """A row of a table."""
    return Row(frozenset(following), limit, runs_on)
