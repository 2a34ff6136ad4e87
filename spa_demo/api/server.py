"""Builds the demo API: every object once, then the routes."""

from aiohttp import web

from bff.clock import Clock, SystemClock
from spa_demo.api.guard import Guard
from spa_demo.api.handlers import ApiHandlers
from spa_demo.api.notes import Notes
from spa_demo.api.op_keys import OpKeys
from spa_demo.api.problems import answer_problems
from spa_demo.api.settings import ApiSettings
from spa_demo.api.streams import StreamHandlers


def build_api(settings: ApiSettings, clock: Clock | None = None) -> web.Application:
    """The API as an application: a resource server for tokens of one issuer."""
    clock = clock or SystemClock()
    keys = OpKeys(settings, clock)
    guard = Guard(settings, keys, clock)
    streams = StreamHandlers(settings, guard, clock)
    app = web.Application(middlewares=[answer_problems], client_max_size=settings.max_body_bytes)
    app.cleanup_ctx.append(keys.run)
    app.on_shutdown.append(streams.stop)
    app.on_response_prepare.append(_harden)
    app.on_response_prepare.append(guard.offer_nonce)
    app.add_routes(ApiHandlers(guard, Notes(settings.max_notes), clock).routes())
    app.add_routes(streams.routes())
    return app


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    """JSON is never to be taken for anything else. Caching is left to the gateway."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
