"""When something breaks, nothing passes and the gateway lives (ASVS 16.5.3).

The faults are made from outside: in the store's bytes, at the OP, at the keys.
"""

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.raw_upstream import raw_upstream
from tests.parts.redis_server import RedisServer, own_redis
from tests.parts.stack import running_stack

__all__ = ["own_redis"]


def route_to(port: int) -> str:
    return f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{port}/"\n'


@pytest.mark.rule("OP-02")
@pytest.mark.rule("SE-09")
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "no version", "of another session"])
async def test_a_record_that_does_not_open_forwards_nothing(
    own_redis: RedisServer, damage: str
) -> None:
    clock = ManualClock()
    async with (
        raw_upstream() as upstream,
        running_stack(store=own_redis.url, clock=clock, routes=route_to(upstream.port)) as stack,
        Browser() as browser,
        Browser() as other,
    ):
        await log_in(other, stack, "bob")
        (theirs,) = records(own_redis)
        await log_in(browser, stack)
        (key,) = records(own_redis) - {theirs}
        sealed = own_redis.command("HGET", key, "d")
        if damage == "no version":
            own_redis.command("HDEL", key, "v")
        else:
            changed = {
                "flipped": sealed[:-1] + bytes([sealed[-1] ^ 1]),
                "cut": sealed[: len(sealed) // 2],
                "empty": b"",
                "of another session": own_redis.command("HGET", theirs, "d"),
            }[damage]
            own_redis.command("HSET", key, "d", changed)
        clock.advance(30)  # what is held in memory is read again
        answer = await browser.fetch("GET", "/api/x")
        assert answer.status in (401, 503)
        assert (await browser.fetch("GET", "/bff/user")).status in (401, 503)
        assert upstream.received == []
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/api/x")).status == 200


def records(redis: RedisServer) -> set[str]:
    """The keys of sessions: the hashes."""
    keys = [key.decode() for key in redis.command("KEYS", "*")]
    return {key for key in keys if redis.command("TYPE", key) == b"hash"}


class Fault:
    """Makes the OP answer one endpoint with what no OP should. `hits` counts how often it did."""

    def __init__(self) -> None:
        self.path = ""
        self.status = 200
        self.text = ""
        self.hits = 0

    def attach(self, op: web.Application) -> None:
        op.middlewares.append(self._spoil())

    def _spoil(self) -> Middleware:
        @web.middleware
        async def spoil(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path != self.path:
                return await handler(request)
            self.hits += 1
            kind = "application/json"
            return web.Response(status=self.status, text=self.text, content_type=kind)

        return spoil


@pytest.mark.rule("OP-02")
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, ""),
        (200, "null"),
        (200, "[]"),
        (200, "<html>"),
        (200, '{"token_type": "Bearer"}'),
        (200, '{"access_token": "x"}'),
        (200, '{"access_token": {"a": 1}, "token_type": "Bearer"}'),
        (200, '{"access_token": "a\\r\\nX-Injected: 1", "token_type": "Bearer"}'),
        (200, '{"access_token": "", "token_type": "Bearer"}'),
        (200, '{"access_token": "x", "token_type": 7}'),
        (500, "oops"),
    ],
)
async def test_an_absurd_refresh_forwards_nothing(status: int, text: str) -> None:
    clock, fault = ManualClock(), Fault()
    async with (
        raw_upstream() as upstream,
        running_stack(
            clock=clock, routes=route_to(upstream.port), prepare_op=fault.attach
        ) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        fault.path, fault.status, fault.text = "/token", status, text
        clock.advance(61)
        answer = await browser.fetch("GET", "/api/x")
        assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert fault.hits == 1
        assert upstream.received == []
        assert (await browser.fetch("GET", "/bff/user")).status == 200
        fault.path = ""
        clock.advance(60)  # past any back-off
        assert (await browser.fetch("GET", "/api/x")).status == 200


@pytest.mark.rule("OP-02")
@pytest.mark.parametrize("text", ["", "{}", '{"keys": 1}', '{"keys": [{"kty": "oct", "k": "eA"}]}'])
async def test_a_login_without_keys_makes_no_session(text: str) -> None:
    fault = Fault()
    async with running_stack(prepare_op=fault.attach) as stack, Browser() as browser:
        fault.path, fault.text = "/jwks", text
        end = await log_in(browser, stack)
        assert fault.hits > 0
        assert end.status in (502, 503)
        assert browser.cookies.get("bff") is None
        await browser.navigate(stack.public_url)
        assert (await browser.fetch("GET", "/bff/user")).status == 401
