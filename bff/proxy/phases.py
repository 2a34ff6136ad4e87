"""Phases of a connection or an exchange: which may follow which, and which time limit runs in each.

Each table has a row for each phase. The tables are data, so that a test walks through them, and a
step that none of them has is a fault of the gateway's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum  # not Enum, whose members take a call of Python to be hashed
from typing import Generic, TypeVar

P = TypeVar("P", bound=IntEnum)


class WrongPhase(RuntimeError):
    """A step that the table does not have."""

    def __init__(self, phase: IntEnum, following: IntEnum) -> None:
        super().__init__(f"{phase.name} is not followed by {following.name}")


@dataclass(frozen=True, slots=True)
class Row(Generic[P]):
    """`following`: the phases that may come next. `limit`: the name of the time limit that runs
    from the phase's beginning, empty for none."""

    following: frozenset[P]
    limit: str = ""


class PhaseTable(Generic[P]):
    """`following` and `limits` are the columns, indexed by phase: they are looked at for every
    request, several times."""

    def __init__(self, rows: Mapping[P, Row[P]]) -> None:
        self.rows = dict(sorted(rows.items()))
        if [int(phase) for phase in self.rows] != list(range(len(self.rows))):
            raise ValueError("the phases are not numbered from 0 on, or one has no row")
        self.following = tuple(row.following for row in self.rows.values())
        self.limits = tuple(row.limit for row in self.rows.values())


def row(*following: P, limit: str = "") -> Row[P]:
    """A row of a table."""
    return Row(frozenset(following), limit)
