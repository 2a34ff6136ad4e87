"""The admin listener: `/healthz`, `/readyz` and `/metrics`, with no user data in any of them, and
`/sessions` for administrators. It has no authentication; its address decides who can reach it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bff.admin.answers import answer_errors
from bff.admin.sessions import AdminSessions
from bff.errors import BffError
from bff.observability.metrics import Metrics

CHECK_SECONDS = 3.0

Check = Callable[[], Awaitable[object]]


class AdminEndpoints:
    """`checks` are named probes of what the gateway depends on; each may raise a `BffError`."""

    def __init__(
        self, checks: Mapping[str, Check], metrics: Metrics, sessions: AdminSessions
    ) -> None:
        self._checks = checks
        self._metrics = metrics
        self._sessions = sessions
        self._stopping = False

    def stopping(self) -> None:
        """From now on the gateway is not ready: load balancers look elsewhere."""
        self._stopping = True

    def application(self) -> web.Application:
        app = web.Application(middlewares=[answer_errors])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._exposition)
        app.router.add_get("/sessions", self._sessions.show)
        app.router.add_delete("/sessions", self._sessions.end)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        results = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        verdicts = dict(zip(self._checks, results, strict=True))
        if self._stopping:
            verdicts["stopping"] = "yes"
        ready = not self._stopping and all(verdict == "ok" for verdict in results)
        return web.json_response(
            {"status": "ready" if ready else "not_ready", "checks": verdicts},
            status=200 if ready else 503,
        )

    async def _exposition(self, _request: web.Request) -> web.Response:
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
