"""What was last read of each session, for going on while the store is down. Off by default.

Nobody can log out while the store is down, so a session that was live stays so; it goes on for a
bounded time at most, with the tokens it had. A session known to have ended is forgotten at once.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.model import Session

ASK_AGAIN_SECONDS = 1.0


class LastKnown:
    """Bounded in entries and age; `seconds` of zero keeps nothing."""

    def __init__(self, clock: Clock, *, seconds: float, entries: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._limit = entries
        self._sessions: OrderedDict[str, tuple[Session, float]] = OrderedDict()
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
        self._sessions.move_to_end(session.key)
        if len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)

    def _recall(self, key: str, error: StoreUnavailable) -> Session:
        session, read_at = self._sessions.get(key, (None, 0.0))
        now = self._clock.now()
        if session is None or now - read_at > self._seconds or not session.is_live(now):
            raise error
        return session
