"""Problems of a configuration: reported all at once, each with its key and, where it is known, its
line. No message repeats a value.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem whose place in the sources has not been looked up yet."""

    path: KeyPath
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """`source` is the file's name or the environment variable; empty when there is neither."""

    key: str
    message: str
    line: int | None = None
    source: str = ""

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key was given: a file, perhaps with a line, or a variable; and what the key is called
    there. `path` is empty for a whole file."""

    source: str
    line: int | None
    path: KeyPath
    is_variable: bool = False

    def problem(self, message: str, *inner: str | int) -> Problem:
        """`inner`: the rest of the path, where this is the place of a table."""
        return Problem(dotted((*self.path, *inner)), message, self.line, self.source)


class ConfigError(Exception):
    """The configuration cannot be used. `problems` is never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def dotted(path: KeyPath) -> str:
    """`("routes", 0, "path")` as users write it: `routes[0].path`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean "..."?` when one of the known words is close, else nothing."""
    close = difflib.get_close_matches(word, tuple(known), n=1, cutoff=0.6)
    return f', did you mean "{close[0]}"?' if close else ""


def syntax_problem(message: str, source: str) -> Problem:
    """What `tomllib` says of a text that is no TOML."""
    place = re.search(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$", message)
    reason = message[: place.start()] if place else message
    line = int(place[1]) if place and place[1] else None
    return Problem("", f"is not valid TOML: {reason[:1].lower()}{reason[1:]}", line, source)
