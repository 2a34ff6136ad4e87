"""Gateways that share a Redis: what one has made is nothing to another, unless both are the same
client of the same OP with the same secrets. Nothing of the others is used, ended or deleted."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.command import bff
from tests.parts.configuration import CLIENT_ID
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack

OTHER_SECRET = "Qn8vM2xK5wT9rB3yH7jL4pF6sD1gC0eZ"


def cookie_of(browser: Browser) -> str:
    return f"bff={browser.cookies.get('bff')}"


async def call(stack: Stack, method: str, path: str, cookie: str) -> int:
    """A call of the app with that session cookie."""
    headers = {"Cookie": cookie, "X-CSRF": "1", "Origin": stack.public_url}
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method, stack.public_url + path, headers=headers, allow_redirects=False
        ) as answer,
    ):
        return answer.status


async def end(stack: Stack, **parameters: str) -> dict[str, int]:
    """What an administrator ends at one gateway."""
    async with (
        aiohttp.ClientSession() as http,
        http.delete(f"{stack.admin_url}/sessions", params=parameters) as answer,
    ):
        assert answer.status == 200
        ended: dict[str, int] = await answer.json()
        return ended


@asynccontextmanager
async def two_gateways(
    redis: RedisServer, *, second: dict[str, Any] | None = None, **both: Any
) -> AsyncIterator[tuple[Stack, Stack]]:
    """With the same secrets and an OP each, unless it is said otherwise."""
    async with (
        running_stack(store=redis.url, **both) as one,
        running_stack(store=redis.url, **both, **(second or {})) as other,
    ):
        yield one, other


# --- another OP, another client


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/bff/user", 401),
        ("GET", "/api/me", 401),
        ("POST", "/api/notes", 401),
        ("GET", "/bff/events", 401),
        ("GET", "/bff/sessions", 401),
        ("DELETE", "/bff/sessions", 401),
        ("POST", "/bff/logout", 200),
    ],
)
async def test_a_session_with_another_op_is_none_here(
    own_redis: RedisServer, method: str, path: str, status: int
) -> None:
    """Its tokens go nowhere, and it stays where it is, for the gateway that made it."""
    async with two_gateways(own_redis) as (one, other), Browser() as browser:
        await log_in(browser, one)
        cookie, records = cookie_of(browser), own_redis.records()
        assert await call(other, method, path, cookie) == status
        assert own_redis.records().keys() == records.keys()
        assert await call(one, "GET", "/api/me", cookie) == 200
        assert (one.op.refreshes, one.op.revocations) == (0, 0)
        assert (other.op.refreshes, other.op.revocations) == (0, 0)


async def test_a_login_does_not_replace_another_gateways_session(own_redis: RedisServer) -> None:
    """A login that begins with its cookie, as on two ports of one host, ends nothing of it."""
    async with two_gateways(own_redis) as (one, other), Browser() as browser:
        await log_in(browser, one)
        first = cookie_of(browser)
        await log_in(browser, other)
        assert cookie_of(browser) != first
        assert await call(one, "GET", "/api/me", first) == 200
        assert await call(other, "GET", "/api/me", cookie_of(browser)) == 200


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'client_id = "{CLIENT_ID}"', 'client_id = "another"'),
        ('issuer = "http://127.0.0.1', 'issuer = "http://localhost'),
    ],
)
async def test_sessions_do_not_outlive_a_change_of_client_or_op(
    own_redis: RedisServer, before: str, after: str
) -> None:
    """After the restart nothing of them is sent anywhere, due for a refresh as they are; when the
    change is taken back they go on."""
    clock = ManualClock()
    async with running_stack(store=own_redis.url, clock=clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        cookie, records = cookie_of(browser), own_redis.records()
        clock.advance(61)
        async with stack.restarted((before, after)):
            assert await call(stack, "GET", "/bff/user", cookie) == 401
            assert await call(stack, "GET", "/api/me", cookie) == 401
            assert await end(stack, all="true") == {"ended": 0, "foreign": 1}
            assert await end(stack, sub="alice", issuer=stack.issuer) == {"ended": 0, "foreign": 0}
        assert own_redis.records().keys() == records.keys()
        assert (stack.op.refreshes, stack.op.revocations) == (0, 0)
        async with stack.restarted():
            assert await call(stack, "GET", "/api/me", cookie) == 200
            assert stack.op.refreshes == 1


@pytest.mark.rule("AZ-03")
async def test_a_login_begun_at_another_gateway_is_not_taken(own_redis: RedisServer) -> None:
    """Its `state` is unknown here, and good where it came from."""
    async with two_gateways(own_redis) as (one, other), Browser() as browser:
        page = await browser.navigate(f"{one.public_url}/bff/login")
        answer = await browser.submit(
            page.form("login"),
            {"username": "alice", "password": "wonderland"},
            button="login",
            follow=False,
        )
        while not answer.headers["Location"].startswith(one.public_url):
            answer = await browser.navigate(answer.headers["Location"], follow=False)
            if answer.has_form("consent"):
                answer = await browser.submit(answer.form("consent"), button="allow", follow=False)
        at_one = answer.headers["Location"]
        at_other = other.public_url + at_one.removeprefix(one.public_url)
        refused = await browser.navigate(at_other, initiator=one.issuer, follow=False)
        assert refused.status == 400
        assert not other.op.token_requests
        assert (await browser.navigate(at_one, initiator=one.issuer)).status == 200
        assert await call(one, "GET", "/bff/user", cookie_of(browser)) == 200


async def test_a_rate_is_each_gateways_own(own_redis: RedisServer) -> None:
    """The logins at one do not use up those of the other, behind one address as they are."""
    limits = '[limits]\nlogins = "2/hour"\n'
    async with two_gateways(own_redis, extra=limits) as (one, other):
        for stack in (one, other):
            answers = [await call(stack, "GET", "/bff/login", "") for _ in range(3)]
            assert answers == [302, 302, 429]


# --- ending all users' sessions


@pytest.mark.rule("SE-08")
@pytest.mark.parametrize("second", [{}, {"secret": OTHER_SECRET}])
async def test_everybody_is_everybody_here(own_redis: RedisServer, second: dict[str, str]) -> None:
    """`--all` ends what opens here; what others made is counted and left alone."""
    async with (
        two_gateways(own_redis, second=second) as (one, other),
        Browser() as alice,
        Browser() as bob,
        Browser() as carol,
    ):
        await log_in(alice, one)
        await log_in(bob, one, "bob")
        await log_in(carol, other, "carol")
        assert await end(other, all="true") == {"ended": 1, "foreign": 2}
        assert await call(other, "GET", "/bff/user", cookie_of(carol)) == 401
        assert await call(one, "GET", "/bff/user", cookie_of(alice)) == 200
        assert await call(one, "GET", "/bff/user", cookie_of(bob)) == 200
        assert one.op.revocations == 0
        assert await end(one, all="true") == {"ended": 2, "foreign": 0}


async def test_the_command_says_what_it_has_left_alone(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with two_gateways(own_redis) as (one, other), Browser() as alice, Browser() as bob:
        await log_in(alice, one)
        (tmp_path / "bff.toml").write_text(other.toml)
        left = "1 record of another gateway, client or secret left alone.\n"
        found = await bff("sessions", "revoke", "--all", cwd=tmp_path)
        assert (found.code, found.out) == (0, f"0 sessions ended.\n{left}")
        await log_in(bob, other, "bob")
        found = await bff("sessions", "revoke", "--all", "--json", cwd=tmp_path)
        assert json.loads(found.out) == {"ended": 1, "foreign": 1}


@pytest.mark.rule("SE-08")
async def test_a_user_is_a_user_of_this_gateway(own_redis: RedisServer) -> None:
    """By `sub`, `sid` and `id` as well: here with the same client of the same OP, and a secret that
    has been exchanged without keeping the old one."""
    async with running_stack(store=own_redis.url) as stack, Browser() as old, Browser() as new:
        await log_in(old, stack)
        listed = await the_list(stack, sub="alice")
        async with stack.restarted((secret_line(stack), f'secrets = ["{OTHER_SECRET}"]')):
            await log_in(new, stack)
            assert len(await the_list(stack, sub="alice")) == 1
            assert await end(stack, id=listed[0]["id"]) == {"ended": 0, "foreign": 1}
            assert await end(stack, sid=listed[0]["sid"]) == {"ended": 0, "foreign": 1}
            assert await end(stack, sub="alice") == {"ended": 1, "foreign": 1}
        async with stack.restarted():
            assert await call(stack, "GET", "/bff/user", cookie_of(old)) == 200


async def the_list(stack: Stack, **parameters: str) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{stack.admin_url}/sessions", params=parameters) as answer,
    ):
        sessions: list[dict[str, Any]] = (await answer.json())["sessions"]
        return sessions


def secret_line(stack: Stack) -> str:
    [line] = [line for line in stack.toml.splitlines() if line.startswith("secrets = ")]
    return line


# --- namespaces


async def test_each_namespace_is_a_store_of_its_own(own_redis: RedisServer) -> None:
    """All keys and channels carry it, so that an ACL rule can keep gateways apart, and neither sees
    so much as the records of the other."""
    async with (
        two_gateways(own_redis, second={"session": 'namespace = "shop"'}) as (one, other),
        Browser() as alice,
        Browser() as bob,
    ):
        await log_in(alice, one)
        await log_in(bob, other, "bob")
        await browse_away(alice, one)
        await browse_away(bob, other)
        namespaces = {key.partition(b":")[0] for key in own_redis.command("KEYS", "*")}
        assert namespaces == {b"bff", b"shop"}
        channels = set(own_redis.command("PUBSUB", "CHANNELS"))
        assert channels == {b"bff:changes", b"bff:beats", b"shop:changes", b"shop:beats"}
        assert await end(other, all="true") == {"ended": 1, "foreign": 0}
        assert await call(one, "GET", "/bff/user", cookie_of(alice)) == 200


async def browse_away(browser: Browser, stack: Stack) -> None:
    """A login that is left open: its transaction stays."""
    page = await browser.navigate(f"{stack.public_url}/bff/login?prompt=login", follow=False)
    assert urlsplit(page.headers["Location"]).netloc == urlsplit(stack.issuer).netloc
