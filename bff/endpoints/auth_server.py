"""The server of the listener for proxies that ask: aiohttp's, with our words for what its parser
refuses. It knows nothing of what is asked."""

from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from bff.errors import BadRequest, BffError, InternalError

# More than a browser may send to the public listener: the proxy adds fields of its own.
MAX_FIELD_BYTES = 131_072


class Answers(Protocol):
    """What is asked, and how a request that can't be read is answered."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse: ...

    def refused(self, request: web.BaseRequest, error: BffError) -> web.Response: ...


class _Connection(web.RequestHandler):
    __slots__ = ()

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
        server = self._manager
        if request.writer.output_size > 0 or not isinstance(server, AuthServer):
            raise ConnectionError("an answer has begun")
        is_theirs = status < HTTPStatus.INTERNAL_SERVER_ERROR
        error = BadRequest(type(exc).__name__) if is_theirs else InternalError()
        response = server.answers.refused(request, error)
        response.force_close()
        return response


class AuthServer(web.Server):
    """Made within the event loop. A question is dropped when its proxy hangs up; what must finish
    runs as a task of its own."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(
            answers,
            handler_cancellation=True,
            access_log=None,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELD_BYTES,
            lingering_time=0,
        )
        self.answers = answers

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)
