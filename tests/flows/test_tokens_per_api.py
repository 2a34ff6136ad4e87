"""APIs that take no token but their own, behind one session: each gets one that is for it alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bff.clock import ManualClock
from spa_demo.api.settings import ApiSettings
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.demo_servers import running_api
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack

ORDERS, STOCK = "https://orders.example.test", "urn:demo:stock"


@asynccontextmanager
async def apis(routes: str, clock: ManualClock, **options: Any) -> AsyncIterator[Stack]:
    """The demo with two more APIs, `{orders}` and `{stock}` in `routes`, each of which is an
    audience of its own."""
    orders, stock = free_port(), free_port()
    lines = routes.replace("{orders}", f"http://127.0.0.1:{orders}/")
    options = {"op": {"resources": frozenset({ORDERS, STOCK})}, **options}
    async with (
        running_stack(
            routes=lines.replace("{stock}", f"http://127.0.0.1:{stock}/"), clock=clock, **options
        ) as stack,
        AsyncExitStack() as more,
    ):
        for port, audience in ((orders, ORDERS), (stock, STOCK)):
            settings = ApiSettings(stack.issuer, audience)
            await more.enter_async_context(running_api(settings, clock, port=port))
        yield stack


OWN_TOKENS = f"""
[[routes]]
path = "/orders/"
upstream = "{{orders}}"
resource = "{ORDERS}"
scope = "api:read"

[[routes]]
path = "/stock/"
upstream = "{{stock}}"
resource = "{STOCK}"
"""


@pytest.mark.rule("FP-13")
async def test_each_api_gets_the_token_that_is_for_it() -> None:
    """The demo API verifies `aud`. Of two routes to one API only that with the resource can be
    used, and only with the scope that the route asks for."""
    clock = ManualClock()
    more = '\n[[routes]]\npath = "/unnamed/"\nupstream = "{orders}"\n'
    async with apis(OWN_TOKENS + more, clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        orders = await browser.fetch("GET", "/orders/me")
        stock = await browser.fetch("GET", "/stock/me")
        assert (orders.status, orders.json()["scope"]) == (200, "api:read")
        assert (stock.status, "api:write" in stock.json()["scope"]) == (200, True)
        assert (await browser.fetch("GET", "/unnamed/me")).status == 401
        for _ in range(3):
            assert (await browser.fetch("GET", "/orders/notes")).status == 200
        assert stack.op.refreshes == 2


@pytest.mark.rule("FP-13")
async def test_the_login_token_is_for_the_first_resource_of_the_provider() -> None:
    clock = ManualClock()
    lines = '\n[[routes]]\npath = "/orders/"\nupstream = "{orders}"\n'
    oidc = f'resource = ["{ORDERS}", "{STOCK}"]'
    async with apis(lines, clock, oidc=oidc) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/orders/me")).status == 200
        clock.advance(61)
        assert (await browser.fetch("GET", "/orders/me")).status == 200
        assert stack.op.refreshes == 1


@pytest.mark.rule("FP-01")
async def test_resources_are_pushed() -> None:
    clock = ManualClock()
    op = {"resources": frozenset({ORDERS, STOCK}), "par": "required"}
    async with apis(OWN_TOKENS, clock, op=op) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/orders/me")).status == 200


async def test_a_client_token_is_for_its_api() -> None:
    clock = ManualClock()
    lines = f"""
[[routes]]
path = "/orders/"
upstream = "{{orders}}"
token = "client"
anonymous = true
resource = "{ORDERS}"
"""
    async with apis(lines, clock) as stack, Browser() as browser:
        await browser.navigate(f"{stack.public_url}/")
        answer = await browser.fetch("GET", "/orders/notes")
        assert answer.status == 200


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('resource = "https://unknown.example.test"', "api_token_refused"),
        ('scope = "api:unknown"', "api_token_refused"),
    ],
)
async def test_an_op_that_gives_none_is_a_problem_of_that_route(line: str, code: str) -> None:
    """Not of the session, nor of the other routes."""
    clock = ManualClock()
    token = 'token = "client"' if "resource" in line else ""  # a login would not begin with it
    lines = f'\n[[routes]]\npath = "/bad/"\nupstream = "{{orders}}"\n{token}\n{line}\n'
    async with apis(OWN_TOKENS + lines, clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        for _ in range(5):
            answer = await browser.fetch("GET", "/bad/me")
            assert (answer.status, answer.json()["code"]) == (502, code)
            assert answer.headers["Retry-After"] == "30"
        assert (await browser.fetch("GET", "/orders/me")).status == 200
        assert (await browser.fetch("GET", "/bff/user")).status == 200
        assert stack.op.token_errors.total() == 1


EXCHANGED = f"""
[[routes]]
path = "/exchanged/"
upstream = "{{stock}}"
token = "exchange"
audience = "{STOCK}"
scope = "api:read"
"""


@pytest.mark.rule("FP-13")
async def test_a_token_by_exchange_is_for_its_api_and_its_user() -> None:
    clock = ManualClock()
    async with apis(OWN_TOKENS + EXCHANGED, clock) as stack, Browser() as browser:
        assert (await browser.navigate(f"{stack.public_url}/")).status == 200
        assert (await browser.fetch("GET", "/exchanged/me")).status == 401
        await log_in(browser, stack)
        for _ in range(3):
            answer = await browser.fetch("GET", "/exchanged/me")
            assert answer.status == 200
            assert (answer.json()["sub"], answer.json()["scope"]) == ("alice", "api:read")
        clock.advance(61)
        assert (await browser.fetch("GET", "/exchanged/me")).status == 200
        assert stack.op.refreshes == 1


@pytest.mark.rule("TK-06")
@pytest.mark.rule("FP-13")
async def test_two_gateways_and_many_calls_over_an_expiry_spend_each_token_once(
    own_redis: RedisServer,
) -> None:
    """Ten calls on each of four routes at two gateways, four times: each API sees what is for it,
    and the OP, which ends a grant of which a token is used twice, sees none twice."""
    clock = ManualClock()
    routes = (
        OWN_TOKENS
        + EXCHANGED
        + '\n[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{api}/"\n'
    )
    api = free_port()
    async with (
        apis(routes.replace("{api}", str(api)), clock, store=own_redis.url) as stack,
        running_api(ApiSettings(stack.issuer), clock, port=api),
        stack.replica() as replica,
        Browser() as browser,
        aiohttp.ClientSession() as http,
    ):
        await log_in(browser, stack)
        headers = {
            "Cookie": f"bff={browser.cookies.get('bff')}",
            "X-CSRF": "1",
            "Host": stack.public_url.partition("://")[2],
        }

        async def call(origin: str, path: str) -> tuple[int, str]:
            async with http.get(origin + path, headers=headers) as answer:
                return answer.status, (await answer.json()).get("sub", "")

        gateways = (f"http://127.0.0.1:{stack.ports.gateway}", replica)
        paths = ("/api/me", "/orders/me", "/stock/me", "/exchanged/me")
        for number in range(4):
            calls = [call(gateway, path) for gateway in gateways for path in paths * 10]
            assert set(await asyncio.gather(*calls)) == {(200, "alice")}
            # All three are gone after an expiry; the login brought one of them.
            assert stack.op.refreshes == 3 * number + 2
            clock.advance(61)
        assert stack.op.reuse_detected == 0
        assert stack.op.revocations == 0
