"""Records, their canonical form, and the chain of hashes that ties each to the one before.

A chain belongs to one process and one sink and has an id of its own. So several workers may write
to one file, a restart begins a new chain and breaks none, and what one sink has lost does not tear
the chains of the others. Each chain begins with `chain_begun` and ends with `chain_ended`.

`hash` is the SHA-256, in hex, of the record's canonical form without `hash`; `prev` is the hash of
the record before it, or 64 zeros. Canonical: JSON in printable ASCII, keys in order, no spaces.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from bff.audit.event import OUTCOMES, VERSION, Event
from bff.observability.logs import one_line, shown

NO_RECORD = "0" * 64
Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Stamped:
    """A record as it is written: one line of JSON, without its line break."""

    line: str
    event: Event
    time: str


class Chain:
    """The records of one process at one sink, in order."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self._sequence = 0
        self._last = NO_RECORD

    def stamp(self, event: Event, at: str) -> Stamped:
        """The next record. `at` is when it happened, as `timestamp` writes it."""
        self._sequence += 1
        record = members_of(event, at)
        record |= {"chain": self.id, "sequence": self._sequence, "prev": self._last}
        self._last = record["hash"] = hash_of(record)
        return Stamped(one_line(record), event, at)


def members_of(event: Event, at: str) -> dict[str, object]:
    """A record's members but those of the chain. Those that are not known are null."""
    origin = event.origin
    members: dict[str, object] = {
        "version": VERSION,
        "time": at,
        "event": event.name.value,
        "outcome": OUTCOMES[event.name].value,
        "reason": event.reason or None,
        "actor": event.actor.value,
        "actor_name": origin.actor_name or None,
        "frontend": event.frontend or None,
        "provider": event.provider or None,
        "session": event.session or None,
        "sub": event.sub or None,
        "request_id": origin.request_id or None,
        "address": origin.address or None,
        "user_agent": origin.user_agent or None,
        "settings": list(event.settings),
        "omitted": event.omitted,
    }
    return {name: shown(name, value) for name, value in members.items()}


def hash_of(record: Record) -> str:
    """The hash of a record; one that it has already does not count."""
    rest = {name: value for name, value in record.items() if name != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.replace("\x7f", "\\u007f").encode("ascii")).hexdigest()
