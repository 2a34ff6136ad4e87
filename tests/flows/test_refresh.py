"""The life of tokens behind a session: refreshed in time, once, and never at the user's expense."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.stack import Stack, running_stack
from tests.polling import until


@asynccontextmanager
async def logged_in(
    clock: ManualClock, *, access_token_seconds: int = 60, session: str = ""
) -> AsyncIterator[tuple[Stack, Browser]]:
    async with (
        running_stack(
            clock=clock, access_token_seconds=access_token_seconds, session=session
        ) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        yield stack, browser


async def me(browser: Browser) -> Page:
    return await browser.fetch("GET", "/api/me")


@pytest.mark.rule("TK-06")
async def test_a_due_token_is_refreshed_behind_the_request_that_noticed() -> None:
    clock = ManualClock()
    async with logged_in(clock) as (stack, browser):
        before = (await me(browser)).json()["exp"]
        clock.advance(45)
        assert (await me(browser)).json()["exp"] == before  # no call waits while it is good
        await until(lambda: stack.op.refreshes == 1)

        async def has_new_token() -> bool:
            return bool((await me(browser)).json()["exp"] > before)

        await until(has_new_token)
        assert stack.op.refreshes == 1


@pytest.mark.rule("TK-06")
async def test_parallel_calls_around_an_expiry_share_one_refresh() -> None:
    clock = ManualClock()
    async with logged_in(clock) as (stack, browser):
        for round_number in range(1, 4):
            clock.advance(61)
            answers = await asyncio.gather(*(me(browser) for _ in range(30)))
            assert {answer.status for answer in answers} == {200}
            assert {answer.json()["sub"] for answer in answers} == {"alice"}
            assert stack.op.refreshes == round_number
        assert stack.op.reuse_detected == 0


@pytest.mark.rule("CVE-2024-51987")
@pytest.mark.rule("TK-06")
async def test_many_sessions_refresh_once_each_and_never_mix_users() -> None:
    clock = ManualClock()
    users = ["alice", "bob", "carol"]
    async with running_stack(clock=clock) as stack:
        browsers = [Browser() for _ in range(12)]
        try:
            for number, browser in enumerate(browsers):
                await browser.__aenter__()
                await log_in(browser, stack, users[number % 3])
            clock.advance(61)
            calls = [me(browser) for browser in browsers for _ in range(10)]
            answers = await asyncio.gather(*calls)
            expected = [users[number % 3] for number in range(12) for _ in range(10)]
            assert [answer.json()["sub"] for answer in answers] == expected
            assert set(stack.op.refreshes_by_family.values()) == {1}
            assert len(stack.op.refreshes_by_family) == 12
        finally:
            for browser in browsers:
                await browser.__aexit__(None, None, None)


@pytest.mark.rule("TK-07")
async def test_rotation_goes_on_over_many_expiries() -> None:
    clock = ManualClock()
    async with logged_in(clock) as (stack, browser):
        for _ in range(10):
            clock.advance(61)
            assert (await me(browser)).status == 200
        assert (stack.op.refreshes, stack.op.reuse_detected) == (10, 0)


async def test_a_browser_that_hangs_up_does_not_stop_the_refresh() -> None:
    clock = ManualClock()
    op = {"token_delay_seconds": 1}
    async with running_stack(clock=clock, op=op) as stack, Browser() as browser:
        await log_in(browser, stack)
        clock.advance(61)
        call = asyncio.create_task(me(browser))
        await until(lambda: stack.op.token_requests["refresh_token"] == 1)
        call.cancel()
        await asyncio.wait([call])

        async def is_refreshed() -> bool:
            answer = await browser.fetch("GET", "/bff/user")
            return bool(answer.json()["bff"]["access_token_expires_in"] > 0)

        await until(is_refreshed)
        assert (await me(browser)).status == 200
        assert (stack.op.refreshes, stack.op.reuse_detected) == (1, 0)


@pytest.mark.rule("TK-08")
async def test_a_grant_revoked_at_the_op_ends_the_session_with_one_attempt() -> None:
    clock = ManualClock()
    async with logged_in(clock) as (stack, browser):
        stack.revoke_all_grants()
        clock.advance(61)
        browser.cookies.delete("bff-login")  # the login is long over
        answer = await me(browser)
        assert (answer.status, answer.json()["code"]) == (401, "session_ended")
        assert answer.json()["login_url"] == "/bff/login"
        assert answer.headers["Set-Cookie"].startswith("bff=; Path=/; Max-Age=0")
        assert browser.cookies.get("bff") is None
        assert (await browser.fetch("GET", "/bff/user")).status == 401
        assert stack.op.token_requests["refresh_token"] == 1


async def test_the_page_of_a_session_that_has_ended_offers_a_login() -> None:
    """As that of a request without a session does: to the user it is the same."""
    clock = ManualClock()
    async with logged_in(clock) as (stack, browser):
        stack.revoke_all_grants()
        clock.advance(61)
        page = await browser.navigate("/api/me", initiator=browser.origin, headers={"X-CSRF": "1"})
        assert (page.status, "session_ended" in page.text) == (401, True)
        assert '<a class="action" href="/bff/login">Log in</a>' in page.text


@pytest.mark.rule("TK-09")
async def test_an_op_that_is_away_is_503_only_once_the_token_has_really_expired() -> None:
    clock = ManualClock()
    async with logged_in(clock) as (stack, browser):
        assert (await me(browser)).status == 200  # the API has the OP's keys now
        await stack.op_server.stop()
        clock.advance(45)
        assert (await me(browser)).status == 200
        clock.advance(16)
        answer = await me(browser)
        assert answer.status == 503
        assert answer.json()["code"] == "op_unavailable"
        assert int(answer.headers["Retry-After"]) >= 1
        assert not answer.headers.getall("Set-Cookie", [])
        assert (await browser.fetch("GET", "/bff/user")).status == 200  # still logged in
        await stack.op_server.start()
        clock.advance(60)
        assert (await me(browser)).status == 200


@pytest.mark.rule("SE-04")
async def test_idleness_ends_a_session_and_use_prolongs_it() -> None:
    clock = ManualClock()
    async with logged_in(clock, session='idle_timeout = "10m"') as (_, browser):
        for _ in range(4):
            clock.advance(9 * 60)
            assert (await me(browser)).status == 200
        clock.advance(9 * 60)
        quiet = await browser.fetch("GET", "/bff/user?slide=false")
        assert quiet.json()["bff"]["idle_expires_in"] <= 60
        clock.advance(61)
        assert (await me(browser)).status == 401


@pytest.mark.rule("SE-05")
async def test_the_absolute_end_comes_whatever_the_use() -> None:
    clock = ManualClock()
    session = 'idle_timeout = "10m"\nabsolute_timeout = "1h"'
    async with logged_in(clock, session=session) as (_, browser):
        for _ in range(59):
            clock.advance(60)
            assert (await me(browser)).status == 200
        clock.advance(59)
        assert (await me(browser)).status == 200
        clock.advance(1)
        assert (await me(browser)).status == 401


@pytest.mark.rule("SE-05")
async def test_a_session_lives_no_longer_than_its_refresh_token() -> None:
    clock = ManualClock()
    op = {"announce_refresh_lifetime": True, "refresh_token_seconds": 600}
    async with running_stack(clock=clock, op=op) as stack, Browser() as browser:
        await log_in(browser, stack)
        about = (await browser.fetch("GET", "/bff/user")).json()["bff"]
        assert about["session_expires_in"] <= 600
