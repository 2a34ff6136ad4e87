"""What a check found, and how it is shown: one line an item, with a mark that any terminal can
show. Text of other programs is made printable and cut short; no line holds a secret.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from bff.errors import BffError

LONGEST = 300  # characters of what another program said of itself


class Mark(Enum):
    """How an item went; the second text is for terminals that can't show the first."""

    GOOD = ("✓", "ok")
    WARNING = ("!", "warn")
    BAD = ("✗", "FAIL")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One item of the report. `detail` is for people, says what to do next where something is
    wrong, and holds no secret."""

    mark: Mark
    item: str
    detail: str


def good(item: str, detail: str) -> Verdict:
    return Verdict(Mark.GOOD, item, detail)


def warning(item: str, detail: str) -> Verdict:
    return Verdict(Mark.WARNING, item, detail)


def bad(item: str, detail: str) -> Verdict:
    return Verdict(Mark.BAD, item, detail)


def refused(item: str, error: BffError, advice: str = "") -> Verdict:
    """What an error of ours says to an operator."""
    detail = f"{error.title} ({printable(error.log_detail)})" if error.log_detail else error.title
    return bad(item, f"{detail} {advice}".rstrip())


def printable(text: str) -> str:
    """Without what could move a terminal's cursor, and not too long: some of it comes from
    elsewhere."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


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
