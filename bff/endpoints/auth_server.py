"""The server of the listener for proxies that ask: aiohttp's, with our words for what its parser
refuses, and with the limits it lacks. It knows nothing of what is asked.

Those who are late or too many are cut off without a word: the peer is a proxy, which has words of
its own for that.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, cast

from aiohttp import web

from bff.errors import BadRequest, BffError, InternalError

# More than a browser may send to the public listener: the proxy adds fields of its own.
MAX_FIELD_BYTES = 131_072


class Answers(Protocol):
    """What is asked, and how a request that can't be read is answered."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse: ...

    def refused(self, request: web.BaseRequest, error: BffError) -> web.Response: ...


@dataclass(frozen=True, slots=True)
class AuthLimits:
    """As those of the public listener: `head_seconds` for a whole head to arrive,
    `keepalive_seconds` between two questions, `max_connections` per process."""

    head_seconds: float
    keepalive_seconds: float
    max_connections: int


class _Connection(web.RequestHandler):
    """`_timer` runs while the head of a question is due."""

    __slots__ = ("_is_asked", "_timer")

    _timer: asyncio.TimerHandle | None
    _is_asked: bool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._timer = None
        self._is_asked = False
        super().connection_made(transport)
        if self._server().has_too_many:
            cast("asyncio.Transport", transport).abort()
        else:
            self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_asked and self._timer is None and self.transport is not None:
            self._await_head()

    async def ask(self, request: web.BaseRequest) -> web.StreamResponse:
        """Have one question answered."""
        self._head_is_here()
        self._is_asked = True
        try:
            return await self._server().answers(request)
        finally:
            self._is_asked = False

    def _await_head(self) -> None:
        seconds = self._server().limits.head_seconds
        self._timer = self._loop.call_later(seconds, self.force_close)

    def _head_is_here(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _server(self) -> "AuthServer":
        return cast("AuthServer", self._manager)

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
        self._head_is_here()
        is_theirs = status < HTTPStatus.INTERNAL_SERVER_ERROR
        error = BadRequest(type(exc).__name__) if is_theirs else InternalError()
        response = self._server().answers.refused(request, error)
        response.force_close()
        return response


class AuthServer(web.Server):
    """Made within the event loop. A question is dropped when its proxy hangs up; what must finish
    runs as a task of its own."""

    def __init__(self, answers: Answers, limits: AuthLimits) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await cast("_Connection", request.protocol).ask(request)

        super().__init__(
            handle,
            handler_cancellation=True,
            access_log=None,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELD_BYTES,
            lingering_time=0,
            keepalive_timeout=limits.keepalive_seconds,
        )
        self.answers = answers
        self.limits = limits

    @property
    def has_too_many(self) -> bool:
        """Whether there are more connections than there may be."""
        return len(self._connections) > self.limits.max_connections

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)
