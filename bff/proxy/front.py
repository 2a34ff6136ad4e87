"""The public listener's one handler: head, decision, and who carries it out.

Own endpoints are handed in by name; an error raised anywhere becomes an answer here, as a page for
a navigation and as problem+json for everything else.
"""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web

from bff.errors import BffError, InternalError
from bff.gate.admission import Admission
from bff.gate.head import RequestHead, is_navigation, scan
from bff.gate.outcome import Answer, Forward, Local
from bff.gate.problem import OwnResponses, Problem, problem_for
from bff.observability.metrics import Metrics
from bff.proxy.forwarder import Forwarder
from bff.proxy.listener import SERVER_NAME

log = structlog.get_logger("bff.front")

Endpoint = Callable[[web.BaseRequest, Local], Awaitable[web.StreamResponse]]
ErrorPage = Callable[[BffError, str], Problem]


class Front:
    """`clear_cookie` is the Set-Cookie value that deletes the session cookie."""

    def __init__(
        self,
        admission: Admission,
        forwarder: Forwarder,
        endpoints: Mapping[str, Endpoint],
        error_page: ErrorPage,
        own: OwnResponses,
        metrics: Metrics,
        *,
        login_url: str,
        clear_cookie: str,
    ) -> None:
        self._admission = admission
        self._forwarder = forwarder
        self._endpoints = endpoints
        self._error_page = error_page
        self._own = own
        self._metrics = metrics
        self._login_url = login_url
        self._clear_cookie = clear_cookie

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        response = await self._respond(request)
        if not response.prepared:
            response.headers["Server"] = SERVER_NAME
        return response

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        head = RequestHead(
            request.method,
            request.raw_path.encode("utf-8", "surrogateescape"),
            request.raw_headers,
            _peer(request),
        )
        request_id = ""
        try:
            decision = await self._admission.admit(head)
            request_id = decision.identity.request_id
            if isinstance(decision, Answer):
                return self._answer(
                    request, decision.error, request_id, clear=decision.clear_cookie
                )
            response = await self._carry_out(request, decision)
        except BffError as error:
            return self._answer(request, error, request_id)
        except Exception as error:  # whatever it is, it must fail closed and be seen
            if request.writer.output_size > 0:
                raise  # an answer has begun: aborting is all that is left
            log.exception("unhandled", request_id=request_id, error=type(error).__name__)
            return self._answer(request, InternalError(), request_id)
        self._metrics.answered(type(decision).__name__.lower(), response.status)
        return response

    async def _carry_out(
        self, request: web.BaseRequest, decision: Forward | Local
    ) -> web.StreamResponse:
        if isinstance(decision, Forward):
            return await self._forwarder.forward(request, decision, self._own.transport_headers())
        response = await self._endpoints[decision.endpoint](request, decision)
        if not response.prepared:
            for name, value in self._own.headers().items():
                response.headers.setdefault(name, value)
            response.headers["X-Request-ID"] = decision.identity.request_id
        return response

    def _answer(
        self,
        request: web.BaseRequest,
        error: BffError,
        request_id: str,
        *,
        clear: bool = False,
    ) -> web.StreamResponse:
        log.log(
            _LEVELS[error.log_level],
            "refused",
            code=error.code,
            status=error.status,
            source=error.source.value,
            detail=error.log_detail,
            request_id=request_id,
        )
        self._metrics.answered("refused", error.status, error.code)
        if is_navigation(scan(request.raw_headers, frozenset())):
            problem = self._error_page(error, request_id)
        else:
            problem = problem_for(error, request_id=request_id, login_url=self._login_url)
        response = web.Response(status=problem.status, body=problem.body)
        response.headers.update(self._own.headers())
        response.headers.update(problem.headers)
        if clear:
            response.headers.add("Set-Cookie", self._clear_cookie)
        if request.body_exists and not _ends_for_certain(request):
            response.force_close()  # an unread body must never be read as a request
        return response


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _ends_for_certain(request: web.BaseRequest) -> bool:
    # A refused request's coding may be the very reason: then nobody can tell where it ends.
    return request.content.at_eof() and "Transfer-Encoding" not in request.headers


def _peer(request: web.BaseRequest) -> str | None:
    name = request.transport.get_extra_info("peername") if request.transport else None
    return name[0] if isinstance(name, tuple) else None
