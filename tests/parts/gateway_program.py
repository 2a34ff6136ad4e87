"""`bff serve` as a process: its configuration, its log, its admin listener."""

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.parts.configuration import Ports, gateway_toml
from tests.parts.program import Program, answers

_SCRIPT = str(Path(sys.executable).with_name("bff"))


class GatewayProgram(Program):
    """`log` is its standard error, `output` what it prints. `admin` is the address of its admin
    listener, at which `ready` is asked for. `before` are words of the command in front of it."""

    def __init__(
        self,
        config: Path,
        admin: str,
        *,
        name: str = "gateway",
        ready: str = "/readyz",
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        folder = config.parent
        self._admin_url = f"http://{admin}"
        super().__init__(
            [*before, _SCRIPT, "serve", "--config", str(config)],
            log or folder / f"{name}.log",
            answers(f"{self._admin_url}{ready}"),
            environment,
            cwd=folder,
            output=folder / f"{name}.out",
        )

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What it has logged so far, or the events of one name."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if name in (None, line["event"])]

    async def admin(self, path: str) -> tuple[int, Any]:
        """Over a connection of its own, so that any worker may answer."""
        return await asked(f"{self._admin_url}{path}")

    async def metric(self, sample: str) -> float:
        _, text = await self.admin("/metrics")
        found = [line for line in text.splitlines() if line.startswith(sample + " ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0


async def asked(url: str) -> tuple[int, Any]:
    """The status and the document of a GET, parsed if it is JSON."""
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        if answer.content_type == "application/json":
            return answer.status, await answer.json()
        return answer.status, await answer.text()


def gateway_program(ports: Ports, folder: Path, toml: str = "", **how: Any) -> GatewayProgram:
    """One that has not been started, with a configuration of its own in the folder: the usual one
    unless another is given. `how` is as for `GatewayProgram`."""
    config = folder / "bff.toml"
    config.write_text(toml or gateway_toml(ports))
    return GatewayProgram(config, f"127.0.0.1:{ports.admin}", **how)


@asynccontextmanager
async def serving_gateway(
    ports: Ports, folder: Path, toml: str = "", **how: Any
) -> AsyncIterator[GatewayProgram]:
    """As `gateway_program`, ready to be used; killed at the end, if it still runs."""
    program = gateway_program(ports, folder, toml, **how)
    try:
        await program.start()
        yield program
    finally:
        await program.end()
