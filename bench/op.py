"""The demo OP as a process that logs every browser in: `python -m bench.op PORT REDIRECT_URI...`.

A browser without a login gets one as Alice, so that a login flow is redirects only, the same
for every program. Access tokens live for hours: no refresh falls into a measurement.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import uvloop
from aiohttp import web

from spa_demo.op import DEMO_USERS, OP_STATE, Client, OpSettings, build_op
from spa_demo.op.cookies import SESSION
from spa_demo.op.settings import DEFAULT_SCOPE

CLIENT_ID = "bench"
CLIENT_SECRET = "bench-client-secret-0123456789abcdef"  # noqa: S105 - guards nothing
SCOPE = "openid profile email offline_access api:read"
ACCESS_TOKEN_SECONDS = 6 * 3600
AUTHORIZE = "/authorize"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def log_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the browser a login and the client its consent, and ask for no form."""
    if request.path != AUTHORIZE:
        return await handler(request)
    state = request.app[OP_STATE]
    session = state.open_session(DEMO_USERS[0], "urn:demo:acr:password")
    session.consents[CLIENT_ID] = frozenset(DEFAULT_SCOPE.split())
    headers = {**request.headers, "Cookie": f"{SESSION}={session.cookie}"}
    silent = request.rel_url.update_query(prompt="none")
    return await handler(request.clone(rel_url=silent, headers=headers))


async def serve(port: int, redirect_uris: tuple[str, ...]) -> None:
    client = Client(CLIENT_ID, CLIENT_SECRET, redirect_uris=redirect_uris)
    settings = OpSettings(
        f"http://127.0.0.1:{port}", (client,), access_token_seconds=ACCESS_TOKEN_SECONDS
    )
    application = build_op(settings)
    application.middlewares.append(log_in)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), tuple(sys.argv[2:])))
