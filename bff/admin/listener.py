"""The admin listener: `/healthz`, `/readyz` and `/metrics`, with no user data in any of them, and
`/sessions`, `/reload` and `/doctor` for administrators; the listener for metrics, with the first
three; and the health listener, with the first two. They have no authentication; their address
decides which programs can reach them.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import structlog
from aiohttp import web

from bff.admin.doctor import AdminDoctor
from bff.admin.health import Health
from bff.admin.reloads import AdminReloads
from bff.admin.sessions import AdminSessions
from bff.errors import BffError, InternalError, MethodNotAllowed, NotFound
from bff.gate.problem import OwnResponses, problem_for
from bff.observability.metrics import Metrics

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]
Handlers = Mapping[str, Mapping[str, Handler]]

OWN = OwnResponses(hsts=False)

log = structlog.get_logger("bff.admin")


class OperatorEndpoints:
    """`handlers` are by path and method."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    @classmethod
    def admin(
        cls,
        health: Health,
        metrics: Metrics,
        sessions: AdminSessions,
        doctor: AdminDoctor,
        reloads: AdminReloads | None = None,
    ) -> Self:
        """All of them, for `server.admin_listen`; without `reloads` for a process that can't."""
        return cls(
            {
                **_figures(health, metrics),
                "/sessions": {**_reading(sessions.show), "DELETE": sessions.end},
                "/doctor": {"POST": doctor},
                **({"/reload": {"POST": reloads}} if reloads is not None else {}),
            }
        )

    @classmethod
    def figures(cls, health: Health, metrics: Metrics) -> Self:
        """Those that are about the gateway and no session, for `metrics.listen`."""
        return cls(_figures(health, metrics))

    @classmethod
    def probes(cls, health: Health) -> Self:
        """Those that show nothing and end nothing, for `server.health_listen`."""
        return cls(_probes(health))

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        try:
            response = await self._handler_of(request)(request)
        except BffError as error:
            return self.refused(request, error)
        except Exception as error:  # whatever it is, it must be seen, and say nothing
            log.exception("admin_failed", error=type(error).__name__)
            return self.refused(request, InternalError())
        return _ours(response)

    def refused(self, _request: web.BaseRequest, error: BffError) -> web.Response:
        """The answer to a request that failed, or could not be read."""
        return _ours(_problem(error))

    def _handler_of(self, request: web.BaseRequest) -> Handler:
        handlers = self._handlers.get(request.path)
        if handlers is None:
            raise NotFound
        if request.method not in handlers:
            raise MethodNotAllowed(tuple(sorted(handlers)))
        return handlers[request.method]


def _probes(health: Health) -> Handlers:
    return {"/healthz": _reading(health.alive), "/readyz": _reading(health.ready)}


def _figures(health: Health, metrics: Metrics) -> Handlers:
    async def exposition(_request: web.BaseRequest) -> web.Response:
        return web.Response(
            body=metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    return {**_probes(health), "/metrics": _reading(exposition)}


def _reading(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}


def _ours(response: web.Response) -> web.Response:
    """With the headers that every answer carries."""
    response.headers.update(OWN.headers())
    response.headers["Server"] = "bff"
    return response


def _problem(error: BffError) -> web.Response:
    """The answer to what went wrong, which is logged."""
    request_id = secrets.token_hex(16)
    log.log(
        error.log_level,
        "admin_refused",
        code=error.code,
        detail=error.log_detail,
        request_id=request_id,
    )
    found = problem_for(error, request_id=request_id, login_url="")
    return web.Response(status=found.status, body=found.body, headers=found.headers)
