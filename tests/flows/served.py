"""One `bff serve` in front of a demo OP, or one `bff demo`, for tests of the process itself."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.parts.command import BFF, Command, running_command
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.demo_servers import running_demo_op
from tests.parts.gateway_program import GatewayProgram, asked, serving_gateway


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


@asynccontextmanager
async def a_demo(ports: Ports, *, before: Sequence[str] = ()) -> AsyncIterator[Command]:
    """`bff demo`, once it has printed how to end it. `before` are words in front of the command."""
    options = (
        *(f"--port={ports.gateway}", f"--admin-port={ports.admin}"),
        *(f"--op-port={ports.op}", f"--api-port={ports.api}"),
    )
    async with running_command([*before, *BFF, "demo", *options]) as demo:
        await demo.line_with("Ctrl-C")
        yield demo


async def admin(ports: Ports, path: str) -> tuple[int, Any]:
    return await asked(f"http://127.0.0.1:{ports.admin}{path}")
