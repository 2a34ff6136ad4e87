"""`GET /bff/events`: what happens to a session, as server-sent events (HTML standard, 9.2).

`session` on open, `refreshed`, `expiring`, `ended` with a reason; comments as heartbeat. Listening
is not activity, but the tokens of a session with a stream are kept fresh.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web

from bff.clock import Clock
from bff.errors import NotAuthenticated, StoreUnavailable, TooManyStreams
from bff.gate.outcome import Local
from bff.gate.problem import OwnResponses
from bff.model import Session
from bff.sessions.bound_streams import EXPIRED, BoundStreams
from bff.sessions.sessions import Sessions
from bff.tokens.coordinator import RefreshCoordinator
from bff.tokens.policy import RefreshPolicy

# Browsers of a process that stops come back one after the other, not all at once.
RECONNECT_MILLISECONDS = range(1000, 5000)


@dataclass(frozen=True, slots=True)
class EventSettings:
    """`expiring_seconds` before a session's end the stream says so. A session may have
    `per_session` streams in one process."""

    heartbeat_seconds: float = 20.0
    expiring_seconds: float = 60.0
    per_session: int = 16


class Stream:
    """One browser's stream: woken by news, ended once."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._news = asyncio.Event()
        self.reason: str | None = None

    def wake(self) -> None:
        self._news.set()

    def end(self, reason: str) -> None:
        self.reason = reason
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Until there is news, at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    async def send(self, event: str, data: dict[str, object]) -> None:
        await self.write(f"event: {event}\ndata: {json.dumps(data)}\n\n")

    async def write(self, text: str) -> None:
        await self._response.write(text.encode())


class Events:
    """All streams of this process. They end with their session, or when the gateway stops. `own`
    are by frontend."""

    def __init__(
        self,
        sessions: Sessions,
        bound_streams: BoundStreams,
        coordinator: RefreshCoordinator,
        policy: RefreshPolicy,
        clock: Clock,
        own: Mapping[str, OwnResponses],
        settings: EventSettings,
    ) -> None:
        self._sessions = sessions
        self._bound_streams = bound_streams
        self._coordinator = coordinator
        self._policy = policy
        self._clock = clock
        self._own = own
        self._settings = settings
        self._open: dict[str, set[Stream]] = {}
        self._stopping = False
        sessions.observe(on_changed=self._on_changed)

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        session = local.session
        if session is None:
            raise NotAuthenticated
        if len(self._open.get(session.key, ())) >= self._settings.per_session:
            raise TooManyStreams
        response = web.StreamResponse(headers=self._own[session.frontend].headers())
        response.headers["Content-Type"] = "text/event-stream"
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
        response.headers["X-Request-ID"] = local.identity.request_id
        stream = Stream(response)
        with self._registered(session.key, stream), self._bound_streams.held(session, stream.end):
            await response.prepare(request)
            await self._run(stream, session)
            await response.write_eof()
        return response

    def stop(self) -> None:
        """End all streams: browsers reconnect by themselves, elsewhere if need be."""
        self._stopping = True
        for streams in self._open.values():
            for stream in streams:
                stream.wake()

    def _on_changed(self, key: str) -> None:
        for stream in self._open.get(key, ()):
            stream.wake()

    @contextlib.contextmanager
    def _registered(self, key: str, stream: Stream) -> Iterator[None]:
        streams = self._open.setdefault(key, set())
        streams.add(stream)
        try:
            yield
        finally:
            streams.discard(stream)
            if not streams and self._open.get(key) is streams:
                del self._open[key]

    async def _run(self, stream: Stream, session: Session) -> None:
        await stream.write(f"retry: {random.choice(RECONNECT_MILLISECONDS)}\n\n")  # noqa: S311
        await stream.send("session", self._about(session))
        warned = False
        while True:
            await stream.wait(self._wait_seconds(session, warned=warned))
            if self._stopping or stream.reason is not None:
                break
            current = await self._look(session)
            if current is None:
                stream.end(EXPIRED)
                break
            warned = await self._tell(stream, session, current, warned=warned)
            session = current
        if stream.reason is not None:
            await stream.send("ended", {"reason": stream.reason})

    async def _look(self, session: Session) -> Session | None:
        try:
            found = await self._sessions.load(session.key)
        except StoreUnavailable:
            return session  # nothing is known: go on as before
        if found is not None and self._policy.is_due(found, self._clock.now()):
            self._coordinator.refresh_soon(found)
        return found

    async def _tell(
        self, stream: Stream, before: Session, current: Session, *, warned: bool
    ) -> bool:
        """Send what has changed, or a heartbeat; whether the end has been announced."""
        soon = self._remaining_seconds(current) <= self._settings.expiring_seconds
        if current.tokens.expires_at != before.tokens.expires_at:
            await stream.send("refreshed", self._about(current))
        elif soon and not warned:
            await stream.send("expiring", self._about(current))
        else:
            await stream.write(":\n\n")
        return soon and (warned or current.tokens.expires_at == before.tokens.expires_at)

    def _wait_seconds(self, session: Session, *, warned: bool) -> float:
        """Until the heartbeat, or the next moment something is to be done, if that is sooner."""
        now = self._clock.now()
        waits = [self._settings.heartbeat_seconds]
        if session.tokens.refresh_token is not None:
            waits.append(self._policy.due_at(session) - now)
        if not warned:
            waits.append(self._remaining_seconds(session) - self._settings.expiring_seconds)
        return min(seconds for seconds in waits if seconds > 0)

    def _remaining_seconds(self, session: Session) -> float:
        return min(session.expires_at, session.idle_expires_at) - self._clock.now()

    def _about(self, session: Session) -> dict[str, object]:
        now = self._clock.now()
        return {
            "session_expires_in": max(0, int(session.expires_at - now)),
            "idle_expires_in": max(0, int(session.idle_expires_at - now)),
            "access_token_expires_in": max(0, int(session.tokens.expires_at - now)),
        }
