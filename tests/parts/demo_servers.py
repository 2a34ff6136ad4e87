"""Starts the demo OP and the demo API inside the test's loop, on free loopback ports.

The OP answers at http://127.0.0.1, so that an application at http://localhost is another site.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache

from aiohttp import web
from joserfc.jwk import RSAKey

from bff.clock import Clock
from spa_demo.api.server import build_api
from spa_demo.api.settings import ApiSettings
from spa_demo.op import OP_BACK_CHANNEL, OP_KEYS, OP_STATE, Client, OpSettings, build_op
from spa_demo.op.backchannel import BackChannel
from spa_demo.op.keys import SigningKeys, generate_key
from spa_demo.op.state import OpState

CALLBACK = "http://localhost:8080/bff/callback"
SPA = Client(
    client_id="spa",
    client_secret="spa-secret",
    redirect_uris=(CALLBACK,),
    post_logout_redirect_uris=("http://localhost:8080/",),
)
API = Client("api", "api-secret", grant_types=frozenset(), may_introspect=True)
SETTINGS = OpSettings("http://127.0.0.1", (SPA, API), expose_test_stats=True)


@dataclass(frozen=True, slots=True)
class RunningOp:
    """An OP that answers at `issuer`, and its inside."""

    issuer: str
    state: OpState
    keys: SigningKeys
    back_channel: BackChannel


def listen() -> tuple[socket.socket, str]:
    """A listening socket on a free loopback port, and its origin."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def serving(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Serve as in production: a gone client does not cancel a handler."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_op(
    settings: OpSettings = SETTINGS, clock: Clock | None = None
) -> AsyncIterator[RunningOp]:
    """An OP with these settings, but for the issuer."""
    listener, issuer = listen()
    keys = SigningKeys(_shared_key())
    app = build_op(replace(settings, issuer=issuer), clock, keys)
    async with serving(app, listener):
        yield RunningOp(issuer, app[OP_STATE], app[OP_KEYS], app[OP_BACK_CHANNEL])


@asynccontextmanager
async def running_api(settings: ApiSettings, clock: Clock | None = None) -> AsyncIterator[str]:
    """An API; yields its origin."""
    listener, origin = listen()
    async with serving(build_api(settings, clock), listener):
        yield origin


@cache
def _shared_key() -> RSAKey:
    return generate_key()  # takes a tenth of a second; nothing is protected by it
