"""Rotating `session.secrets` by restarts, as docs/operations.md says: no user notices."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from bff.app import Gateway
from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.configuration import SESSION_SECRET as OLD
from tests.parts.configuration import listening_at, settings_from
from tests.parts.deployment import ROOT
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack

NEW = "Qn8vM2xK5wT9rB3yH7jL4pF6sD1gC0eZ"


def changed_to(*secrets: str) -> tuple[str, str]:
    """The line of the configuration, and with which secrets it is to be."""
    listed = ", ".join(f'"{secret}"' for secret in secrets)
    return f'secrets = ["{OLD}"]', f"secrets = [{listed}]"


async def statuses(*browsers: Browser) -> list[int]:
    """What calls to the API are answered."""
    return [(await browser.fetch("GET", "/api/me")).status for browser in browsers]


@pytest.mark.rule("OP-03")
async def test_sessions_go_on_while_the_old_secret_is_kept(own_redis: RedisServer) -> None:
    """And those that began with the new one go on when the old one is taken out."""
    clock = ManualClock()
    async with (
        running_stack(store=own_redis.url, clock=clock) as stack,
        Browser() as before,
        Browser() as after,
    ):
        await log_in(before, stack)
        async with stack.restarted(changed_to(NEW, OLD)):
            assert await statuses(before) == [200]
            clock.advance(61)  # a refresh writes the record anew
            assert await statuses(before) == [200]
            assert stack.op.refreshes == 1
            await log_in(after, stack, "bob")
        async with stack.restarted(changed_to(NEW)):
            assert await statuses(before, after) == [401, 200]


PRINTED = re.findall(
    r"^ +```sh\n(.*?)^ +```",
    (ROOT / "docs" / "operations.md").read_text().partition("## Rotating the secrets")[2],
    re.DOTALL | re.MULTILINE,
)


def edited(secrets: Path, step: str) -> None:
    """Run one step of the recipe, as it is printed, beside the file that it names."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["sh", "-e", "-c", step]
    subprocess.run(command, cwd=secrets.parent, env=environment, check=True)


@pytest.mark.rule("OP-03")
@pytest.mark.parametrize("first", [0, 1])
async def test_the_recipe_rotates_while_replicas_are_restarted_one_by_one(
    own_redis: RedisServer, tmp_path: Path, first: int
) -> None:
    """Between any two restarts a session works at both, whichever of them has made it."""
    secrets = tmp_path / "session_secrets"
    secrets.write_text(OLD + "\n")
    secrets.chmod(0o444)  # as deploy/make-secrets leaves it
    clock = ManualClock()
    lasting = 'absolute_timeout = "1h"\nidle_timeout = "1h"'
    async with running_stack(store=own_redis.url, clock=clock, session=lasting) as stack:
        replicas = Replicas(stack, secrets)
        await stack.gateway.stop()
        async with replicas.running():
            sessions: list[Browser] = []
            async with contextlib.AsyncExitStack() as browsers:

                async def require_service() -> None:
                    new = await browsers.enter_async_context(Browser())
                    await log_in(new, stack)
                    sessions.append(new)
                    clock.advance(61)  # a refresh writes each record anew, at either
                    for browser in sessions:
                        for base in replicas.bases[:: 1 if len(sessions) % 2 else -1]:
                            assert await status_at(base, stack, browser) == 200

                await require_service()
                for number, step in enumerate(PRINTED):
                    if number == 2:
                        clock.advance(3600)
                        sessions.clear()  # they are over
                        await require_service()
                    edited(secrets, step)
                    for which in (first, 1 - first):
                        await replicas.restart(which)
                        await require_service()
    assert len(PRINTED) == 3
    assert len(secrets.read_text().splitlines()) == 1
    assert OLD not in secrets.read_text()


class Replicas:
    """Two gateways of one installation, with the secrets that are in a file when they start."""

    def __init__(self, stack: Stack, secrets: Path) -> None:
        listed = f'secrets = ["{OLD}"]'
        assert listed in stack.toml
        self._toml = stack.toml.replace(listed, f'secrets_file = "{secrets}"')
        self._clock = stack.clock
        self._ports = ((stack.ports.gateway, stack.ports.admin), (free_port(), free_port()))
        self._gateways: list[Gateway] = []

    @property
    def bases(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port, _ in self._ports]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._gateways = [self._made(which) for which in (0, 1)]
        for gateway in self._gateways:
            await gateway.start()
        try:
            yield
        finally:
            for gateway in self._gateways:
                await gateway.stop()

    async def restart(self, which: int) -> None:
        await self._gateways[which].stop()
        self._gateways[which] = self._made(which)
        await self._gateways[which].start()

    def _made(self, which: int) -> Gateway:
        return Gateway(settings_from(self._toml, listening_at(*self._ports[which])), self._clock)


async def status_at(base: str, stack: Stack, browser: Browser) -> int:
    headers = {
        "Host": urlsplit(stack.public_url).netloc,
        "Cookie": f"bff={browser.cookies.get('bff')}",
        "X-CSRF": "1",
    }
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{base}/api/me", headers=headers) as answer,
    ):
        return answer.status
