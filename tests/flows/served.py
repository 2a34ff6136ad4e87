"""One `bff serve` in front of a demo OP, for tests of the process itself."""

import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.parts.stack import (
    Ports,
    free_port,
    gateway_toml,
    running_demo_op,
)
from tests.polling import until


@asynccontextmanager
async def a_served_gateway(ports: Ports, directory: Path, **toml: str) -> AsyncIterator[Process]:
    """`bff serve` in front of a demo OP, ready to be used."""
    public_url = f"http://localhost:{ports.gateway}"
    config = directory / "bff.toml"
    config.write_text(gateway_toml(ports, **toml))
    async with running_demo_op(ports.op, public_url):
        process = await create_subprocess_exec(
            sys.executable, "-m", "bff", "serve", "--config", str(config), stdout=PIPE, stderr=PIPE
        )
        try:
            await until(lambda: _ready(ports), every=0.05)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def _ready(ports: Ports) -> bool:
    try:
        return (await admin(ports, "/readyz"))[0] == 200
    except aiohttp.ClientError:
        return False


async def admin(ports: Ports, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{ports.admin}{path}") as answer,
    ):
        if answer.content_type == "application/json":
            return answer.status, await answer.json()
        return answer.status, await answer.text()


def some_ports(api: int) -> Ports:
    return Ports(free_port(), free_port(), free_port(), api)
