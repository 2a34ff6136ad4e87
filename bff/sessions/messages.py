"""What the processes of an installation tell each other, as bytes on two channels. Pure.

With every write a change is published. Beside them each process regularly sends a heartbeat: a
process that receives its own one has been told of every change that was published before it; one
that receives those of others knows which processes there are, and which of them still have to
write what an OP has rotated (`saved`).
"""

import re
from dataclasses import dataclass

CHANGED, RELEASED, ENDED = "c", "l", "e"
FORMAT = "1"

LEAVING = 0  # the number of the last heartbeat of a process that ends

_VERSION = re.compile(r"[0-9]{1,15}")
_HEARTBEAT = re.compile(
    rb"1 ([0-9a-f]{16}) ([0-9]{1,15}) ([0-9]{1,15}) ([01]) ([0-9]{1,4})/([0-9]{1,4}) (\S{1,200})"
)


@dataclass(frozen=True, slots=True)
class Change:
    """`detail`: the new version of a changed record, the reason why one ended."""

    kind: str
    key: str
    detail: str = ""

    @property
    def version(self) -> int | None:
        return int(self.detail) if self.kind == CHANGED else None


def encode_change(change: Change) -> str:
    """One line of text: format, kind, key, detail."""
    return f"{FORMAT} {change.kind} {change.key} {change.detail}"


def decode_change(message: object) -> Change | None:
    """None for what a release unknown to us has published, or another program."""
    if not isinstance(message, bytes):
        return None
    parts = message.decode("utf-8", "replace").split(" ", 3)
    if len(parts) != 4 or parts[0] != FORMAT or parts[1] not in {CHANGED, RELEASED, ENDED}:
        return None
    change = Change(*parts[1:])
    if change.kind == CHANGED and not _VERSION.fullmatch(change.detail):
        return None
    return change


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Heartbeat `number` of a process, which last heard its own heartbeat `heard` come back.

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


def encode_heartbeat(heartbeat: Heartbeat) -> str:
    """One line of text."""
    return (
        f"{FORMAT} {heartbeat.process} {heartbeat.number} {heartbeat.heard} {heartbeat.saved:d}"
        f" {heartbeat.part}/{heartbeat.parts} {heartbeat.configuration}"
    )


def decode_heartbeat(message: object) -> Heartbeat | None:
    """None for what a release unknown to us has published, or another program."""
    found = _HEARTBEAT.fullmatch(message) if isinstance(message, bytes) else None
    if found is None:
        return None
    process, number, heard, saved, part, parts, configuration = found.groups()
    return Heartbeat(
        process.decode(),
        int(number),
        int(heard),
        saved == b"1",
        configuration.decode("utf-8", "replace"),
        int(part),
        int(parts),
    )
