"""Open streams, of our own and to APIs, which must end with their session.

An end is announced by the write of whichever process ended the session; where none is announced
(expiry, or news missed while the store's stream of changes was down) the session is looked at.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import structlog

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.model import Session
from bff.sessions.sessions import Sessions
from bff.tasks import PeriodicTask

log = structlog.get_logger("bff.sessions")

LOOK_EVERY_SECONDS = 1.0
EXPIRED = "expired"

End = Callable[[str], None]


class _Stream:
    __slots__ = ("end", "session")

    def __init__(self, session: Session, end: End) -> None:
        self.session = session
        self.end = end


class BoundStreams:
    """Calls `end(reason)` at most once for each stream whose session ends while it is held."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._streams: dict[str, set[_Stream]] = {}
        self._worker = PeriodicTask(
            self._look_for_expiry,
            every_seconds=LOOK_EVERY_SECONDS,
            on_failure=partial(log.exception, "expiry_not_seen"),
        )
        sessions.observe(on_ended=self._on_ended, on_watch=self._on_watch)

    def start(self) -> None:
        self._worker.start()

    async def close(self) -> None:
        await self._worker.close()

    @contextlib.contextmanager
    def held(self, session: Session, end: End) -> Iterator[None]:
        """Bind what runs in the body to `session`. `end` must not block or raise."""
        let_go = self.hold(session, end)
        try:
            yield
        finally:
            let_go()

    def hold(self, session: Session, end: End) -> Callable[[], None]:
        """Bind what goes on until the returned function is called.

        The session may have ended already, while an API took its time: what memory can't vouch for
        is looked at soon, and an end that is known is told at once.
        """
        in_doubt = self._sessions.cached(session.key) is None
        stream = _Stream(_doubtful(session) if in_doubt else session, end)
        streams = self._streams.setdefault(session.key, set())
        streams.add(stream)
        reason = self._sessions.end_reason(session.key) if in_doubt else None
        if reason is not None:  # not before the caller has what it needs to let go
            asyncio.get_running_loop().call_soon(self._on_ended, session.key, reason)

        def let_go() -> None:
            streams.discard(stream)
            if not streams and self._streams.get(session.key) is streams:
                del self._streams[session.key]

        return let_go

    def count(self, key: str) -> int:
        """How many streams a session has in this process."""
        return len(self._streams.get(key, ()))

    def __len__(self) -> int:
        """How many sessions have streams in this process."""
        return len(self._streams)

    def _on_ended(self, key: str, reason: str) -> None:
        for stream in tuple(self._streams.pop(key, ())):  # each is let go of while we are at it
            try:
                stream.end(reason)
            except Exception:  # a stream that fails at its end must not keep others open
                log.exception("stream_not_ended", reason=reason)

    def _on_watch(self, watching: bool) -> None:
        if watching:  # ends may have been missed: look at every session again, soon
            for streams in self._streams.values():
                for stream in streams:
                    stream.session = _doubtful(stream.session)

    async def _look_for_expiry(self) -> None:
        now = self._clock.now()
        doubtful = [
            key
            for key, streams in self._streams.items()
            if not all(stream.session.is_live(now) for stream in streams)
        ]
        for key in doubtful:
            try:
                await self._look_at(key)
            except Exception:  # a session that can't be looked at must not hide the others
                log.exception("expiry_not_seen")

    async def _look_at(self, key: str) -> None:
        try:
            session = await self._sessions.load_fresh(key)
        except StoreUnavailable:
            return  # nothing is known, so nothing is ended
        if session is None:
            self._on_ended(key, EXPIRED)
        for stream in self._streams.get(key, ()):
            if session is not None:
                stream.session = session


def _doubtful(session: Session) -> Session:
    """A copy that is looked at again at once."""
    return dataclasses.replace(session, idle_expires_at=0.0)
