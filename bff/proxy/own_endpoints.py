"""The gateway's own endpoints as one more upstream: aiohttp at the other end of a socket pair.

The endpoints are handed in by name; none of them decides whether a request may pass, and an error
raised in one becomes an answer here. A request that gets here has been decided; the decision goes
along beside the bytes, on the connection's own handler, where no header could forge it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from structlog.contextvars import bound_contextvars

from bff.errors import BadRequest, BffError, InternalError, NotAuthenticated
from bff.gate.framing import MAX_HEAD_BYTES
from bff.gate.outcome import Local
from bff.gate.problem import OwnResponses
from bff.gate.refusals import Refusals, unforeseen
from bff.observability.logs import frontend_in_logs
from bff.observability.reasons import complaint_of
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.connection import UpstreamConnection, UpstreamLimits
from bff.proxy.upstream.pool import IdleConnections

IDLE_SECONDS = 30.0
MOST_IDLE = 64
BUFFER_BYTES = 65_536  # of an answer between the two ends; it is read as a whole


class Refusal(web.Response):
    """An answer that has been counted and logged."""


class Endpoints(Protocol):
    """What a request ends up in."""

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse: ...

    def refused(
        self, request: web.BaseRequest, error: BffError, local: Local
    ) -> web.StreamResponse: ...


class _LocalConnection(web.RequestHandler):
    """aiohttp's end of one socket pair. `decision` belongs to the request it handles, `is_refusal`
    to the answer."""

    __slots__ = ("decision", "is_refusal")

    decision: Local
    is_refusal: bool

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what this parser refuses although the proxy's own has let it pass, a field twice
        for instance, without repeating any of it.

        Raises:
            ConnectionError: an answer has begun; the connection is cut instead.
        """
        server = self._manager
        if request.writer.output_size > 0 or not isinstance(server, LocalServer):
            raise ConnectionError("an answer has begun")
        is_theirs = status < HTTPStatus.INTERNAL_SERVER_ERROR
        error: BffError = BadRequest(complaint_of(exc)) if is_theirs else InternalError()
        response = server.endpoints.refused(request, error, self.decision)
        response.force_close()
        self.is_refusal = True
        return response


class LocalServer(web.Server):
    """Hands requests to one handler, with the decision that brought them here.

    A handler is cancelled when its browser hangs up; what must finish runs as a task of its own.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            protocol = request.protocol
            if not isinstance(protocol, _LocalConnection):
                raise TypeError("not one of our connections")
            response = await endpoints(request, protocol.decision)
            protocol.is_refusal = isinstance(response, Refusal)
            return response

        super().__init__(
            handle,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=IDLE_SECONDS * 2,  # our end closes first, always
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            max_headers=MAX_HEAD_BYTES,
            lingering_time=0,
        )
        self.endpoints = endpoints

    def __call__(self) -> _LocalConnection:
        return _LocalConnection(self, loop=self._loop, **self._kwargs)


class LocalPool(IdleConnections):
    """Connections to the own endpoints."""

    def __init__(
        self, endpoints: Endpoints, writes: WriteCoalescer, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        super().__init__(MOST_IDLE)
        self._limits = UpstreamLimits(silence_seconds=None, idle_seconds=idle_seconds)
        self._writes = writes
        self._endpoints = endpoints
        self._server: LocalServer | None = None
        self._ends: dict[UpstreamConnection, _LocalConnection] = {}

    def start(self) -> None:
        self._server = LocalServer(self._endpoints)

    async def close(self) -> None:
        """End what is still running."""
        for connection in list(self._ends):
            connection.close()
        if self._server is not None:
            await self._server.shutdown(0.01)  # aiohttp takes 0 for "as long as it takes"

    def hand_over(self, connection: UpstreamConnection, decision: Local) -> None:
        """The decision of the request that is written next."""
        end = self._ends[connection]
        end.decision, end.is_refusal = decision, False

    def has_refused(self, connection: UpstreamConnection) -> bool:
        """Whether the answer that has begun is a refusal."""
        end = self._ends.get(connection)
        return end is not None and end.is_refusal

    async def connect(self) -> UpstreamConnection:
        """A new socket pair. Raises: OSError when there are no more descriptors."""
        if self._server is None:
            raise RuntimeError("not started")
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        ours.setblocking(False)
        theirs.setblocking(False)
        end = self._server()
        try:
            their_transport, _ = await loop.connect_accepted_socket(lambda: end, theirs)
        except BaseException:
            ours.close()
            theirs.close()
            raise
        try:
            _, connection = await loop.create_unix_connection(
                lambda: UpstreamConnection(self, self._writes, self._limits), sock=ours
            )
        except BaseException:
            their_transport.abort()  # its socket is the transport's now, and no other may close it
            ours.close()
            raise
        self._ends[connection] = end
        return connection

    def forget(self, connection: UpstreamConnection) -> None:
        """It is closed."""
        super().forget(connection)
        self._ends.pop(connection, None)


Endpoint = Callable[[web.BaseRequest, Local], Awaitable[web.StreamResponse]]


class OwnEndpoints:
    """One call is one request that the gate has decided."""

    def __init__(
        self, endpoints: Mapping[str, Endpoint], refusals: Refusals, own: OwnResponses
    ) -> None:
        self._endpoints = endpoints
        self._refusals = refusals
        self._own = own

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        request_id = local.identity.request_id
        try:
            response = await self._endpoints[local.endpoint](request, local)
        except BffError as error:
            return self.refused(request, error, local)
        except Exception as error:  # whatever it is, it must fail closed and be seen
            if request.writer.output_size > 0:
                raise  # an answer has begun: aborting is all that is left
            return self.refused(request, unforeseen(error, request_id), local)
        if not response.prepared:
            for name, value in self._own.headers().items():
                response.headers.setdefault(name, value)
            response.headers["X-Request-ID"] = request_id
        return response

    def refused(
        self, request: web.BaseRequest, error: BffError, local: Local
    ) -> web.StreamResponse:
        """The answer to a request that failed."""
        problem = self._refusals.problem(
            error,
            request.raw_headers,
            local.identity.request_id,
            method=request.method,
            route=local.route,
            address=local.identity.client_address,
            clear=local.clear_cookie and isinstance(error, NotAuthenticated),
        )
        return Refusal(status=problem.status, headers=problem.headers, body=problem.body)


class FrontendEndpoints:
    """The own endpoints of all applications, by the name of the one that a request has come for."""

    def __init__(self, frontends: Mapping[str, Endpoints]) -> None:
        self._frontends = frontends

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        name = local.identity.frontend
        with bound_contextvars(**frontend_in_logs(name)):
            return await self._frontends[name](request, local)

    def refused(
        self, request: web.BaseRequest, error: BffError, local: Local
    ) -> web.StreamResponse:
        """The answer to a request that failed."""
        return self._frontends[local.identity.frontend].refused(request, error, local)
