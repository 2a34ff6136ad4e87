"""A whole installation on loopback for the flow tests: demo OP, demo API, gateway, over sockets.

The OP lives on 127.0.0.1 and the gateway on localhost, so that a browser (`tests.parts.browser` as
well) sees two sites, as in production. Everything runs in the test's event loop and is stopped at
its end.
"""

import contextlib
import itertools
import os
import socket
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from bff.app import Gateway
from bff.clock import Clock, SystemClock
from bff.config import Settings, load
from spa_demo import SPA_ROOT
from spa_demo.api.server import build_api
from spa_demo.api.settings import ApiSettings
from spa_demo.op import OP_STATE, Client, OpSettings, build_op
from spa_demo.op.counters import Counters
from spa_demo.op.keys import SigningKeys

CLIENT_ID = "spa"
CLIENT_SECRET = "client-secret-canary-0123456789"
SESSION_SECRET = "Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0pA"
SCOPE = "openid profile email api:read api:write"

# For tests of news between processes: by itself a cache would not notice for longer than they wait.
BY_NEWS_ONLY = 'cache_max_age = "60s"'

_KEYS: list[SigningKeys] = []
_GIVEN = itertools.count()
# Runs side by side begin at different ports, and of the n processes of one run (pytest-xdist) each
# takes every n-th port, so that within a run none comes twice.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_FIRST = zlib.crc32(_RUN.encode()) + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])


@dataclass(slots=True)
class Stack:
    """What is running. `issuer` and `public_url` are origins; `op` counts what the OP was asked."""

    gateway: Gateway
    public_url: str
    admin_url: str
    issuer: str
    op_server: "Server"
    ports: "Ports"
    toml: str
    clock: Clock | None

    def now(self) -> float:
        """The time all of it goes by."""
        return (self.clock or SystemClock()).now()

    @contextlib.asynccontextmanager
    async def replica(self) -> AsyncIterator[str]:
        """A second gateway of the same installation; its public listener's origin.

        It serves the same `public_url`, so requests to it carry that Host.
        """
        listen, admin = free_port(), free_port()
        environ = {
            "BFF_SERVER__LISTEN": f"127.0.0.1:{listen}",
            "BFF_SERVER__ADMIN_LISTEN": f"127.0.0.1:{admin}",
        }
        async with running(Gateway(settings_from(self.toml, environ), self.clock)):
            yield f"http://127.0.0.1:{listen}"

    @property
    def op(self) -> Counters:
        return self.op_server.application[OP_STATE].counters

    def revoke_all_grants(self) -> None:
        """As an administrator of the OP could."""
        state = self.op_server.application[OP_STATE]
        for family in state.active_families():
            state.revoke_family(family, "by a test")


def free_port() -> int:
    """A port nobody listens on now, below those the system gives to outgoing connections."""
    while True:
        port = 12_000 + (_FIRST + next(_GIVEN) * _PROCESSES) % (20_000 // _PROCESSES * _PROCESSES)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def signing_keys() -> SigningKeys:
    """One set for the whole run: making an RSA key takes longer than most tests."""
    if not _KEYS:
        _KEYS.append(SigningKeys())
    return _KEYS[0]


def settings_from(toml: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Load a configuration as a user would write it."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "bff.toml"
        path.write_text(toml)
        return load(path, environ or {})


class Server:
    """An application on a loopback port that can go away and come back."""

    def __init__(self, application: web.Application, port: int) -> None:
        self.application = application
        self._port = port
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        self._site: web.TCPSite | None = None

    async def start(self) -> None:
        if self._runner.server is None:
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()

    async def stop(self) -> None:
        """Refuse connections from now on and cut those that are open."""
        if self._site is not None and self._runner.server is not None:
            await self._site.stop()
            await self._runner.server.shutdown(timeout=0.01)  # 0 would mean for ever
            self._site = None

    async def close(self) -> None:
        await self._runner.cleanup()


@contextlib.asynccontextmanager
async def serving(application: web.Application, port: int) -> AsyncIterator[Server]:
    server = Server(application, port)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def running_demo_op(
    port: int,
    public_url: str,
    *,
    clock: Clock | None = None,
    backchannel: bool = False,
    prepare: Callable[[web.Application], None] | None = None,
    **settings: Any,
) -> AsyncIterator[Server]:
    """The demo OP on a port of 127.0.0.1, with the gateway of `public_url` as its client.

    `settings` are further ones of the OP. `prepare` is handed its application before it starts.
    With `backchannel` the OP tells the gateway of logouts.
    """
    client = Client(
        CLIENT_ID,
        CLIENT_SECRET,
        redirect_uris=(f"{public_url}/bff/callback",),
        post_logout_redirect_uris=(f"{public_url}/",),
        backchannel_logout_uri=f"{public_url}/bff/backchannel-logout" if backchannel else None,
    )
    op_settings = OpSettings(f"http://127.0.0.1:{port}", (client,), **settings)
    application = build_op(op_settings, clock, signing_keys())
    if prepare is not None:
        prepare(application)
    async with serving(application, port) as server:
        yield server


@contextlib.asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[Gateway]:
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@dataclass(frozen=True, slots=True)
class Ports:
    gateway: int
    admin: int
    op: int
    api: int


def gateway_toml(
    ports: Ports,
    *,
    store: str = "memory://",
    secret: str = SESSION_SECRET,
    scope: str = SCOPE,
    session: str = "",
    oidc: str = "",
    server: str = "",
    extra: str = "",
    routes: str | None = None,
    spa: str | None = None,
) -> str:
    """The usual configuration, with further lines for its tables."""
    api_route = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{ports.api}/"
methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
"""
    return f"""
[server]
public_url = "http://localhost:{ports.gateway}"
listen = "127.0.0.1:{ports.gateway}"
admin_listen = "127.0.0.1:{ports.admin}"
shutdown_timeout = "2s"
{server}
[oidc]
issuer = "http://127.0.0.1:{ports.op}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
scope = "{scope}"
{oidc}
[session]
store = "{store}"
secrets = ["{secret}"]
{session}
[user]
claims = ["name", "email"]
{extra}
[spa]
{f'root = "{SPA_ROOT}"' if spa is None else spa}
{api_route if routes is None else routes}
"""


@contextlib.asynccontextmanager
async def running_stack(
    *,
    store: str = "memory://",
    secret: str = SESSION_SECRET,
    clock: Clock | None = None,
    access_token_seconds: int = 60,
    scope: str = SCOPE,
    session: str = "",
    oidc: str = "",
    server: str = "",
    extra: str = "",
    routes: str | None = None,
    spa: str | None = None,
    op: Mapping[str, object] | None = None,
    backchannel: bool = False,
    prepare_op: Callable[[web.Application], None] | None = None,
) -> AsyncIterator[Stack]:
    """Start all of it. The keyword texts are further lines of the gateway's configuration; `op`
    are further settings of the demo OP, `prepare_op` is handed its application before it starts.
    With `backchannel` the OP tells the gateway of logouts."""
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    issuer, public_url = f"http://127.0.0.1:{ports.op}", f"http://localhost:{ports.gateway}"
    toml = gateway_toml(
        ports,
        store=store,
        secret=secret,
        scope=scope,
        session=session,
        oidc=oidc,
        server=server,
        extra=extra,
        routes=routes,
        spa=spa,
    )
    gateway = Gateway(settings_from(toml), clock)
    async with (
        running_demo_op(
            ports.op,
            public_url,
            clock=clock,
            backchannel=backchannel,
            prepare=prepare_op,
            access_token_seconds=access_token_seconds,
            **(op or {}),
        ) as op_server,
        serving(build_api(ApiSettings(issuer=issuer), clock), ports.api),
        running(gateway),
    ):
        yield Stack(
            gateway,
            public_url,
            f"http://127.0.0.1:{ports.admin}",
            issuer,
            op_server,
            ports,
            toml,
            clock,
        )
