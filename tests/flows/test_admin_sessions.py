"""Administrators see and end sessions, on the admin listener and nowhere else."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.polling import until


async def ask(
    stack: Stack,
    method: str,
    parameters: Mapping[str, str],
    *,
    path: str = "/sessions",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any, Mapping[str, str]]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method, stack.admin_url + path, params=parameters, headers=headers or {}
        ) as answer,
    ):
        return answer.status, (await answer.json() if method != "HEAD" else None), answer.headers


async def listed(stack: Stack, **parameters: str) -> list[dict[str, Any]]:
    status, document, _ = await ask(stack, "GET", parameters)
    assert status == 200
    sessions: list[dict[str, Any]] = document["sessions"]
    return sessions


async def ended(stack: Stack, **parameters: str) -> int:
    status, document, _ = await ask(stack, "DELETE", parameters)
    assert status == 200
    assert document.keys() == {"ended", "foreign"}
    number: int = document["ended"]
    return number


async def statuses(*browsers: Browser) -> list[int]:
    return [(await browser.fetch("GET", "/api/me")).status for browser in browsers]


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    server: RedisServer = request.getfixturevalue("own_redis")
    return server.url


@asynccontextmanager
async def three_logins(
    store: str, **options: Any
) -> AsyncIterator[tuple[Stack, Browser, Browser, Browser]]:
    """Alice with a laptop and a phone, and bob."""
    async with (
        running_stack(store=store, **options) as stack,
        Browser() as laptop,
        Browser() as phone,
        Browser() as bob,
    ):
        await log_in(laptop, stack)
        await log_in(phone, stack)
        await log_in(bob, stack, "bob")
        yield stack, laptop, phone, bob


async def test_the_list_says_who_and_since_when_and_holds_nothing_usable() -> None:
    """Neither token nor cookie nor key: a reader of it can't become the user."""
    clock = ManualClock()
    async with (
        running_stack(clock=clock) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        clock.advance(600)
        assert await statuses(browser) == [200]
        clock.advance(60)
        [shown] = await listed(stack, sub="alice")
        assert shown["sub"] == "alice"
        assert shown["created_at"] == int(clock.now()) - 660
        assert shown["last_seen_at"] == int(clock.now()) - 60
        assert shown["expires_at"] == shown["created_at"] + 12 * 3600
        assert shown.keys() == {
            "id",
            "sub",
            "frontend",
            "provider",
            "sid",
            "client",
            "acr",
            "created_at",
            "last_seen_at",
            "expires_at",
        }
        session_id = (browser.cookies.get("bff") or "").partition(".")[0]
        text = str(shown)
        for secret in (session_id, hashlib.sha256(session_id.encode()).hexdigest(), "eyJ"):
            assert secret not in text
        forged = {"Cookie": f"bff={shown['id']}"}
        assert (await browser.fetch("GET", "/bff/user", headers=forged)).status == 401


async def test_a_user_and_an_administrator_see_the_same_ids(store: str) -> None:
    """What a user reads out over the telephone can be found."""
    async with three_logins(store) as (stack, laptop, _, _):
        own = (await laptop.fetch("GET", "/bff/sessions")).json()["sessions"]
        ids = {one["id"] for one in own}
        assert {one["id"] for one in await listed(stack, sub="alice")} == ids
        for one in ids:
            assert [found["id"] for found in await listed(stack, id=one)] == [one]


@pytest.mark.rule("SE-08")
async def test_all_sessions_of_one_user_are_ended_and_no_others(store: str) -> None:
    async with three_logins(store) as (stack, laptop, phone, bob):
        assert await ended(stack, sub="alice") == 2
        assert await statuses(laptop, phone, bob) == [401, 401, 200]
        await until(lambda: stack.op.revocations >= 2)
        assert await ended(stack, sub="alice") == 0
        assert await listed(stack, sub="alice") == []


@pytest.mark.rule("SE-08")
@pytest.mark.parametrize("by", ["sid", "id"])
async def test_one_session_is_ended_and_no_other(store: str, by: str) -> None:
    async with three_logins(store) as (stack, laptop, phone, bob):
        first, second = await listed(stack, sub="alice")
        assert first[by] != second[by]
        assert await listed(stack, **{by: first[by]}) == [first]
        assert await ended(stack, **{by: first[by]}) == 1
        assert await statuses(laptop, phone, bob) == [401, 200, 200]


@pytest.mark.rule("SE-08")
async def test_everybody_is_ended_and_may_log_in_again(store: str) -> None:
    async with three_logins(store) as (stack, laptop, phone, bob):
        assert await ended(stack, all="true") == 3
        assert await statuses(laptop, phone, bob) == [401, 401, 401]
        assert await ended(stack, all="true") == 0
        await log_in(laptop, stack)
        assert await statuses(laptop) == [200]


async def test_a_subject_belongs_to_an_issuer(store: str) -> None:
    """OIDC Core section 5.7: the same `sub` elsewhere is another user."""
    async with three_logins(store) as (stack, laptop, _, _):
        assert await listed(stack, sub="alice", issuer="https://other.example") == []
        assert await ended(stack, sub="alice", issuer="https://other.example") == 0
        assert await statuses(laptop) == [200]
        assert len(await listed(stack, sub="alice", issuer=stack.issuer)) == 2


@pytest.mark.rule("CS-10")
async def test_reading_changes_nothing(own_redis: RedisServer) -> None:
    """RFC 9110 section 9.2.1: GET and HEAD are safe."""
    async with three_logins(own_redis.url) as (stack, laptop, phone, bob):
        before = own_redis.records()
        assert before
        for parameters in ({"sub": "alice"}, {"id": "x"}, {"sid": "x"}):
            for method in ("GET", "HEAD"):
                assert (await ask(stack, method, parameters))[0] == 200
        assert (await ask(stack, "GET", {"all": "true"}))[0] == 400
        assert own_redis.records() == before
        assert await statuses(laptop, phone, bob) == [200, 200, 200]


async def test_what_is_not_understood_ends_no_session() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        refused: list[dict[str, str]] = [
            {},
            {"all": "yes"},
            {"sub": "alice", "all": "true"},
            {"user": "alice"},
        ]
        for parameters in refused:
            status, problem, headers = await ask(stack, "DELETE", parameters)
            assert (status, problem["code"]) == (400, "bad_request")
            assert headers["Content-Type"] == "application/problem+json"
        for method in ("POST", "PUT", "PATCH", "OPTIONS"):
            status, problem, headers = await ask(stack, method, {"sub": "alice"})
            assert (status, problem["code"]) == (405, "method_not_allowed")
            assert headers["Allow"] == "DELETE, GET, HEAD"
        assert (await ask(stack, "DELETE", {}, path="/sessions/x"))[0] == 404
        assert await statuses(browser) == [200]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost:9090"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 403),
        ({"Host": "attacker.example"}, 421),
        ({"Host": "localhost:1"}, 200),
    ],
)
async def test_no_page_in_any_browser_gets_through(headers: dict[str, str], status: int) -> None:
    """CSRF to loopback, and DNS rebinding."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await ask(stack, "GET", {"sub": "alice"}, headers=headers))[0] == status
        found = await ask(stack, "DELETE", {"sub": "alice"}, headers=headers)
        assert found[0] == status
        assert "Access-Control-Allow-Origin" not in found[2]
        assert await statuses(browser) == [401 if status == 200 else 200]


@pytest.mark.rule("OP-05")
async def test_the_public_listener_knows_nothing_of_it() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        for path in ("/sessions", "/bff/admin/sessions", "/api/../sessions"):
            answer = await browser.fetch("DELETE", f"{path}?all=true")
            assert answer.status in (400, 404, 405)
        assert b"alice" not in (await browser.fetch("GET", "/sessions?sub=alice")).body
        assert await statuses(browser) == [200]


@pytest.mark.rule("HD-04")
async def test_the_admin_listener_names_no_software() -> None:
    async with running_stack() as stack:
        for path in ("/healthz", "/metrics", "/sessions", "/nothing"):
            async with aiohttp.ClientSession() as http, http.get(stack.admin_url + path) as answer:
                assert answer.headers["Server"] == "bff"
                assert answer.headers["Cache-Control"] == "no-store"


async def test_a_store_that_is_down_is_503_and_no_session_is_ended(own_redis: RedisServer) -> None:
    """An administrator is never told that a user is gone who is not."""
    async with three_logins(own_redis.url) as (stack, laptop, phone, bob):
        own_redis.pause()
        for method, parameters in (
            ("GET", {"sub": "alice"}),
            ("DELETE", {"sub": "alice"}),
            ("DELETE", {"all": "true"}),
        ):
            status, problem, headers = await ask(stack, method, parameters)
            assert (status, problem["code"]) == (503, "store_unavailable")
            assert int(headers["Retry-After"]) >= 1
        own_redis.resume()

        async def all_are_back() -> bool:
            return await statuses(laptop, phone, bob) == [200, 200, 200]

        await until(all_are_back)
        assert await ended(stack, all="true") == 3


async def test_an_op_that_is_away_delays_no_end() -> None:
    """Sessions end here first; the OP is told in the background."""
    async with three_logins("memory://") as (stack, laptop, phone, bob):
        await stack.op_server.stop()
        assert await ended(stack, all="true") == 3
        assert await statuses(laptop, phone, bob) == [401, 401, 401]
