"""Redis behind the gateway: shared by replicas, and its troubles never log a user out."""

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.configuration import BY_NEWS_ONLY
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.polling import until


async def call(base: str, stack: Stack, browser: Browser, path: str = "/api/me") -> tuple[int, str]:
    """A call through one of several gateways; status and the answer's text."""
    headers = {
        "Host": urlsplit(stack.public_url).netloc,
        "Cookie": f"bff={browser.cookies.get('bff')}",
        "X-CSRF": "1",
    }
    async with aiohttp.ClientSession() as http, http.get(base + path, headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.rule("SE-10")
async def test_a_store_that_is_down_is_503_and_the_session_is_there_afterwards(
    own_redis: RedisServer,
) -> None:
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        await log_in(browser, stack)
        own_redis.pause()
        await asyncio.sleep(0)

        async def is_503() -> bool:
            answer = await browser.fetch("GET", "/bff/user")
            if answer.status == 200:
                return False
            assert answer.status == 503
            assert answer.json()["code"] == "store_unavailable"
            assert int(answer.headers["Retry-After"]) >= 1
            assert not answer.headers.getall("Set-Cookie", [])
            return True

        await until(is_503)
        api = await browser.fetch("GET", "/api/me")
        assert (api.status, api.json()["code"]) == (503, "store_unavailable")
        own_redis.resume()

        async def is_back() -> bool:
            return (await browser.fetch("GET", "/api/me")).status == 200

        await until(is_back)


async def test_sessions_may_go_on_for_a_while_if_so_configured(own_redis: RedisServer) -> None:
    session = 'stale_while_store_down = "10m"'
    clock = ManualClock()
    async with (
        running_stack(
            store=own_redis.url, session=session, clock=clock, access_token_seconds=3600
        ) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        own_redis.stop()
        for _ in range(20):
            assert (await browser.fetch("GET", "/api/me")).status == 200
        logout = await browser.fetch("POST", "/bff/logout")
        assert (logout.status, logout.json()["code"]) == (503, "store_unavailable")
        clock.advance(595)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        clock.advance(6)
        late = await browser.fetch("GET", "/api/me")
        assert (late.status, late.json()["code"]) == (503, "store_unavailable")


@pytest.mark.rule("SE-10")
async def test_a_login_during_an_outage_fails_clearly_and_works_afterwards(
    own_redis: RedisServer,
) -> None:
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        own_redis.stop()
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        assert page.status == 503
        assert "store_unavailable" in page.text
        own_redis.start()

        async def logs_in() -> bool:
            return (await browser.navigate(f"{stack.public_url}/bff/login")).status == 200

        await until(logs_in)


@pytest.mark.parametrize("refused", ["-set", "-zrangebyscore"])
async def test_a_login_that_the_store_fails_half_way_leaves_no_session(
    own_redis: RedisServer, refused: str
) -> None:
    """One whose cookie no browser has would stand in the list of devices. Refused are the note of
    what the browser's login has made, and the search for the user's other sessions."""
    own_redis.command("ACL", "SETUSER", "gateway", "on", ">pw", "~*", "&*", "+@all")
    url = own_redis.url.replace("unix://", "unix://gateway:pw@")
    async with (
        running_stack(store=url, session="max_per_user = 2") as stack,
        Browser() as browser,
    ):
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        own_redis.command("ACL", "SETUSER", "gateway", refused)
        failed = await browser.log_in_at_op(page, "alice")
        assert failed.status == 503
        assert browser.cookies.get("bff") is None
        assert own_redis.command("KEYS", "bff:s:*") == []
        assert len(stack.op.token_requests) == 1  # it had come as far as that
        assert stack.op.revocations == 0  # another session may live on the same grant
        own_redis.command("ACL", "SETUSER", "gateway", "+@all")
        await log_in(browser, stack)
        listed = await browser.fetch("GET", "/bff/sessions")
        assert len(listed.json()["sessions"]) == 1


@pytest.mark.rule("SE-06")
async def test_a_logout_is_effective_on_every_replica_at_once(own_redis: RedisServer) -> None:
    async with (
        running_stack(store=own_redis.url, session=BY_NEWS_ONLY) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        async with stack.replica() as other:
            await until(lambda: own_redis.command("PUBSUB", "NUMSUB", "bff:changes")[1] == 2)
            for _ in range(2):  # a process that is not told of changes yet keeps nothing
                assert (await call(other, stack, browser))[0] == 200
            cookie = browser.cookies.get("bff")
            await browser.fetch("POST", "/bff/logout")
            headers = {
                "Host": urlsplit(stack.public_url).netloc,
                "Cookie": f"bff={cookie}",
                "X-CSRF": "1",
            }
            async with aiohttp.ClientSession() as http:

                async def is_ended() -> bool:
                    async with http.get(f"{other}/api/me", headers=headers) as answer:
                        return answer.status == 401

                await until(is_ended)


@pytest.mark.rule("TK-06")
async def test_replicas_refresh_a_session_once_between_them(own_redis: RedisServer) -> None:
    clock = ManualClock()
    op = {"token_delay_seconds": 0.1}
    async with (
        running_stack(store=own_redis.url, clock=clock, op=op) as stack,
        stack.replica() as second,
        stack.replica() as third,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        bases = [stack.public_url.replace("localhost", "127.0.0.1"), second, third]
        for base in bases:
            assert (await call(base, stack, browser))[0] == 200
        for number in range(1, 4):
            clock.advance(61)
            answers = await asyncio.gather(
                *(call(base, stack, browser) for base in bases for _ in range(10))
            )
            assert {status for status, _ in answers} == {200}
            assert stack.op.refreshes == number
        assert stack.op.reuse_detected == 0


@pytest.mark.rule("SE-09")
async def test_the_store_holds_no_token_and_no_session_id_in_clear(own_redis: RedisServer) -> None:
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        await log_in(browser, stack)
        cookie = browser.cookies.get("bff") or ""
        dump = own_redis.everything()
        assert b"bff:" in dump
        for secret in (b"eyJ", cookie.partition(".")[0].encode(), b"alice", b"example.test"):
            assert secret not in dump


@pytest.mark.rule("SE-03")
async def test_forged_cookies_create_nothing_in_the_store(own_redis: RedisServer) -> None:
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        for value in ("x", "*", "a.b", "A" * 43 + "." + "A" * 43, "%0d%0a", "a:b", '"q"'):
            cookie = {"Cookie": f"bff={value}"}
            assert (await browser.fetch("GET", "/bff/user", headers=cookie)).status == 401
            assert (await browser.fetch("GET", "/api/me", headers=cookie)).status == 401
        assert own_redis.records() == {}
