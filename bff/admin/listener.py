"""The admin listener: `/healthz`, `/readyz` and `/metrics`, with no user data in any of them, and
`/sessions` for administrators. It has no authentication; its address decides who can reach it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web

from bff.admin import answers
from bff.admin.sessions import AdminSessions
from bff.errors import BffError, InternalError, MethodNotAllowed, NotFound
from bff.observability.metrics import Metrics

CHECK_SECONDS = 3.0

Check = Callable[[], Awaitable[object]]
Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]

log = structlog.get_logger("bff.admin")


class AdminEndpoints:
    """`checks` are named probes of what the gateway depends on; each may raise a `BffError`."""

    def __init__(
        self, checks: Mapping[str, Check], metrics: Metrics, sessions: AdminSessions
    ) -> None:
        self._checks = checks
        self._metrics = metrics
        self._stopping = False
        self._handlers: Mapping[str, Mapping[str, Handler]] = {
            "/healthz": _reading(self._healthz),
            "/readyz": _reading(self._readyz),
            "/metrics": _reading(self._exposition),
            "/sessions": {**_reading(sessions.show), "DELETE": sessions.end},
        }

    def stopping(self) -> None:
        """From now on the gateway is not ready: load balancers look elsewhere."""
        self._stopping = True

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        try:
            response = await self._handler_of(request)(request)
        except BffError as error:
            return self.refused(request, error)
        except Exception as error:  # whatever it is, it must be seen, and say nothing
            log.exception("admin_failed", error=type(error).__name__)
            return self.refused(request, InternalError())
        return answers.ours(response)

    def refused(self, _request: web.BaseRequest, error: BffError) -> web.Response:
        """The answer to a request that failed, or could not be read."""
        return answers.ours(answers.problem(error))

    def _handler_of(self, request: web.BaseRequest) -> Handler:
        handlers = self._handlers.get(request.path)
        if handlers is None:
            raise NotFound
        if request.method not in handlers:
            raise MethodNotAllowed(tuple(sorted(handlers)))
        return handlers[request.method]

    async def _healthz(self, _request: web.BaseRequest) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.BaseRequest) -> web.Response:
        results = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        verdicts = dict(zip(self._checks, results, strict=True))
        if self._stopping:
            verdicts["stopping"] = "yes"
        ready = not self._stopping and all(verdict == "ok" for verdict in results)
        return web.json_response(
            {"status": "ready" if ready else "not_ready", "checks": verdicts},
            status=200 if ready else 503,
        )

    async def _exposition(self, _request: web.BaseRequest) -> web.Response:
        return web.Response(
            body=self._metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _run(self, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except BffError as error:
            return error.code
        except TimeoutError:
            return "timeout"
        return "ok"


def _reading(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}
