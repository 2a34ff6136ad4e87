"""How long a logout takes to be true everywhere: `python -m bench.logout_latency`.

Two gateways, each a process, on a real Redis. One of them has the session in its memory and is
asked for it without pause while the user logs out at the other. What counts is when the last call
was sent that still passed: how long after the logout was sent, and how long after its answer.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.configuration import listening_at
from tests.parts.gateway_program import GatewayProgram
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack
from tests.polling import until

LOGOUTS = 200


class Replica:
    """The other gateway, and the calls of one session to it."""

    def __init__(self, origin: str, http: aiohttp.ClientSession) -> None:
        self.origin = origin
        self._http = http

    async def status(self, headers: dict[str, str]) -> int:
        async with self._http.get(f"{self.origin}/api/me", headers=headers) as answer:
            return answer.status

    async def last_success(self, headers: dict[str, str]) -> float:
        """When the last call was sent that still passed."""
        while True:
            sent_at = time.perf_counter()
            if await self.status(headers) == 401:
                return sent_at


@asynccontextmanager
async def a_replica(stack: Stack, directory: Path) -> AsyncIterator[str]:
    """`bff serve` on ports of its own; its origin."""
    listen, admin = free_port(), free_port()
    config = directory / "bff.toml"
    config.write_text(stack.toml)
    address, environment = f"127.0.0.1:{admin}", listening_at(listen, admin)
    program = GatewayProgram(config, address, environment=environment)
    try:
        await program.start()
        yield f"http://127.0.0.1:{listen}"
    finally:
        await program.stop()


async def measure(stack: Stack, replica: Replica) -> tuple[float, float]:
    """Of one logout: seconds from its sending, and from its answer; zero if it was true by then."""
    async with Browser() as browser:
        await log_in(browser, stack)
        headers = {
            "Host": stack.public_url.partition("://")[2],
            "Cookie": f"bff={browser.cookies.get('bff')}",
            "X-CSRF": "1",
        }
        await until(lambda: _is_served(replica, headers))
        calling = asyncio.create_task(replica.last_success(headers))
        await asyncio.sleep(0)
        sent_at = time.perf_counter()
        await browser.fetch("POST", "/bff/logout")
        answered_at = time.perf_counter()
        last = await calling
        return max(0.0, last - sent_at), max(0.0, last - answered_at)


async def _is_served(replica: Replica, headers: dict[str, str]) -> bool:
    return await replica.status(headers) == 200


async def main() -> None:
    server = RedisServer()
    try:
        with TemporaryDirectory() as directory:
            async with (
                running_stack(store=server.url) as stack,
                a_replica(stack, Path(directory)) as origin,
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            ):
                replica = Replica(origin, http)
                found = [await measure(stack, replica) for _ in range(LOGOUTS)]
    finally:
        server.close()
    print(f"{LOGOUTS} logouts, each seen by another process on the same Redis:")
    for name, column in (("sending", 0), ("the answer", 1)):
        times = sorted(1000 * one[column] for one in found)
        print(
            f"  after {name}: median {statistics.median(times):.1f} ms, "
            f"99 of 100 within {times[int(LOGOUTS * 0.99)]:.1f} ms, longest {times[-1]:.1f} ms"
        )


if __name__ == "__main__":
    asyncio.run(main())
