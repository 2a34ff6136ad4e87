"""How often something may happen: for which clients it is counted, which processes share the
count, and what is answered."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.flows.op_logouts import PATH, tell, token
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.polling import until

TRUSTED = 'trusted_proxies = ["127.0.0.1/32"]'
MALLORY = "203.0.113.66"
LOGIN, CALLBACK = "/bff/login", "/bff/callback?code=made-up&state=made-up"


@contextlib.asynccontextmanager
async def limited(
    limits: str, *, store: str = "memory://", server: str = TRUSTED, **options: object
) -> AsyncIterator["Limited"]:
    """A whole installation with these lines under [limits]."""
    async with (
        running_stack(
            store=store,
            server=server,
            extra=f"[limits]\n{limits}",
            **options,  # type: ignore[arg-type]
        ) as stack,
        aiohttp.ClientSession() as http,
    ):
        yield Limited(stack, http)


class Limited:
    """Asks as a proxy would, which says whom it asks for."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self.stack = stack
        self._http = http

    async def get(self, path: str, client: str = "", *, base: str = "") -> tuple[int, str, int]:
        """Status, problem code and Retry-After of one request; 0 when there is none."""
        headers = {"Host": self.stack.public_url.removeprefix("http://")}
        if client:
            headers["X-Forwarded-For"] = client
        base = base or self.stack.public_url.replace("localhost", "127.0.0.1")
        async with self._http.get(base + path, headers=headers, allow_redirects=False) as answer:
            is_problem = answer.content_type == "application/problem+json"
            problem = await answer.json(content_type=None) if is_problem else {}
            wait = int(answer.headers.get("Retry-After", "0"))
            assert problem.get("retry_after", 0) == wait
            return answer.status, problem.get("code", ""), wait

    async def call(self, base: str, cookie: str) -> int:
        """The status of an API call with a cookie, at one of several gateways."""
        headers = {
            "Host": self.stack.public_url.removeprefix("http://"),
            "Cookie": cookie,
            "X-CSRF": "1",
        }
        async with self._http.get(f"{base}/api/me", headers=headers) as answer:
            return answer.status

    async def metric(self, kind: str) -> float:
        """How many of a kind were refused, as Prometheus would hear."""
        async with self._http.get(f"{self.stack.admin_url}/metrics") as answer:
            for line in (await answer.text()).splitlines():
                if line.startswith(f'bff_rate_limited_total{{kind="{kind}"}}'):
                    return float(line.rpartition(" ")[2])
        return 0.0


@pytest.mark.rule("AZ-16")
@pytest.mark.rule("OP-06")
async def test_logins_are_limited_for_one_client_and_not_for_another() -> None:
    """Told when to come again, counted, and let in again then."""
    clock = ManualClock()
    async with limited('logins = "3/minute"', clock=clock) as gateway:
        for _ in range(3):
            assert (await gateway.get(LOGIN, MALLORY))[0] == 302
        for _ in range(5):
            assert await gateway.get(LOGIN, MALLORY) == (429, "rate_limited", 20)
        assert await gateway.metric("login") == 5
        assert (await gateway.get(LOGIN, "203.0.113.67"))[0] == 302
        clock.advance(21)
        assert (await gateway.get(LOGIN, MALLORY))[0] == 302
        assert (await gateway.get(LOGIN, MALLORY))[:2] == (429, "rate_limited")


@pytest.mark.rule("AZ-16")
async def test_unfinished_logins_can_not_fill_the_store() -> None:
    """A client that starts thousands has as many open as the rate allows."""
    async with limited('logins = "50/hour"', clock=ManualClock()) as gateway:
        answers = [await gateway.get(LOGIN, MALLORY) for _ in range(300)]
        assert [status for status, _, _ in answers] == [302] * 50 + [429] * 250


@pytest.mark.rule("AZ-16")
async def test_resuming_a_login_counts_as_one() -> None:
    """It starts one as well."""
    async with limited('logins = "2/hour"') as gateway:
        assert (await gateway.get("/bff/resume", MALLORY))[0] == 302
        assert (await gateway.get(LOGIN, MALLORY))[0] == 302
        assert (await gateway.get("/bff/resume", MALLORY))[0] == 429


@pytest.mark.rule("AZ-16")
async def test_an_ipv6_client_can_not_hide_in_its_own_network() -> None:
    async with limited('logins = "3/hour"') as gateway:
        for number in range(3):
            assert (await gateway.get(LOGIN, f"2001:db8:0:1::{number:x}"))[0] == 302
        assert (await gateway.get(LOGIN, "2001:db8:0:1:ffff::1"))[0] == 429
        assert (await gateway.get(LOGIN, "2001:db8:0:2::1"))[0] == 302
        assert (await gateway.get(LOGIN, f"::ffff:{MALLORY}"))[0] == 302


@pytest.mark.rule("AZ-16")
async def test_a_peer_that_is_no_trusted_proxy_can_not_speak_for_others() -> None:
    """The header of an untrusted peer changes nothing; of a trusted one, what a client wrote in
    front of the proxy's own word changes nothing."""
    async with limited('logins = "3/hour"', server="") as gateway:
        answers = [await gateway.get(LOGIN, f"203.0.113.{number}") for number in range(4)]
        assert [status for status, _, _ in answers] == [302, 302, 302, 429]
    async with limited('logins = "3/hour"') as gateway:
        for number in range(3):
            assert (await gateway.get(LOGIN, f"198.51.100.{number}, {MALLORY}"))[0] == 302
        assert (await gateway.get(LOGIN, f"198.51.100.9, {MALLORY}"))[0] == 429
        assert (await gateway.get(LOGIN, "198.51.100.9"))[0] == 302


@pytest.mark.rule("AZ-16")
@pytest.mark.rule("OP-06")
async def test_failed_callbacks_are_limited_and_good_ones_are_not_counted() -> None:
    limits, clock = 'failed_callbacks = "3/hour"', ManualClock()
    async with limited(limits, clock=clock) as gateway, Browser() as browser:
        for _ in range(5):
            assert (await log_in(browser, gateway.stack)).status == 200
        for _ in range(3):
            assert await gateway.get(CALLBACK, MALLORY) == (400, "login_expired", 0)
        assert await gateway.get(CALLBACK, MALLORY) == (429, "rate_limited", 1200)
        assert await gateway.metric("failed_callback") == 1
        assert (await log_in(browser, gateway.stack)).status == 200


async def test_a_login_that_is_not_let_in_says_so_on_a_page() -> None:
    """To a person, with the same code and Retry-After."""
    async with limited('logins = "1/hour"') as gateway, Browser() as browser:
        await browser.navigate(f"{gateway.stack.public_url}{LOGIN}", follow=False)
        page = await browser.navigate(f"{gateway.stack.public_url}{LOGIN}", follow=False)
        assert page.status == 429
        assert "rate_limited" in page.text
        assert 1 <= int(page.headers["Retry-After"]) <= 3600


@pytest.mark.rule("LO-15")
async def test_worthless_logout_tokens_are_limited_and_those_in_order_are_not() -> None:
    """An OP that ends many sessions is never held up; a sender of garbage is, before it is read."""
    async with limited('failed_logout_tokens = "3/hour"') as gateway:
        for _ in range(10):
            assert await tell(gateway.stack, token(gateway.stack, sub="alice")) == 200
        garbage = [await posted(gateway.stack, "logout_token=garbage") for _ in range(5)]
        assert garbage == [400, 400, 400, 429, 429]
        assert await gateway.metric("failed_logout_token") == 2
        good = f"logout_token={token(gateway.stack, sub='alice')}"
        assert await posted(gateway.stack, good) == 429
        assert await posted(gateway.stack, good, client="192.0.2.1") == 200


async def posted(stack: Stack, form: str, *, client: str = "127.0.0.1") -> int:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": client}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{stack.public_url}{PATH}", data=form, headers=headers) as answer,
    ):
        return answer.status


@pytest.mark.rule("AZ-16")
async def test_two_gateways_on_one_redis_share_a_limit(own_redis: RedisServer) -> None:
    """By turns, and after the restart of one."""
    async with limited('logins = "4/hour"', store=own_redis.url) as gateway:
        async with gateway.stack.replica() as other:
            for base in ("", other, "", other):
                assert (await gateway.get(LOGIN, MALLORY, base=base))[0] == 302
            assert (await gateway.get(LOGIN, MALLORY))[0] == 429
            assert (await gateway.get(LOGIN, MALLORY, base=other))[0] == 429
        async with gateway.stack.replica() as third:
            assert (await gateway.get(LOGIN, MALLORY, base=third))[0] == 429
            assert (await gateway.get(LOGIN, base=third))[0] == 302


@pytest.mark.rule("AZ-16")
async def test_a_flood_that_is_refused_costs_redis_nothing(own_redis: RedisServer) -> None:
    async with limited('logins = "1/hour"', store=own_redis.url) as gateway:
        await gateway.get(LOGIN, MALLORY)
        assert (await gateway.get(LOGIN, MALLORY))[0] == 429
        before = scripts_run(own_redis)
        for _ in range(50):
            assert (await gateway.get(LOGIN, MALLORY))[0] == 429
        # Now and then the gateway renews the lease for counting sessions.
        assert scripts_run(own_redis) - before < 25


@pytest.mark.rule("AZ-16")
async def test_a_thousand_logins_leave_little_behind_and_not_for_long(
    own_redis: RedisServer,
) -> None:
    """By the limits as they come, from one address; none of what is stored outlives a login."""
    async with limited("", store=own_redis.url) as gateway:
        answers = [(await gateway.get(LOGIN, MALLORY))[0] for _ in range(1000)]
        let_in = answers.count(302)
        assert 300 <= let_in < 400
        assert answers.count(429) == 1000 - let_in
        keys = own_redis.command("KEYS", "*")
        lives = [own_redis.command("PTTL", key) for key in keys]
        assert let_in <= len(keys) <= 2 * let_in + 10  # a login, and the browser it belongs to
        assert all(0 < milliseconds <= 600_000 for milliseconds in lives)


def scripts_run(server: RedisServer) -> int:
    """How many, by Redis's own statistics."""
    lines: list[bytes] = server.command("INFO", "commandstats").splitlines()
    line = next(line for line in lines if b"cmdstat_evalsha:" in line)
    return int(line.partition(b"calls=")[2].partition(b",")[0])


@pytest.mark.rule("OP-06")
@pytest.mark.parametrize("choice", ["allow", "refuse"])
async def test_what_can_not_be_counted_is_allowed_or_refused_as_configured(
    own_redis: RedisServer, choice: str
) -> None:
    """Seen at the back channel, which finds garbage to be garbage without the store."""
    limits = f'when_store_down = "{choice}"'
    async with limited(limits, store=own_redis.url) as gateway:
        own_redis.stop()
        status = await posted(gateway.stack, "logout_token=garbage")
        assert status == {"allow": 400, "refuse": 503}[choice]
        own_redis.start()

        async def is_judged() -> bool:
            return await posted(gateway.stack, "logout_token=garbage") == 400

        await until(is_judged)


@pytest.mark.rule("TK-06")
@pytest.mark.rule("OP-06")
async def test_a_session_that_is_refreshed_too_often_goes_on_with_the_token_it_has() -> None:
    """And waits, once that has expired; it is not logged out."""
    clock = ManualClock()
    limits = 'refreshes = "2/hour"'
    async with (
        limited(limits, clock=clock, access_token_seconds=60) as gateway,
        Browser() as browser,
    ):
        await log_in(browser, gateway.stack)
        for count in (1, 2):
            clock.advance(61)
            assert (await browser.fetch("GET", "/api/me")).status == 200
            assert gateway.stack.op.refreshes == count
        clock.advance(50)  # due, and still good
        assert (await browser.fetch("GET", "/api/me")).status == 200
        clock.advance(11)
        late = await browser.fetch("GET", "/api/me")
        assert (late.status, late.json()["code"]) == (429, "rate_limited")
        assert 1500 < int(late.headers["Retry-After"]) <= 1800
        assert not late.headers.getall("Set-Cookie", [])
        assert (await browser.fetch("GET", "/bff/user?slide=false")).status == 200
        assert gateway.stack.op.refreshes == 2
        assert await gateway.metric("refresh") >= 1
        clock.advance(1700)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        assert gateway.stack.op.refreshes == 3


@pytest.mark.rule("OP-06")
async def test_calls_past_the_limit_are_refused_and_the_session_stays() -> None:
    """Told when to come again; another session of the same user is another matter."""
    clock = ManualClock()
    async with (
        limited('api_calls = "5/minute"', clock=clock, access_token_seconds=600) as gateway,
        Browser() as browser,
        Browser() as other,
    ):
        await log_in(browser, gateway.stack)
        await log_in(other, gateway.stack)
        for _ in range(5):
            assert (await browser.fetch("GET", "/api/me")).status == 200
        refused = await browser.fetch("GET", "/api/me")
        assert (refused.status, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["Retry-After"] == "12"
        assert not refused.headers.getall("Set-Cookie", [])
        assert await gateway.metric("api_call") == 1
        assert (await browser.fetch("GET", "/bff/user")).status == 200
        assert (await other.fetch("GET", "/api/me")).status == 200
        clock.advance(12)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        assert (await browser.fetch("GET", "/api/me")).status == 429


async def test_calls_are_not_limited_unless_configured() -> None:
    async with limited("") as gateway, Browser() as browser:
        await log_in(browser, gateway.stack)
        statuses = {(await browser.fetch("GET", "/api/me")).status for _ in range(400)}
        assert statuses == {200}


@pytest.mark.rule("OP-06")
async def test_calls_at_one_gateway_count_at_another(own_redis: RedisServer) -> None:
    """Within about a second, and without a command to Redis in any call's way."""
    limits = 'api_calls = "40/hour"'
    async with limited(limits, store=own_redis.url) as gateway, Browser() as browser:
        await log_in(browser, gateway.stack)
        for _ in range(40):
            assert (await browser.fetch("GET", "/api/me")).status == 200
        assert (await browser.fetch("GET", "/api/me")).status == 429
        async with gateway.stack.replica() as other:

            async def is_heard_of() -> bool:
                cookie = f"bff={browser.cookies.get('bff')}"
                answer = await gateway.call(other, cookie)
                calls.append(answer)
                return answer == 429

            calls: list[int] = []
            await until(is_heard_of, every=0.1)
            # A tenth of the rate, and what came in the second until it was told of.
            assert 4 <= calls.count(200) <= 30


async def test_calls_within_the_limit_cost_redis_next_to_nothing(own_redis: RedisServer) -> None:
    limits = 'api_calls = "10000/hour"'
    async with limited(limits, store=own_redis.url) as gateway, Browser() as browser:
        await log_in(browser, gateway.stack)
        await browser.fetch("GET", "/api/me")
        before = scripts_run(own_redis)
        for _ in range(200):
            assert (await browser.fetch("GET", "/api/me")).status == 200
        assert scripts_run(own_redis) == before
