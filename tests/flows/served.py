"""One `bff serve` in front of a demo OP, for tests of the process itself."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.parts.configuration import Ports, gateway_toml
from tests.parts.demo_servers import running_demo_op
from tests.parts.gateway_program import GatewayProgram, asked, serving_gateway
from tests.parts.servers import free_port


@asynccontextmanager
async def a_served_gateway(
    ports: Ports, directory: Path, *, environment: Mapping[str, str] | None = None, **toml: str
) -> AsyncIterator[GatewayProgram]:
    """`bff serve` in front of a demo OP, ready to be used."""
    text = gateway_toml(ports, **toml)
    async with (
        running_demo_op(ports.op, f"http://localhost:{ports.gateway}"),
        serving_gateway(ports, directory, text, environment=environment) as program,
    ):
        yield program


async def admin(ports: Ports, path: str) -> tuple[int, Any]:
    return await asked(f"http://127.0.0.1:{ports.admin}{path}")


def some_ports(api: int) -> Ports:
    return Ports(free_port(), free_port(), free_port(), api)
