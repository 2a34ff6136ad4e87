"""Refreshing at the certified OP, which rotates refresh tokens and revokes the whole grant when one
is used twice (RFC 9700 section 4.14.2): a gateway that spends one twice has its user logged out.
"""

import asyncio
import json
import logging
import os
import time
from base64 import urlsafe_b64decode
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.interop.installation import running_installation
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.redis_server import RedisServer

# Five-second tokens expire at least twice in this time. `BFF_INTEROP_SECONDS=30` is the long form.
SECONDS = float(os.environ.get("BFF_INTEROP_SECONDS", "10.4"))
PAUSE_SECONDS = 0.15
ACCESS_TOKEN_SECONDS = 5
SESSIONS = 20
TABS = 10

log = logging.getLogger(__name__)  # `--log-cli-level=info` shows what was measured


@pytest.mark.rule("TK-06")
@pytest.mark.rule("TK-07")
async def test_calls_go_on_over_several_expiries() -> None:
    """RFC 6749 section 6: no call fails, no refresh token is spent twice, each new one is used."""
    async with (
        running_installation(access_token_seconds=ACCESS_TOKEN_SECONDS) as site,
        Browser() as browser,
    ):
        await site.log_in(browser, "alice")
        calls = round(SECONDS / PAUSE_SECONDS)
        start = asyncio.get_running_loop().time()
        statuses = []
        for number in range(calls):
            await until(start + number * PAUSE_SECONDS)
            statuses.append((await browser.fetch("GET", "/api/whoami")).status)

        assert statuses == [200] * calls
        await site.op.catch_up()
        refreshes = site.op.issued("refresh_token", sub="alice")
        assert len(refreshes) >= SECONDS // ACCESS_TOKEN_SECONDS
        assert site.op.troubles() == []
        issued = [event["access_token"] for event in site.op.happened("token_issued")]
        assert site.api.bearers == issued[: len(site.api.bearers)]
        assert len(site.api.bearers) >= len(refreshes)  # the last may not have been used yet
        log.info("%d calls, %d refreshes in %g s", calls, len(refreshes), SECONDS)


@pytest.mark.rule("TK-06")
async def test_parallel_calls_around_an_expiry_share_one_refresh_per_session() -> None:
    """RFC 9700 section 4.14.2: once per session; and every answer is for the user who asked."""
    async with (
        running_installation(access_token_seconds=ACCESS_TOKEN_SECONDS) as site,
        AsyncExitStack() as stack,
    ):
        browsers = {
            f"user{number}": await stack.enter_async_context(Browser())
            for number in range(SESSIONS)
        }
        loop = asyncio.get_running_loop()
        expiries = {}
        for user, browser in browsers.items():
            await site.log_in(browser, user)
            expiries[user] = loop.time() + ACCESS_TOKEN_SECONDS

        async def tabs(user: str, offset: float) -> list[Page]:
            await until(expiries[user] + offset)
            return await asyncio.gather(
                *(browsers[user].fetch("GET", f"/api/whoami?tab={tab}") for tab in range(TABS))
            )

        # From a second before the expiry, where the old token still serves, to a second after.
        offsets = [2 * number / (SESSIONS - 1) - 1 for number in range(SESSIONS)]
        answers = await asyncio.gather(*map(tabs, browsers, offsets))
        for user, pages in zip(browsers, answers, strict=True):
            assert [(page.status, page.json().get("sub")) for page in pages] == [(200, user)] * TABS

        await site.op.wait_for("token_issued", SESSIONS, grant_type="refresh_token")
        await site.stop_gateways()
        await site.op.catch_up()
        counts = {user: len(site.op.issued("refresh_token", sub=user)) for user in browsers}
        assert counts == dict.fromkeys(browsers, 1)
        assert site.op.troubles() == []


@pytest.mark.rule("TK-06")
async def test_replicas_share_one_refresh(own_redis: RedisServer) -> None:
    """RFC 9700 section 4.14.2: two gateways with one store spend a refresh token once."""
    async with (
        running_installation(store=own_redis.url, replicas=2) as site,
        Browser() as browser,
        aiohttp.ClientSession(
            headers={"Host": urlsplit(site.origin).netloc, "X-CSRF": "1"}
        ) as http,
    ):
        await site.log_in(browser, "alice")
        cookie = {"Cookie": f"bff={browser.cookies.get('bff')}"}

        async def call(address: str) -> int:
            async with http.get(f"{address}/api/whoami", headers=cookie) as answer:
                return answer.status

        for expiry in range(1, 4):
            site.clock.advance(61)
            statuses = await asyncio.gather(*map(call, site.addresses * SESSIONS))
            assert statuses == [200] * len(statuses)
            await site.op.catch_up()
            assert len(site.op.issued("refresh_token")) == expiry
        assert site.op.troubles() == []


@pytest.mark.rule("TK-06")
async def test_a_token_is_replaced_before_the_second_in_which_it_expires() -> None:
    """RFC 7519 section 2: a NumericDate of whole seconds ends a token up to a second before
    `expires_in` does; an API that allows no leeway must not see it then."""
    async with (
        running_installation(access_token_seconds=2) as site,
        Browser() as browser,
    ):
        site.api.leeway_seconds = 0
        await until_wall_clock(int(time.time()) + 1.5)  # so that the token loses half a second
        await site.log_in(browser, "alice")
        (issued,) = await site.op.wait_for("token_issued", sub="alice")
        await until_wall_clock(expiry_of(issued["access_token"]) + 0.25)
        assert (await browser.fetch("GET", "/api/whoami")).status == 200
        assert issued["access_token"] not in site.api.bearers


@pytest.mark.rule("TK-07")
async def test_a_refresh_token_that_is_not_rotated_is_used_again() -> None:
    """RFC 6749 section 6: the OP may keep the refresh token."""
    async with (
        running_installation(rotate=False) as site,
        Browser() as browser,
    ):
        await site.log_in(browser, "alice")
        for _ in range(3):
            site.clock.advance(60)
            assert (await browser.fetch("GET", "/api/whoami")).status == 200
        await site.op.catch_up()
        issued = site.op.happened("token_issued", sub="alice")
        assert len({event["refresh_token"] for event in issued}) == 1
        assert site.api.bearers == [event["access_token"] for event in issued[1:]]


def expiry_of(token: str) -> float:
    """The `exp` of a JWT, which is not verified here."""
    payload = token.split(".")[1]
    return float(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])


async def until(moment: float) -> None:
    """The rhythm of a test: return at that moment of the event loop's clock."""
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


async def until_wall_clock(moment: float) -> None:
    """The same, by the clock that tokens go by."""
    await asyncio.sleep(max(0.0, moment - time.time()))
