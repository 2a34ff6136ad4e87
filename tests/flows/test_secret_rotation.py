"""Rotating `session.secrets` by restarts, as docs/operations.md says: nobody notices."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest

from bff.app import Gateway
from bff.clock import ManualClock
from tests.browser import Browser
from tests.flows.logins import log_in
from tests.redis_server import RedisServer
from tests.stack import SESSION_SECRET as OLD
from tests.stack import Stack, running, running_stack, settings_from

NEW = "Qn8vM2xK5wT9rB3yH7jL4pF6sD1gC0eZ"


def with_secrets(stack: Stack, *secrets: str) -> str:
    """The configuration with another list of secrets."""
    listed = ", ".join(f'"{secret}"' for secret in secrets)
    before = f'secrets = ["{OLD}"]'
    assert before in stack.toml
    return stack.toml.replace(before, f"secrets = [{listed}]")


@asynccontextmanager
async def restarted(stack: Stack, *secrets: str) -> AsyncIterator[None]:
    """The gateway, stopped and started again with other secrets."""
    await stack.gateway.stop()
    async with running(Gateway(settings_from(with_secrets(stack, *secrets)), stack.clock)):
        yield


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
        async with restarted(stack, NEW, OLD):
            assert await statuses(before) == [200]
            clock.advance(61)  # a refresh writes the record anew
            assert await statuses(before) == [200]
            assert stack.op.refreshes == 1
            await log_in(after, stack, "bob")
        async with restarted(stack, NEW):
            assert await statuses(before, after) == [401, 200]


@pytest.mark.rule("OP-03")
async def test_replicas_that_are_restarted_one_by_one_share_their_sessions(
    own_redis: RedisServer,
) -> None:
    """The new secret is at the end of all lists before it comes to the front of any."""
    clock = ManualClock()
    async with running_stack(store=own_redis.url, clock=clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        before, stack.toml = stack.toml, with_secrets(stack, NEW, OLD)
        async with stack.replica() as moved:
            stack.toml = before
            async with restarted(stack, OLD, NEW):
                assert await statuses(browser) == [200]
                clock.advance(61)
                assert await status_at(moved, stack, browser) == 200  # sealed with the new one
                assert await statuses(browser) == [200]
                assert stack.op.refreshes == 1


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
