"""The public socket: aiohttp's protocol, with our answers where it would speak for itself."""

import secrets
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from bff.errors import BadRequest, BffError, InternalError
from bff.gate.problem import OwnResponses, problem_for

log = structlog.get_logger("bff.front")

SERVER_NAME = "bff"  # aiohttp would name itself, Python and both versions
KEEPALIVE_SECONDS = 75.0
LINGERING_SECONDS = 2.0  # how long the rest of an unread body is drained before closing

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Connection(web.RequestHandler):
    """One connection of a browser."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer bytes that are no HTTP, without repeating them, and close (RFC 9112 section 2.2).

        Raises:
            ConnectionError: an answer has begun; the connection is cut instead.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        error: BffError = BadRequest() if status < 500 else InternalError()
        request_id = secrets.token_hex(16)
        log.info("unreadable", status=error.status, request_id=request_id, kind=type(exc).__name__)
        problem = problem_for(error, request_id=request_id, login_url="")
        response = web.Response(status=problem.status, body=problem.body)
        manager = self._manager
        own = manager.own if isinstance(manager, Listener) else OwnResponses(https=False)
        response.headers.update(own.headers())
        response.headers.update(problem.headers)
        response.headers["Server"] = SERVER_NAME
        response.force_close()
        return response


class Listener(web.Server):
    """Makes connections whose requests end up in one handler.

    A handler is cancelled when its browser hangs up; what must finish runs as a task of its own.
    Bodies stay as they were sent: nothing is decompressed on the way.
    """

    def __init__(self, handler: Handler, own: OwnResponses) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=LINGERING_SECONDS,
        )
        self.own = own

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)
