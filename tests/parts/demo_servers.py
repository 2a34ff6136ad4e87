"""Starts the demo's OP and API inside the test's loop, on loopback ports.

The OP answers at http://127.0.0.1, so that an application at http://localhost is another site.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from aiohttp import web
from joserfc.jwk import RSAKey

from bff.clock import Clock
from spa_demo.api.server import build_api
from spa_demo.api.settings import ApiSettings
from spa_demo.op import OP_BACK_CHANNEL, OP_KEYS, OP_STATE, Client, OpSettings, build_op
from spa_demo.op.backchannel import BackChannel
from spa_demo.op.counters import Counters
from spa_demo.op.keys import SigningKeys, generate_key
from spa_demo.op.state import OpState
from tests.parts.configuration import CLIENT_ID, CLIENT_SECRET
from tests.parts.servers import Server, free_port, serving

CALLBACK = "http://localhost:8080/bff/callback"
SPA = Client(
    client_id="spa",
    client_secret="spa-secret",
    redirect_uris=(CALLBACK,),
    post_logout_redirect_uris=("http://localhost:8080/",),
)
API = Client("api", "api-secret", grant_types=frozenset(), may_introspect=True)
SETTINGS = OpSettings("http://127.0.0.1", (SPA, API), expose_test_stats=True)

Prepare = Callable[[web.Application], None]


@dataclass(frozen=True, slots=True)
class RunningOp:
    """An OP that answers at `issuer`, and its inside. `counters` count what it was asked."""

    issuer: str
    server: Server

    @property
    def state(self) -> OpState:
        return self.server.application[OP_STATE]

    @property
    def counters(self) -> Counters:
        return self.state.counters

    @property
    def keys(self) -> SigningKeys:
        return self.server.application[OP_KEYS]

    @property
    def back_channel(self) -> BackChannel:
        return self.server.application[OP_BACK_CHANNEL]

    def revoke_all_grants(self) -> None:
        """As an administrator of the OP could."""
        for family in self.state.active_families():
            self.state.revoke_family(family, "by a test")


@asynccontextmanager
async def running_op(
    settings: OpSettings = SETTINGS,
    clock: Clock | None = None,
    *,
    port: int | None = None,
    prepare: Prepare | None = None,
) -> AsyncIterator[RunningOp]:
    """An OP with these settings, but for the issuer. `prepare` is handed its application before it
    starts."""
    port = port or free_port()
    issuer = f"http://127.0.0.1:{port}"
    application = build_op(replace(settings, issuer=issuer), clock, SigningKeys(_shared_key()))
    if prepare is not None:
        prepare(application)
    async with serving(application, port) as server:
        yield RunningOp(issuer, server)


@asynccontextmanager
async def running_demo_op(
    port: int,
    public_url: str,
    *,
    clock: Clock | None = None,
    backchannel: bool = False,
    prepare: Prepare | None = None,
    client: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[RunningOp]:
    """The OP with the gateway of `public_url` as its client. `settings` are further ones of the OP,
    `client` of its client.
    With `backchannel` the OP tells the gateway of logouts."""
    spa = Client(
        CLIENT_ID,
        (client or {}).get("client_secret", CLIENT_SECRET),
        redirect_uris=(f"{public_url}/bff/callback",),
        post_logout_redirect_uris=(f"{public_url}/", f"{public_url}/bff/logged-out"),
        backchannel_logout_uri=f"{public_url}/bff/backchannel-logout" if backchannel else None,
        **{name: value for name, value in (client or {}).items() if name != "client_secret"},
    )
    op_settings = OpSettings("http://127.0.0.1", (spa,), **settings)
    async with running_op(op_settings, clock, port=port, prepare=prepare) as op:
        yield op


@asynccontextmanager
async def running_api(
    settings: ApiSettings, clock: Clock | None = None, *, port: int | None = None
) -> AsyncIterator[str]:
    """An API; yields its origin."""
    port = port or free_port()
    async with serving(build_api(settings, clock), port):
        yield f"http://127.0.0.1:{port}"


@cache
def _shared_key() -> RSAKey:
    return generate_key()  # takes longer than most tests; nothing is protected by it
