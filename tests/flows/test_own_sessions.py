"""A user's own devices: seen, and logged out one by one or all others at once."""

import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer
from tests.parts.stack import running_stack
from tests.polling import until


async def test_a_user_sees_all_own_sessions_and_no_other() -> None:
    clock = ManualClock()
    async with (
        running_stack(clock=clock) as stack,
        Browser() as laptop,
        Browser() as phone,
        Browser() as bob,
    ):
        await log_in(laptop, stack)
        clock.advance(100)
        await log_in(phone, stack)
        await log_in(bob, stack, "bob")
        listed = (await laptop.fetch("GET", "/bff/sessions")).json()["sessions"]
        assert [one["current"] for one in listed] == [False, True]
        assert set(listed[0]) == {
            "id",
            "current",
            "client",
            "created_at",
            "last_seen_at",
            "expires_at",
        }
        assert listed[0]["created_at"] - listed[1]["created_at"] == 100
        cookie = laptop.cookies.get("bff") or ""
        assert cookie.partition(".")[0] not in str(listed)


@pytest.mark.parametrize("keep", [True, False])
async def test_an_address_is_kept_only_if_configured(own_redis: RedisServer, *, keep: bool) -> None:
    """It is personal data: off by default, and never a word of it in the store otherwise."""
    session = "keep_address = true" if keep else ""
    server = 'trusted_proxies = ["127.0.0.1/32", "::1/128"]'
    client = "203.0.113.7"
    async with (
        running_stack(store=own_redis.url, session=session, server=server) as stack,
        Browser() as browser,
    ):
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        page = await browser.submit(
            page.form("login"), {"username": "alice", "password": "wonderland"}, button="login"
        )
        page = await browser.submit(page.form("consent"), button="allow", follow=False)
        assert page.location is not None
        await browser.navigate(page.location, headers={"X-Forwarded-For": f"evil, {client}"})
        [one] = (await browser.fetch("GET", "/bff/sessions")).json()["sessions"]
        [same] = await stack.gateway._core.sessions.of_subject(stack.issuer, "alice")
        assert (one.get("address"), same.address) == ((client, client) if keep else (None, ""))


async def test_a_long_user_agent_is_cut() -> None:
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        page = await browser.submit(
            page.form("login"), {"username": "alice", "password": "wonderland"}, button="login"
        )
        page = await browser.submit(page.form("consent"), button="allow", follow=False)
        assert page.location is not None
        await browser.navigate(page.location, headers={"User-Agent": "Some\tBrowser" + "x" * 4000})
        [one] = (await browser.fetch("GET", "/bff/sessions")).json()["sessions"]
        assert one["client"] == ("SomeBrowser" + "x" * 4000)[:255]


async def test_one_other_device_is_logged_out_by_its_id() -> None:
    async with running_stack() as stack, Browser() as laptop, Browser() as phone:
        await log_in(laptop, stack)
        await log_in(phone, stack)
        listed = (await laptop.fetch("GET", "/bff/sessions")).json()["sessions"]
        other = next(one["id"] for one in listed if not one["current"])
        assert (await laptop.fetch("DELETE", f"/bff/sessions/{other}")).status == 204
        assert (await phone.fetch("GET", "/bff/user")).status == 401
        assert (await laptop.fetch("GET", "/bff/user")).status == 200
        assert (await laptop.fetch("DELETE", f"/bff/sessions/{other}")).status == 404
        await until(lambda: stack.op.revocations >= 1)


async def test_all_others_are_logged_out_at_once() -> None:
    async with running_stack() as stack, Browser() as laptop, Browser() as a, Browser() as b:
        for browser in (laptop, a, b):
            await log_in(browser, stack)
        assert (await laptop.fetch("DELETE", "/bff/sessions")).json() == {"ended": 2}
        statuses = [(await one.fetch("GET", "/bff/user")).status for one in (laptop, a, b)]
        assert statuses == [200, 401, 401]


async def test_the_sessions_of_another_user_can_not_be_ended() -> None:
    async with running_stack() as stack, Browser() as alice, Browser() as bob:
        await log_in(alice, stack)
        await log_in(bob, stack, "bob")
        target = (await bob.fetch("GET", "/bff/sessions")).json()["sessions"][0]["id"]
        assert (await alice.fetch("DELETE", f"/bff/sessions/{target}")).status == 404
        assert (await bob.fetch("GET", "/bff/user")).status == 200


@pytest.mark.parametrize(("limit", "second_is"), [(1, 401), (2, 200)])
async def test_past_the_limit_the_oldest_session_ends(limit: int, second_is: int) -> None:
    session = f"max_per_user = {limit}"
    async with (
        running_stack(session=session) as stack,
        Browser() as first,
        Browser() as second,
        Browser() as third,
        Browser() as bob,
    ):
        await log_in(bob, stack, "bob")
        for browser in (first, second, third):
            await log_in(browser, stack)
        everybody = (first, second, third, bob)
        statuses = [(await one.fetch("GET", "/bff/user")).status for one in everybody]
        assert statuses == [401, second_is, 200, 200]


@pytest.mark.rule("CS-01")
async def test_the_list_is_guarded_like_everything_else() -> None:
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        assert (await browser.fetch("GET", "/bff/sessions")).status == 401
        await log_in(browser, stack)
        for method, path in (("GET", ""), ("DELETE", ""), ("DELETE", "/x")):
            answer = await browser.fetch(method, f"/bff/sessions{path}", csrf=False)
            assert answer.status == 403
        assert (await browser.fetch("PUT", "/bff/sessions")).status == 405
        assert (await browser.fetch("GET", "/bff/sessions/x")).status == 405
        assert (await browser.fetch("DELETE", "/bff/sessions/x/y")).status == 404
