"""The server of the listeners that aiohttp runs, for administrators and for proxies that ask. To
aiohttp's it adds limits, and answers of the gateway's own to requests that the parser refuses. It
knows nothing of what is asked.

A connection that is too slow, or one too many, is cut off without an answer: the peer is a program,
and reports that itself.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, cast

from aiohttp import web

from bff.errors import BadRequest, BffError, InternalError
from bff.observability.reasons import complaint_of

# More than a browser may send to the public listener: the proxy adds fields of its own.
MAX_FIELD_BYTES = 131_072
PARSER_LIMITS = ("max_line_size", "max_field_size", "max_headers")


class Answers(Protocol):
    """The endpoints, and the answer to a request that can't be read."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse: ...

    def refused(self, request: web.BaseRequest, error: BffError) -> web.Response: ...


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """As those of the public listener: `head_seconds` for a whole head to arrive, `body_seconds`
    for a piece of an answer to be taken, `keepalive_seconds` between two requests, `linger_seconds`
    for what was written to be taken, or an unread body to end, before a connection is cut;
    `max_connections` per process."""

    head_seconds: float
    body_seconds: float
    keepalive_seconds: float
    max_connections: int
    linger_seconds: float = 2.0


class _Connection(web.RequestHandler):
    """`_head_timer` runs while a head is due, `_taking_timer` while nothing more can be written,
    `_end_timer` while a connection that is to be closed has something left to write."""

    __slots__ = ("_end_timer", "_head_timer", "_is_answering", "_server", "_taking_timer")

    def __init__(self, server: "LimitedServer", **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._head_timer: asyncio.TimerHandle | None = None
        self._taking_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._is_answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.has_too_many:
            self._cut()
        else:
            self._start_head_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        self._stop_taking_timer()
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_answering and self._head_timer is None and self.transport is not None:
            self._start_head_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        seconds = self._server.limits.body_seconds
        self._taking_timer = self._loop.call_later(seconds, self._cut)

    def resume_writing(self) -> None:
        self._stop_taking_timer()
        super().resume_writing()

    async def start(self) -> None:
        await super().start()
        self._cut_soon()

    def force_close(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._cut_soon()
        super().force_close()

    async def ask(self, request: web.BaseRequest) -> web.StreamResponse:
        """Have one request answered."""
        self._stop_head_timer()
        self._is_answering = True
        try:
            answer = await self._server.answers(request)
            if self._server.is_draining:
                answer.force_close()  # and says so (RFC 9112 section 9.6)
            return answer
        finally:
            self._is_answering = False

    def _start_head_timer(self) -> None:
        self._head_timer = self._loop.call_later(self._server.limits.head_seconds, self._cut)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_taking_timer(self) -> None:
        if self._taking_timer is not None:
            self._taking_timer.cancel()
            self._taking_timer = None

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _cut_soon(self) -> None:
        """A connection that is closed stays until all that was written has been taken."""
        if self.transport is not None and self._end_timer is None:
            seconds = self._server.limits.linger_seconds
            self._end_timer = self._loop.call_later(seconds, self.transport.abort)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer without repeating any of what was sent, here or in the log.

        Raises:
            ConnectionError: an answer has begun; the connection is cut instead.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        self._stop_head_timer()
        is_theirs = status < HTTPStatus.INTERNAL_SERVER_ERROR
        error = BadRequest(complaint_of(exc)) if is_theirs else InternalError()
        response = self._server.answers.refused(request, error)
        response.force_close()
        return response


class LimitedServer(web.Server):
    """Made within the event loop. `for_proxies`: heads may be large, and a question is dropped when
    the proxy has hung up; what an administrator asked for is done."""

    def __init__(self, answers: Answers, limits: ServerLimits, *, for_proxies: bool) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await cast("_Connection", request.protocol).ask(request)

        options: dict[str, Any] = dict.fromkeys(PARSER_LIMITS, MAX_FIELD_BYTES)
        super().__init__(
            handle,
            handler_cancellation=for_proxies,
            access_log=None,
            **(options if for_proxies else {}),  # else as small as aiohttp has them
            lingering_time=limits.linger_seconds,
            keepalive_timeout=limits.keepalive_seconds,
        )
        self.is_draining = False  # then each answer is the last on its connection
        self.answers = answers
        self.limits = limits

    @property
    def has_too_many(self) -> bool:
        """Whether there are more connections than there may be."""
        return len(self._connections) > self.limits.max_connections

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)
