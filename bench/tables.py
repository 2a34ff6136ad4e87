"""Figures and tables, as Markdown."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rounds = Sequence[Mapping[str, Any]]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def median(rounds: Rounds, figure: str) -> float:
    return float(statistics.median(round_[figure] for round_ in rounds))


def spread(rounds: Rounds, figure: str, digits: int = 1) -> str:
    """The least and the most, or the only one."""
    values = [f"{round_[figure]:.{digits}f}" for round_ in rounds]
    values.sort(key=float)
    return values[0] if values[0] == values[-1] else f"{values[0]}-{values[-1]}"


def ratio(rounds: Rounds, other: Rounds, figure: str) -> float:
    """The median of the rounds' ratios: a round's two figures were measured next to each other."""
    pairs = zip(rounds, other, strict=True)
    return float(statistics.median(one[figure] / two[figure] for one, two in pairs))


def times(value: float) -> str:
    return f"{value:.2f}x"


def megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
