"""What a check found, and how it is shown: one line an item, with a mark that any terminal can
show. Text of other programs is made printable and cut short; no line holds a secret.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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
    """One item of the report: what was found, and what to do next where something is wrong; the
    `found` of some says both. For people, without a secret."""

    mark: Mark
    item: str
    found: str
    next_step: str = ""


def good(item: str, found: str) -> Verdict:
    return Verdict(Mark.GOOD, item, found)


def warning(item: str, found: str, next_step: str = "") -> Verdict:
    return Verdict(Mark.WARNING, item, found, next_step)


def bad(item: str, found: str, next_step: str = "") -> Verdict:
    return Verdict(Mark.BAD, item, found, next_step)


def refused(item: str, error: BffError, next_step: str = "") -> Verdict:
    """What an error of ours says to an operator."""
    found = f"{error.title} ({printable(error.log_detail)})" if error.log_detail else error.title
    return bad(item, found, next_step)


def printable(text: str) -> str:
    """Without what could move a terminal's cursor, and not too long: some of it comes from
    elsewhere."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


def has_failed(verdicts: Iterable[Verdict]) -> bool:
    return any(verdict.mark is Mark.BAD for verdict in verdicts)


def line(verdict: Verdict, encoding: str) -> str:
    """The verdict as one line of output in an encoding."""
    text, further = verdict.found, verdict.next_step
    if further:
        is_sentence = further[0].isupper() or further.startswith("`")
        text += f" {further}" if is_sentence else f": {further}"
    return f"{_sign(verdict.mark, encoding)} {verdict.item:<13} {text}"


def lines(verdict: Verdict, encoding: str) -> Iterator[str]:
    """The verdict, with what to do next on a line of its own."""
    found = replace(verdict, next_step="")
    yield line(found, encoding)
    if verdict.next_step:
        indent = len(line(replace(found, found=""), encoding))
        yield f"{'':{indent}}next: {verdict.next_step}"


def _sign(mark: Mark, encoding: str) -> str:
    sign, word = mark.value
    try:
        sign.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return f"{word:<4}"
    return sign
