"""What is under test, as processes on loopback: three gateways, an OP with faults, an API, a store.

`public_url` is the gateways' common one; a load balancer that never sticks is what the load plays.
"""

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.chaos.faults import Fault
from tests.chaos.faulty_op import user_name
from tests.chaos.ledger import Kill, Refresh
from tests.chaos.load import User
from tests.chaos.redis_topologies import Topology
from tests.chaos.wire import Client
from tests.parts.browser import Browser
from tests.parts.configuration import (
    CLIENT_ID,
    CLIENT_SECRET,
    free_ports,
    gateway_toml,
    listening_at,
)
from tests.parts.gateway_program import GatewayProgram
from tests.parts.program import Program, answers, module
from tests.parts.servers import free_port

GATEWAYS = 3
LOGINS_AT_ONCE = 8
# Shorter than the OP hangs: a process that gave up on a refresh then would lose what it rotates
# afterwards.
OP_TIMEOUT_SECONDS = 3
OIDC_SETTINGS = f'timeout = "{OP_TIMEOUT_SECONDS}s"'
# All users come from one address.
LIMITS = '[limits]\nlogins = "off"'


class Installation:
    """Started and stopped as a whole; faults are injected through its parts."""

    def __init__(
        self, topology: Topology, directory: Path, *, users: int, access_token_seconds: int
    ) -> None:
        self.topology = topology
        self.directory = directory
        self.access_token_seconds = access_token_seconds
        self.kills: list[Kill] = []
        self._users = users
        self._ports = free_ports()
        self._control_port = free_port()
        self._gateway_ports = [self._ports.gateway, free_port(), free_port()]
        self.public_url = f"http://localhost:{self._ports.gateway}"
        self.op = self._op_program()
        self.api = self._api_program()
        self.gateways: list[Program] = []

    async def start(self) -> None:
        await self.topology.form()
        toml = gateway_toml(self._ports, store=self.topology.url, oidc=OIDC_SETTINGS, extra=LIMITS)
        config = self.directory / "bff.toml"
        config.write_text(toml)
        self.gateways = [
            self._gateway_program(number, config) for number in range(len(self._gateway_ports))
        ]
        await asyncio.gather(self.op.start(), self.api.start())
        await asyncio.gather(*(gateway.start() for gateway in self.gateways))

    async def stop(self) -> None:
        await asyncio.gather(*(program.stop() for program in self._programs()))
        self.topology.close()

    def clients(self) -> list[Client]:
        """One for each gateway, of the running event loop."""
        host = urlsplit(self.public_url).netloc
        return [Client(port, host) for port in self._gateway_ports]

    async def log_in(self) -> list[User]:
        """A new session for every user."""
        at_once = asyncio.Semaphore(LOGINS_AT_ONCE)

        async def one(sub: str) -> User:
            async with at_once, Browser() as browser:
                url = f"{self.public_url}/bff/login?prompt=none&login_hint={sub}"
                page = await browser.navigate(url)
                cookie = browser.cookies.get("bff")
                assert cookie, f"the login of {sub} failed: {page.status} {page.text[:200]}"
                return User(sub, f"bff={cookie}")

        return await asyncio.gather(*(one(user_name(n)) for n in range(self._users)))

    async def kill_gateway(self, number: int) -> None:
        """SIGKILL one, and start it again."""
        program = self.gateways[number % len(self.gateways)]
        ports = program.kill()
        self.kills.append(Kill(time.time(), ports))
        await program.start()

    # --- the OP's control listener

    async def op_fault(
        self, kind: Fault, *, seconds: float = 0.0, grace_seconds: float = 0.0
    ) -> None:
        fault = {"kind": kind.value, "seconds": seconds, "grace_seconds": grace_seconds}
        await self._control("POST", "/fault", fault)

    async def op_listen(self, *, listen: bool) -> None:
        """False: refuse connections and cut those that are open."""
        await self._control("POST", "/listen", {"listen": listen})

    async def op_ledger(self, since: float) -> tuple[list[Refresh], int]:
        """The refreshes since a time, and how often reuse was detected ever."""
        told = await self._control("GET", f"/ledger?since={since!r}")
        return [Refresh(**entry) for entry in told["refreshes"]], told["reuse_detected"]

    async def _control(self, method: str, path: str, document: object = None) -> Any:
        url = f"http://127.0.0.1:{self._control_port}{path}"
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, url, json=document) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.json()

    # --- the programs

    def _programs(self) -> list[Program]:
        return [self.op, self.api, *self.gateways]

    def _op_program(self) -> Program:
        ports = self._ports
        return Program(
            module(
                "tests.chaos.faulty_op",
                *("--port", str(ports.op), "--control-port", str(self._control_port)),
                *("--public-url", self.public_url),
                *("--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET),
                *("--users", str(self._users)),
                *("--access-token-seconds", str(self.access_token_seconds)),
            ),
            log=self.directory / "op.log",
            is_ready=answers(f"http://127.0.0.1:{self._control_port}/ledger?since=0"),
        )

    def _api_program(self) -> Program:
        return Program(
            module("tests.chaos.echo_api", "--port", str(self._ports.api)),
            log=self.directory / "api.log",
            is_ready=answers(f"http://127.0.0.1:{self._ports.api}/", status=401),
        )

    def _gateway_program(self, number: int, config: Path) -> Program:
        admin_port = free_port()
        return GatewayProgram(
            config,
            f"127.0.0.1:{admin_port}",
            name=f"gateway-{number}",
            ready="/healthz",
            environment=listening_at(self._gateway_ports[number], admin_port),
        )
