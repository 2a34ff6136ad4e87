"""Whether the lines of an audit log are what was written: each problem with its line.

What is found: a line that was changed, taken out, added or moved, a chain without its beginning or
its end, a last line that was cut. What can't be found in a file alone: that all of it, or the end
of it, was written anew by a program that computes hashes as well. A copy elsewhere (syslog, a
stream, a webhook) shows that: its chains are others, but its events must be the same. It
shows as well that a whole chain is missing, all lines of one process's life, or that a file was
emptied.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bff.audit.chain import NO_RECORD, hash_of
from bff.audit.event import EventName

_CHAIN = re.compile(r"[0-9a-f]{16}")
SCHEMA_MEMBERS = frozenset({"chain", "sequence", "prev", "hash", "event", "version", "time"})


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written."""

    place: Place
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(slots=True)
class _Known:
    """A chain as far as it was read."""

    sequence: int
    hash: str
    last: Place
    is_ended: bool = False


@dataclass(slots=True)
class Verification:
    """Fed with the lines of one or more files, in the order in which they were written. `is_part`:
    the files are a part of the log, so that chains may begin before it and go on after it."""

    is_part: bool = False
    findings: list[Finding] = field(default_factory=list)
    records: int = 0
    lost: int = 0
    _chains: dict[str, _Known] = field(default_factory=dict)

    @property
    def chains(self) -> int:
        return len(self._chains)

    @property
    def open_chains(self) -> int:
        """Those without an end: of processes that run, or were killed."""
        return sum(not known.is_ended for known in self._chains.values())

    def read(self, file: str, lines: Iterable[bytes]) -> None:
        """Judge the lines of one file."""
        for number, line in enumerate(lines, 1):
            place = Place(file, number)
            if not line.endswith(b"\n"):
                self._find(place, "the line was cut: its line break is missing")
            self.records += 1
            try:
                record = _parsed(line)
            except ValueError as error:
                self._find(place, str(error))
                continue
            self._judge(place, record)

    def finish(self) -> list[Finding]:
        """All that was found, in order of files and lines as far as it belongs to one."""
        if not self.is_part:
            for name, known in self._chains.items():
                if not known.is_ended:
                    self._find(
                        known.last,
                        f"chain {name} ends here at {known.sequence}, without chain_ended: lines "
                        "after it are missing, or its process runs or was killed",
                    )
        return self.findings

    def _judge(self, place: Place, record: dict[str, Any]) -> None:
        name, sequence = record["chain"], record["sequence"]
        if hash_of(record) != record["hash"]:
            self._find(place, "the record was changed: it is not what its hash was made of")
        known = self._chains.get(name)
        for text in self._order_faults(record, known):
            self._find(place, text)
        if known is None or sequence > known.sequence:
            is_end = record["event"] == EventName.CHAIN_ENDED
            self._chains[name] = _Known(sequence, record["hash"], place, is_end)
        if record["event"] == EventName.EVENTS_LOST and isinstance(record.get("omitted"), int):
            self.lost += record["omitted"]

    def _order_faults(self, record: dict[str, Any], known: _Known | None) -> Iterator[str]:
        name, sequence = record["chain"], record["sequence"]
        if known is None:
            if sequence == 1 and record["prev"] != NO_RECORD:
                yield f"chain {name} begins with a record that names one before it"
            if sequence != 1 and not self.is_part:
                yield f"chain {name} begins at {sequence}: lines before this one are missing"
            return
        if known.is_ended:
            yield f"chain {name} goes on after its end at {known.last}"
        if sequence <= known.sequence:
            yield (
                f"number {sequence} of chain {name} stands after {known.sequence} at {known.last}: "
                "the line was moved or repeated"
            )
        elif sequence > known.sequence + 1:
            yield (
                f"number {sequence} of chain {name} follows {known.sequence} at {known.last}: "
                f"lines between them are missing ({sequence - known.sequence - 1})"
            )
        elif record["prev"] != known.hash:
            yield f"it does not continue the record at {known.last}: one of both was changed"

    def _find(self, place: Place, text: str) -> None:
        self.findings.append(Finding(place, text))


def _parsed(line: bytes) -> dict[str, Any]:
    """The record of a line. Raises: ValueError, with what is wrong."""
    try:
        record = json.loads(line, object_pairs_hook=_without_repeats)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("the line is no JSON") from None
    if not isinstance(record, dict) or not record.keys() >= SCHEMA_MEMBERS:
        raise ValueError("the line is no record of an audit log")
    is_sequence = type(record["sequence"]) is int and record["sequence"] >= 1
    texts = (record[name] for name in ("chain", "prev", "hash", "event"))
    if not is_sequence or not all(isinstance(text, str) for text in texts):
        raise ValueError("the line is no record of an audit log")
    if not _CHAIN.fullmatch(record["chain"]):  # it is shown to a person
        raise ValueError("the line is no record of an audit log")
    return record


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice in the record")
    return found
