"""Two replicas of `bff serve` behind a front, and users whose calls never pause.

The replicas listen on two loopback addresses with the same ports, as two machines would, so that a
front can be told one port for all their health checks.
"""

import asyncio
import contextlib
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext

import aiohttp

from tests.parts.browser import Browser
from tests.parts.configuration import Ports, gateway_toml, listening_at
from tests.parts.demo_servers import running_demo_op
from tests.parts.gateway_program import GatewayProgram, asked
from tests.parts.raw_upstream import raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.polling import until

HOSTS = ("127.0.0.1", "127.0.0.2")
LANES = 6  # of each method: calls that are under way at any time
EACH = 200  # calls of each method that a rolling restart must at least have seen
ENOUGH_TO_TELL = 40  # calls: a front that shares them out would have sent some to either replica
BODY = b'{"text": "' + b"x" * 2000 + b'"}'


class Replica:
    """One of the two."""

    def __init__(self, host: str, ports: Ports, health_port: int, config: Path) -> None:
        self.host = host
        self.ports = ports
        self.health_port = health_port
        self.program = GatewayProgram(
            config,
            f"{host}:{ports.admin}",
            name=f"replica-{host}",
            environment=listening_at(ports.gateway, ports.admin, host=host, health=health_port),
        )

    async def is_draining(self) -> bool:
        url = f"http://{self.host}:{self.health_port}/readyz?exclude=op&exclude=store"
        return (await asked(url))[0] == 503

    async def calls(self) -> int:
        """How many it has forwarded in this life."""
        _, text = await self.program.admin("/metrics")
        found = re.findall(r'^bff_answers_total\{.*kind="forward".*\} (\S+)$', text, re.MULTILINE)
        return sum(int(float(value)) for value in found)


@dataclass(slots=True)
class Load:
    """What came of the calls so far."""

    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def is_enough(self) -> bool:
        return min(self.done["GET"], self.done["POST"]) >= EACH

    @contextlib.asynccontextmanager
    async def running(
        self, url: str, fields: dict[str, str], ssl: SSLContext | None
    ) -> AsyncIterator[None]:
        """Calls in every lane until the block ends; then the last ones are waited for."""
        is_over = asyncio.Event()
        async with aiohttp.ClientSession(
            headers=fields,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl or True),
        ) as http:
            lanes = [
                asyncio.create_task(self._lane(http, method, url, is_over))
                for method in ("GET", "POST") * LANES
            ]
            try:
                yield
            finally:
                is_over.set()
                await asyncio.gather(*lanes)

    async def _lane(
        self, http: aiohttp.ClientSession, method: str, url: str, is_over: asyncio.Event
    ) -> None:
        data = BODY if method == "POST" else None
        while not is_over.is_set():
            try:
                async with http.request(method, url, data=data) as answer:
                    text = await answer.text()
                    if (answer.status, text) != (200, "ok"):
                        self.failures.append(f"{method}: {answer.status} {text[:120]}")
            except aiohttp.ClientError as error:
                self.failures.append(f"{method}: {error!r}")
            self.done[method] += 1


@dataclass(slots=True)
class Site:
    """Both replicas, not started, for a front that browsers reach at `public_url`."""

    public_url: str
    replicas: tuple[Replica, Replica]

    @property
    def gateways(self) -> list[str]:
        """Where a front finds them."""
        return [f"{one.host}:{one.ports.gateway}" for one in self.replicas]

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        try:
            await asyncio.gather(*(replica.program.start() for replica in self.replicas))
            yield
        finally:
            for replica in self.replicas:
                await replica.program.end()

    @contextlib.asynccontextmanager
    async def under_load(self, load: Load, ssl: SSLContext | None = None) -> AsyncIterator[None]:
        """A user's calls, through the front."""
        async with Browser(ssl=ssl) as browser:
            page = await browser.navigate(f"{self.public_url}/bff/login")
            await browser.log_in_at_op(page, "alice")
            name = "__Host-Http-bff" if self.public_url.startswith("https:") else "bff"
            fields = {"Cookie": f"{name}={browser.cookies.get(name)}", "X-CSRF": "1"}
        async with load.running(f"{self.public_url}/api/x", fields, ssl):
            yield

    async def restart_one_by_one(self, *, front_asks: bool) -> None:
        """Stop each, and start it again. `front_asks`: the front looks whether a replica is ready,
        and must have turned away from one before its delay ends: by a second signal, where in
        production time passes."""
        for one, other in (self.replicas, self.replicas[::-1]):
            one.program.signal(signal.SIGTERM)
            await until(one.is_draining)
            if front_asks:
                await until(lambda one=one, other=other: _gets_nothing(one, other))  # type: ignore[misc]
            one.program.signal(signal.SIGTERM)
            assert await one.program.exit_code() == 0
            await one.program.start()
            await until(lambda one=one: _gets_some(one), every=0.05)  # type: ignore[misc]


async def _gets_nothing(one: Replica, other: Replica) -> bool:
    before, goal = await one.calls(), await other.calls() + ENOUGH_TO_TELL

    async def has_got_enough() -> bool:
        return await other.calls() >= goal

    await until(has_got_enough, every=0.05)
    return await one.calls() == before


async def _gets_some(one: Replica) -> bool:
    return await one.calls() > ENOUGH_TO_TELL


@contextlib.asynccontextmanager
async def a_site(
    redis: RedisServer, directory: Path, public_url: str, *, server: str = ""
) -> AsyncIterator[Site]:
    """The demo's OP, an API that answers "ok", a Redis; `server` are lines of its table."""
    gateway, admin, op, health = (free_port() for _ in range(4))
    async with raw_upstream() as api, running_demo_op(op, public_url, access_token_seconds=3600):
        ports = Ports(gateway, admin, op, api.port)
        lines = f'''
public_url = "{public_url}"
shutdown_delay = "5m"
trusted_proxies = ["127.0.0.1/32"]
{server}
'''
        text = gateway_toml(ports, store=redis.url, server=lines)
        config = directory / "bff.toml"
        config.write_text(text)
        first, second = (Replica(host, ports, health, config) for host in HOSTS)
        yield Site(public_url, (first, second))
