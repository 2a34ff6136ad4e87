"""Refreshes that an OP refuses without saying that the grant is dead.

RFC 6749 section 5.2 has `invalid_grant` for that, and some OPs answer something else (Dex:
`invalid_request`). One such answer may be a passing fault of the OP's; the same one again and again
means the grant.

The count belongs to one process. Each process that is asked comes to the same result by itself, and
one that has just started errs on the side of the session; in the store, a fault of the OP would
write every session's record.
"""

from collections import OrderedDict
from dataclasses import dataclass

from bff.clock import Clock
from bff.model import Session

FINAL_COUNT = 3
SPACING_SECONDS = 10.0
MAX_KEYS = 10_000


@dataclass(slots=True)
class _Count:
    """How often the refresh token of this `version` of a record has been answered `answer`."""

    version: int
    answer: str
    count: int
    counted_at: float


class Refusals:
    """Counts, for each session, the same answer to the same refresh token. Answers that come within
    `SPACING_SECONDS` of each other count as one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def is_final(self, session: Session, answer: str) -> bool:
        """Count `answer`; whether it has now come often enough to be meant."""
        now = self._clock.now()
        found = self._counts.get(session.key)
        if found is None or (found.version, found.answer) != (session.version, answer):
            found = self._counts[session.key] = _Count(session.version, answer, 1, now)
            self._counts.move_to_end(session.key)
            if len(self._counts) > MAX_KEYS:
                self._counts.popitem(last=False)
        elif now - found.counted_at >= SPACING_SECONDS:
            found.count += 1
            found.counted_at = now
        return found.count >= FINAL_COUNT

    def forget(self, key: str) -> None:
        """The session is gone. A refresh token that was taken has another version."""
        self._counts.pop(key, None)
