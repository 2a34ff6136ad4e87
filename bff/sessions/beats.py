"""What the processes of an installation say regularly, as bytes on a channel of their own. Pure.

A process that hears its own beat come back knows that it has been told of every change that was
published before it. One that hears the beats of others knows who is there, and who still has to
write down what an OP has rotated (`saved`).
"""

import re
import secrets
from dataclasses import dataclass

FORMAT = "1"
LEAVING = 0  # the number of the last beat of a process that ends

_BEAT = re.compile(
    rb"1 ([0-9a-f]{16}) ([0-9]{1,15}) ([0-9]{1,15}) ([01]) ([0-9]{1,4})/([0-9]{1,4}) (\S{1,200})"
)


@dataclass(frozen=True, slots=True)
class Beat:
    """Beat `number` of a process, which last heard its own beat `heard` come back.

    `saved`: it holds nothing from before it was told of changes again that the store may lack.
    `configuration`: which nodes it believes to hold the data. In a cluster each primary passes on
    a part of its own, for news come from each by a way of its own.
    """

    process: str
    number: int
    heard: int
    saved: bool
    configuration: str
    part: int = 0
    parts: int = 1


def encode_beat(beat: Beat) -> str:
    """One line of text."""
    return (
        f"{FORMAT} {beat.process} {beat.number} {beat.heard} {beat.saved:d}"
        f" {beat.part}/{beat.parts} {beat.configuration}"
    )


def decode_beat(message: object) -> Beat | None:
    """None for what a release unknown to us has published, or somebody else."""
    found = _BEAT.fullmatch(message) if isinstance(message, bytes) else None
    if found is None:
        return None
    process, number, heard, saved, part, parts, configuration = found.groups()
    return Beat(
        process.decode(),
        int(number),
        int(heard),
        saved == b"1",
        configuration.decode("utf-8", "replace"),
        int(part),
        int(parts),
    )


class OwnBeats:
    """Those of this process: which are on their way, and which have come back in all parts."""

    def __init__(self) -> None:
        self.process = secrets.token_hex(8)
        self.heard = 0
        self._number = LEAVING
        self._sent_at = 0.0
        self._missing: set[int] = set()

    def begin_anew(self) -> None:
        """The stream was taken up again: what is on its way may never come."""
        self.heard = 0
        self._missing = set()

    def next(self, now: float) -> int:
        """The number of one that is about to be sent; the one before it counts no more."""
        self._number += 1
        self._sent_at = now
        self._missing = set()
        return self._number

    def sending(self, parts: int) -> None:
        """It goes out in so many parts."""
        self._missing = set(range(parts))

    def came_back(self, beat: Beat) -> float | None:
        """When it was sent, once all of it is back: every change before that has been told."""
        if beat.number != self._number or beat.part not in self._missing:
            return None
        self._missing.discard(beat.part)
        if self._missing:
            return None
        self.heard = beat.number
        return self._sent_at
