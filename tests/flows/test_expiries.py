"""A session that ends by itself is told once, with its reason, by whichever process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from bff.clock import ManualClock
from bff.sessions.expiry import LOOK_EVERY_SECONDS
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.polling import until


async def ended(admin_url: str) -> dict[str, float]:
    """How many ended, by reason."""
    async with aiohttp.ClientSession() as http, http.get(f"{admin_url}/metrics") as answer:
        text = await answer.text()
    counts = {}
    for shown in text.splitlines():
        if shown.startswith("bff_sessions_ended_total{"):
            name, _, value = shown.rpartition(" ")
            counts[name.split('"')[1]] = float(value)
    return counts


def told_in(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of the log since the last look."""
    written = capsys.readouterr()
    return [line for line in (written.out + written.err).splitlines() if "session_ended" in line]


@asynccontextmanager
async def two_users(clock: ManualClock, session: str) -> AsyncIterator[tuple[Stack, Browser]]:
    async with (
        running_stack(clock=clock, session=session) as stack,
        Browser() as alice,
        Browser() as bob,
    ):
        await log_in(alice, stack)
        await log_in(bob, stack, "bob")
        yield stack, alice


async def test_a_session_that_idles_out_is_told_with_the_id_of_the_lists(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Activity moves the moment; a user who went on is still there."""
    clock = ManualClock()
    async with two_users(clock, session='idle_timeout = "10m"') as (stack, alice):
        listed = json.loads((await alice.fetch("GET", "/bff/sessions")).body)["sessions"]
        clock.advance(400)
        assert (await alice.fetch("GET", "/bff/user")).status == 200
        clock.advance(250)

        async def one_is_told() -> bool:
            return await ended(stack.admin_url) == {"idle": 1}

        await until(one_is_told)
        assert (await alice.fetch("GET", "/bff/user")).status == 200
        clock.advance(601)

        async def both_are_told() -> bool:
            return await ended(stack.admin_url) == {"idle": 2}

        await until(both_are_told)
    written = capsys.readouterr()
    lines = [
        shown for shown in (written.out + written.err).splitlines() if "session_ended" in shown
    ]
    assert len(lines) == 2
    assert listed[0]["id"] in lines[1]


async def test_the_absolute_end_has_a_reason_of_its_own() -> None:
    clock = ManualClock()
    limits = 'idle_timeout = "10m"\nabsolute_timeout = "10m"'
    async with two_users(clock, session=limits) as (stack, _):
        clock.advance(601)

        async def told() -> bool:
            return await ended(stack.admin_url) == {"absolute": 2}

        await until(told)


async def test_a_session_that_was_ended_is_not_told_again() -> None:
    """A logout is one event."""
    clock = ManualClock()
    async with two_users(clock, session='idle_timeout = "10m"') as (stack, alice):
        assert (await alice.fetch("POST", "/bff/logout")).status == 200
        clock.advance(601)

        async def told() -> bool:
            return (await ended(stack.admin_url)).get("idle", 0) >= 1

        await until(told)
        assert await ended(stack.admin_url) == {"logout": 1, "idle": 1}


async def test_two_processes_tell_it_once(
    own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both have written them; one of them speaks."""
    async with (
        running_stack(store=own_redis.url, session='idle_timeout = "3s"') as stack,
        stack.replica() as other,
        Browser() as browser,
        aiohttp.ClientSession() as http,
    ):
        await log_in(browser, stack)
        lines: list[str] = []
        headers = {
            "Host": stack.public_url.removeprefix("http://"),
            "Cookie": f"bff={browser.cookies.get('bff')}",
            "X-CSRF": "1",
        }

        async def lives() -> bool:
            async with http.get(f"{other}/bff/user", headers=headers) as answer:
                return answer.status == 200

        loop = asyncio.get_running_loop()
        began = loop.time()

        async def has_been_busy() -> bool:
            """For long enough that activity is written, a twentieth of the timeout."""
            return await lives() and loop.time() - began > 0.5

        await until(has_been_busy)

        def told() -> bool:
            lines.extend(told_in(capsys))
            return any("idle" in line for line in lines)

        await until(told)
        assert not await lives()
        said_at = loop.time()
        await until(lambda: loop.time() - said_at > 2 * LOOK_EVERY_SECONDS)  # both have looked
        lines.extend(told_in(capsys))
    assert len(lines) == 1
