"""Opened sessions in this process's memory.

`SessionCache` saves an API call the round trip to the store. It must never keep what was read
before a change it has been told of: every read and write of the store holds a ticket from before it
starts, and what comes back is kept only when no news of its key meanwhile speaks against it. It
knows no store and no clock; `now` is epoch seconds.

`StaleSessions` lets sessions go on while the store is down. Off by default.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.model import Session

ASK_AGAIN_SECONDS = 1.0


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
        self._seconds = seconds
        self._entries: BoundedMap[str, _Entry] = BoundedMap(entries)
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


class StaleSessions:
    """What was last read of each session; `seconds` of zero keeps nothing.

    No user can log out while the store is down, so a session that was live stays so; it goes on for
    a bounded time at most, with the tokens it had. A session known to have ended is forgotten at
    once. Bounded in entries and age.
    """

    def __init__(self, clock: Clock, *, seconds: float, entries: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._sessions: BoundedMap[str, tuple[Session, float]] = BoundedMap(entries)
        self._ask_again_at = 0.0

    async def fall_back(
        self, key: str, read: Callable[[str], Awaitable[Session | None]]
    ) -> Session | None:
        """What `read` finds, or what it last found while it can't find anything.

        After a failure the store is left alone for a second, so that not every request waits for
        its timeout.

        Raises:
            StoreUnavailable: and nothing recent is known.
        """
        if self._seconds == 0:
            return await read(key)
        if self._clock.now() < self._ask_again_at:
            return self._recall(key, StoreUnavailable("left alone after a failure"))
        try:
            session = await read(key)
        except StoreUnavailable as error:
            self._ask_again_at = self._clock.now() + ASK_AGAIN_SECONDS
            return self._recall(key, error)
        if session is None:
            self.forget(key)
        else:
            self.remember(session, self._clock.now())
        return session

    def forget(self, key: str) -> None:
        self._sessions.pop(key, None)

    def remember(self, session: Session, read_at: float) -> None:
        """Keep a session as it was read then; used when the store's news stop coming."""
        if self._seconds == 0:
            return
        self._sessions[session.key] = (session, read_at)

    def _recall(self, key: str, error: StoreUnavailable) -> Session:
        session, read_at = self._sessions.get(key, (None, 0.0))
        now = self._clock.now()
        if session is None or now - read_at > self._seconds or not session.is_live(now):
            raise error
        return session
