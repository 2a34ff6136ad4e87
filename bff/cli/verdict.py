"""What `bff check` found, and how it is shown: one line an item, with a mark that any terminal can
show.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    """How an item went; the second text is for terminals that can't show the first."""

    GOOD = ("✓", "ok")
    WARNING = ("!", "warn")
    BAD = ("✗", "FAIL")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One item of the report. `detail` is for people and holds no secret."""

    mark: Mark
    item: str
    detail: str


def has_failed(verdicts: Iterable[Verdict]) -> bool:
    return any(verdict.mark is Mark.BAD for verdict in verdicts)


def line(verdict: Verdict, encoding: str) -> str:
    """The verdict as one line of output in an encoding."""
    sign, word = verdict.mark.value
    try:
        sign.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        sign = f"{word:<4}"
    return f"{sign} {verdict.item:<13} {verdict.detail}"
