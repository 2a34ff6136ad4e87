"""The bounded cache of opened sessions, so that an API call costs no round trip to the store.

Must never keep what was read before a change it has been told of: every read and write of the store
holds a ticket from before it starts, and what comes back is kept only when nothing said of its key
meanwhile speaks against it. Knows no store and no clock; `now` is epoch seconds.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bff.model import Session


@dataclass(slots=True)
class _Entry:
    session: Session
    read_at: float
    ticket_number: int


@dataclass(slots=True, eq=False)
class Ticket:
    """A read or write under way. `least_version`: an older record is stale by now."""

    key: str
    begun_at: float
    number: int
    least_version: int = 0
    void: bool = False


class SessionCache:
    """Least recently used entries go first. One that was neither read nor vouched for in the last
    `seconds` is not served."""

    def __init__(self, *, entries: int, seconds: float) -> None:
        self._limit = entries
        self._seconds = seconds
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._tickets: dict[str, set[Ticket]] = {}
        self._number = 0
        self._vouched_at = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> Session | None:
        """A session that is fresh enough to act on and has not expired."""
        entry = self._entries.get(key)
        if entry is None or not 0 <= now - self._known_at(entry) < self._seconds:
            return None
        if not entry.session.is_live(now):
            return None
        self._entries.move_to_end(key)
        return entry.session

    def __iter__(self) -> Iterator[tuple[Session, float]]:
        """What is held, and when each was known to be so; the least recently used first."""
        return ((entry.session, self._known_at(entry)) for entry in self._entries.values())

    def begin(self, key: str, now: float) -> Ticket:
        """Before asking the store; every ticket must come back to `finish`."""
        self._number += 1
        ticket = Ticket(key, now, self._number)
        self._tickets.setdefault(key, set()).add(ticket)
        return ticket

    def finish(self, ticket: Ticket, session: Session | None) -> None:
        """Keep what the store answered, unless a later answer or a change has overtaken it.

        None (absent, lost, failed) drops an earlier answer.
        """
        open_tickets = self._tickets[ticket.key]
        open_tickets.discard(ticket)
        if not open_tickets:
            del self._tickets[ticket.key]
        entry = self._entries.get(ticket.key)
        if entry is not None and entry.ticket_number > ticket.number:
            return
        if session is None or ticket.void or session.version < ticket.least_version:
            self._entries.pop(ticket.key, None)
            return
        self._entries[ticket.key] = _Entry(session, ticket.begun_at, ticket.number)
        self._entries.move_to_end(ticket.key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def changed(self, key: str, version: int) -> None:
        """The record is at `version`: anything older is stale, cached or still on its way."""
        entry = self._entries.get(key)
        if entry is not None and entry.session.version < version:
            del self._entries[key]
        for ticket in self._tickets.get(key, ()):
            ticket.least_version = max(ticket.least_version, version)

    def ended(self, key: str) -> None:
        """The record is gone."""
        self._entries.pop(key, None)
        for ticket in self._tickets.get(key, ()):
            ticket.void = True

    def vouch(self, at: float) -> None:
        """All that was changed before `at` has been told: what is held was still true then."""
        self._vouched_at = max(self._vouched_at, at)

    def clear(self) -> None:
        """Changes may have been missed: nothing read up to now can be relied on."""
        self._entries.clear()
        for tickets in self._tickets.values():
            for ticket in tickets:
                ticket.void = True

    def move_idle(self, key: str, idle_expires_at: float) -> None:
        """Show activity at once, before the store knows of it. Leaves the tokens alone."""
        entry = self._entries.get(key)
        if entry is not None and entry.session.idle_expires_at < idle_expires_at:
            entry.session = replace(entry.session, idle_expires_at=idle_expires_at)

    def _known_at(self, entry: _Entry) -> float:
        return max(entry.read_at, self._vouched_at)
