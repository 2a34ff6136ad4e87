"""The gateway's own endpoints, run by aiohttp. They are handed in by name; none of them decides
whether a request may pass, and an error raised in one becomes an answer here."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bff.errors import BffError
from bff.gate.outcome import Local
from bff.gate.problem import OwnResponses
from bff.proxy.local import Refusal
from bff.proxy.refusals import Refusals, unforeseen

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
        )
        return Refusal(status=problem.status, headers=problem.headers, body=problem.body)
