"""A whole installation on loopback in the test's event loop: demo OP, demo API and gateway.

The OP lives on 127.0.0.1 and the gateway on localhost, so that a browser (`tests.parts.browser` as
well) sees two sites, as in production. All of it is stopped at the test's end.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from bff.app import Gateway
from bff.clock import Clock, SystemClock
from bff.config import Settings
from spa_demo.api.settings import ApiSettings
from spa_demo.op.counters import Counters
from tests.parts.configuration import (
    SCOPE,
    SESSION_SECRET,
    Ports,
    free_ports,
    gateway_toml,
    listening_at,
    settings_from,
)
from tests.parts.demo_servers import Prepare, RunningOp, running_api, running_demo_op
from tests.parts.servers import Server, free_port


@contextlib.asynccontextmanager
async def running_gateway(
    configuration: str | Settings,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway with a configuration: the text of its file, or what was read of one."""
    if isinstance(configuration, str):
        configuration = settings_from(configuration, environ)
    gateway = Gateway(configuration, clock)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@dataclass(slots=True)
class Stack:
    """What is running. `issuer` and `public_url` are origins."""

    gateway: Gateway
    running_op: RunningOp
    ports: Ports
    toml: str
    clock: Clock | None

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.ports.gateway}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.admin}"

    @property
    def issuer(self) -> str:
        return self.running_op.issuer

    @property
    def op_server(self) -> Server:
        return self.running_op.server

    @property
    def op(self) -> Counters:
        """What the OP was asked."""
        return self.running_op.counters

    def revoke_all_grants(self) -> None:
        """As an administrator of the OP could."""
        self.running_op.revoke_all_grants()

    def now(self) -> float:
        """The time all of it goes by."""
        return (self.clock or SystemClock()).now()

    @contextlib.asynccontextmanager
    async def replica(self) -> AsyncIterator[str]:
        """A second gateway of the same installation; its public listener's origin.

        It serves the same `public_url`, so requests to it carry that Host.
        """
        listen, admin = free_port(), free_port()
        async with running_gateway(self.toml, self.clock, listening_at(listen, admin)):
            yield f"http://127.0.0.1:{listen}"

    @contextlib.asynccontextmanager
    async def restarted(self, *changes: tuple[str, str]) -> AsyncIterator[None]:
        """The gateway, stopped and started again with a changed configuration."""
        toml = self.toml
        for before, after in changes:
            assert before in toml
            toml = toml.replace(before, after)
        await self.gateway.stop()
        async with running_gateway(toml, self.clock):
            yield


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
    op: Mapping[str, Any] | None = None,
    backchannel: bool = False,
    prepare_op: Prepare | None = None,
) -> AsyncIterator[Stack]:
    """Start all of it. The keyword texts are further lines of the gateway's configuration; `op`
    are further settings of the demo OP, `prepare_op` is handed its application before it starts.
    With `backchannel` the OP tells the gateway of logouts."""
    ports = free_ports()
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
    async with (
        running_demo_op(
            ports.op,
            f"http://localhost:{ports.gateway}",
            clock=clock,
            backchannel=backchannel,
            prepare=prepare_op,
            access_token_seconds=access_token_seconds,
            **(op or {}),
        ) as running_op,
        running_api(ApiSettings(issuer=running_op.issuer), clock, port=ports.api),
        running_gateway(toml, clock) as gateway,
    ):
        yield Stack(gateway, running_op, ports, toml, clock)
