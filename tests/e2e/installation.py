"""The whole product on loopback, each part a process of its own: Caddy with HTTPS, gateway, Redis,
demo OP (another site) and demo API. Shared by all end-to-end tests; nothing here judges.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.parts import configuration as parts
from tests.parts.configuration import CLIENT_ID, CLIENT_SECRET, gateway_toml
from tests.parts.gateway_program import gateway_program
from tests.parts.program import Program, accepts, module
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port

SESSION_COOKIE = "__Host-Http-bff"
# Short enough to watch a refresh, long enough that its jump stands out from whole seconds.
ACCESS_TOKEN_SECONDS = 6


@dataclass(frozen=True, slots=True)
class Ports(parts.Ports):
    """Known before anything runs: each part is told where the others will be. Without a Caddy,
    which is 0, the gateway itself is the origin, in plain http."""

    caddy: int

    @classmethod
    def free(cls, *, with_caddy: bool = True) -> "Ports":
        caddy = free_port() if with_caddy else 0
        return cls(free_port(), free_port(), free_port(), free_port(), caddy)

    @property
    def public_url(self) -> str:
        if not self.caddy:
            return f"http://localhost:{self.gateway}"
        return f"https://localhost:{self.caddy}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.op}"


@dataclass(frozen=True, slots=True)
class Installation:
    """What is running. `public_url` and `issuer` are origins, on two sites."""

    public_url: str
    issuer: str
    gateway: Program
    op: Program
    api: Program
    redis: RedisServer

    async def op_stats(self) -> dict[str, Any]:
        """How often the OP was asked for what."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.issuer}/debug/stats") as answer,
        ):
            stats: dict[str, Any] = await answer.json()
            return stats


@contextlib.asynccontextmanager
async def running_installation(
    ports: Ports, redis: RedisServer, folder: Path, *, more: str = ""
) -> AsyncIterator[Installation]:
    """OP, API and gateway, with `more` tables in its configuration; Caddy is the caller's, at
    `ports.caddy`."""
    op = Program(_op_command(ports), folder / "op.log", accepts(ports.op))
    api = Program(_api_command(ports), folder / "api.log", accepts(ports.api))
    gateway = gateway_program(ports, folder, _gateway_toml(ports, redis.url, more))
    try:
        await asyncio.gather(op.start(), api.start())
        await gateway.start()
        yield Installation(ports.public_url, ports.issuer, gateway, op, api, redis)
    finally:
        await asyncio.gather(gateway.stop(), op.stop(), api.stop())


def _op_command(ports: Ports) -> list[str]:
    return module(
        *("spa_demo.op", f"--port={ports.op}", "--test-stats"),
        *(f"--client-id={CLIENT_ID}", f"--client-secret={CLIENT_SECRET}"),
        f"--redirect-uri={ports.public_url}/bff/callback",
        f"--post-logout-redirect-uri={ports.public_url}/",
        f"--access-token-seconds={ACCESS_TOKEN_SECONDS}",
    )


def _api_command(ports: Ports) -> list[str]:
    return module("spa_demo.api", f"--port={ports.api}", f"--issuer={ports.issuer}")


def _gateway_toml(ports: Ports, store: str, more: str) -> str:
    server = f"""
public_url = "{ports.public_url}"
trusted_proxies = ["127.0.0.1/32"]
shutdown_timeout = "1s"
"""
    return gateway_toml(
        ports,
        store=store,
        server=server,
        session='cache_max_age = "1s"',
        extra=f'[log]\nlevel = "debug"\n{more}',
        spa="",
    )
