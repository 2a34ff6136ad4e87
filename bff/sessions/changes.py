"""What is published with every write, as bytes on the channel. Pure."""

import re
from dataclasses import dataclass

CHANGED, RELEASED, ENDED = "c", "l", "e"
FORMAT = "1"

_VERSION = re.compile(r"[0-9]{1,15}")


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
    """None for what a release unknown to us has published, or somebody else."""
    if not isinstance(message, bytes):
        return None
    parts = message.decode("utf-8", "replace").split(" ", 3)
    if len(parts) != 4 or parts[0] != FORMAT or parts[1] not in {CHANGED, RELEASED, ENDED}:
        return None
    change = Change(*parts[1:])
    if change.kind == CHANGED and not _VERSION.fullmatch(change.detail):
        return None
    return change
