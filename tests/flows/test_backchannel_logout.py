"""Back-channel logout: the OP says which user is logged out, and they are, whatever they are
doing."""

import asyncio
import json
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
from aiohttp import web

from bff.clock import ManualClock
from spa_demo.op import OP_STATE
from tests.flows.logins import log_in
from tests.flows.op_logouts import (
    FORM,
    PATH,
    active_grants,
    is_logged_in,
    log_in_twice,
    post,
    sids,
    sign_out_at_op,
    tell,
    token,
)
from tests.parts.browser import Browser
from tests.parts.configuration import BY_NEWS_ONLY
from tests.parts.redis_server import RedisServer
from tests.parts.stack import running_stack
from tests.polling import HANG_SECONDS, until

OFFLINE = "openid profile email offline_access api:read"
ONLINE = "openid profile email api:read"


# --- whom it reaches


@pytest.mark.rule("LO-11")
async def test_signing_out_at_the_op_ends_the_session_here() -> None:
    async with running_stack(backchannel=True) as stack, Browser() as browser, Browser() as other:
        await log_in(browser, stack)
        await log_in(other, stack)
        await sign_out_at_op(browser, stack, "here")
        await until(lambda: stack.op.logout_tokens["delivered"] == 1)
        assert not await is_logged_in(browser, stack)
        assert await is_logged_in(other, stack)
        assert stack.op.logout_tokens.total() == 1


@pytest.mark.rule("LO-11")
async def test_signing_out_everywhere_ends_all_of_that_user_and_no_other() -> None:
    async with (
        running_stack(backchannel=True) as stack,
        Browser() as desk,
        Browser() as phone,
        Browser() as bobs,
    ):
        await log_in(desk, stack)
        await log_in(phone, stack)
        await log_in(bobs, stack, "bob")
        await sign_out_at_op(desk, stack, "everywhere")
        await until(lambda: stack.op.logout_tokens["delivered"] == 1)
        assert not await is_logged_in(desk, stack)
        assert not await is_logged_in(phone, stack)
        assert await is_logged_in(bobs, stack)


ALICE_1, ALICE_2, BOB = "the first of alice", "the second of alice", "that of bob"


@pytest.mark.rule("LO-11")
@pytest.mark.rule("LO-08")
@pytest.mark.rule("LO-12")
@pytest.mark.parametrize(
    ("sub", "sid", "gone"),
    [
        (None, ALICE_1, {"desk", "tablet"}),
        (None, ALICE_2, {"phone"}),
        ("alice", ALICE_1, {"desk", "tablet"}),
        ("alice", None, {"desk", "tablet", "phone"}),
        ("bob", None, {"bobs"}),
        ("bob", ALICE_1, set()),  # sid of another user with our sub
        ("alice", BOB, set()),
        ("alice", "unknown", set()),
        (None, "unknown", set()),
        ("nobody", None, set()),
        ("ALICE", None, set()),
    ],
)
async def test_a_logout_reaches_whom_it_names_and_no_further(
    sub: str | None, sid: str | None, gone: set[str]
) -> None:
    """Sections 2.4 and 2.7; 200 also when there is no session, or none any more."""
    async with (
        running_stack() as stack,
        Browser() as first,
        Browser() as second,
        Browser() as third,
    ):
        desk, tablet = await log_in_twice(first, stack, "alice")
        await log_in(second, stack, "alice")
        await log_in(third, stack, "bob")
        cookies = {"desk": desk, "tablet": tablet}
        cookies |= {
            "phone": second.cookies.get("bff") or "",
            "bobs": third.cookies.get("bff") or "",
        }
        known = dict(zip((ALICE_1, ALICE_2), sids(stack, "alice"), strict=True))
        known[BOB] = sids(stack, "bob")[0]
        named_sid = known.get(sid, sid) if sid else None

        assert await tell(stack, token(stack, sub=sub, sid=named_sid)) == 200
        alive = {name for name in cookies if await is_logged_in(first, stack, cookies[name])}
        assert cookies.keys() - alive == gone
        assert await tell(stack, token(stack, sub=sub, sid=named_sid)) == 200


@pytest.mark.rule("LO-13")
@pytest.mark.rule("SE-06")
async def test_it_is_effective_on_every_replica_at_once(own_redis: RedisServer) -> None:
    async with (
        running_stack(store=own_redis.url, session=BY_NEWS_ONLY) as stack,
        stack.replica() as second,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        headers = {
            "Host": urlsplit(stack.public_url).netloc,
            "Cookie": f"bff={browser.cookies.get('bff')}",
            "X-CSRF": "1",
        }
        async with aiohttp.ClientSession() as http:

            async def status(base: str) -> int:
                async with http.get(f"{base}/api/me", headers=headers) as answer:
                    return answer.status

            here = stack.public_url
            assert [await status(base) for base in (here, second)] == [200, 200]
            assert await tell(stack, token(stack, sid=sids(stack, "alice")[0]), base=second) == 200
            for base in (here, second):

                async def is_ended(base: str = base) -> bool:
                    return await status(base) == 401

                await until(is_ended)


@pytest.mark.rule("SE-07")
async def test_open_streams_of_the_session_end_too() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        async with browser.stream("/bff/events") as events:
            assert events.status == 200
            await events.content.readuntil(b"\n\n")
            assert await tell(stack, token(stack, sub="alice")) == 200
            async with asyncio.timeout(HANG_SECONDS):
                rest = await events.content.read()
        assert b"event: ended" in rest
        assert b"backchannel_logout" in rest


# --- tokens at the OP


@pytest.mark.rule("LO-14")
@pytest.mark.parametrize("scope", [ONLINE, OFFLINE])
async def test_refresh_tokens_are_revoked_unless_they_are_for_offline_access(scope: str) -> None:
    """Section 2.7: `offline_access` is meant to outlive the session at the OP."""
    async with running_stack(scope=scope) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert active_grants(stack) == 1
        assert await tell(stack, token(stack, sub="alice")) == 200
    assert active_grants(stack) == (1 if scope is OFFLINE else 0)
    assert (stack.op.revocations > 0) is (scope is ONLINE)


@pytest.mark.rule("LO-13")
@pytest.mark.parametrize("scope", [ONLINE, OFFLINE])
async def test_a_logout_wins_over_a_refresh_under_way(scope: str) -> None:
    """The tokens that come back bring no session back, and are revoked: no process will hold
    them."""
    clock = ManualClock()
    op = {"token_delay_seconds": 2}
    async with running_stack(clock=clock, op=op, scope=scope) as stack, Browser() as browser:
        await log_in(browser, stack)
        clock.advance(61)
        call = asyncio.create_task(browser.fetch("GET", "/api/me"))
        await until(lambda: stack.op.refreshes == 1)  # the OP has rotated, its answer is on the way
        assert not call.done()
        assert await tell(stack, token(stack, sub="alice")) == 200
        answer = await call
        assert (answer.status, answer.json()["code"]) == (401, "session_ended")
        assert not await is_logged_in(browser, stack)
        await until(lambda: active_grants(stack) == 0)
        assert stack.op.refreshes == 1


# --- trouble


@pytest.mark.rule("LO-12")
@pytest.mark.rule("SE-10")
async def test_while_the_store_is_down_the_op_is_asked_to_come_back(own_redis: RedisServer) -> None:
    """And the token that could not do its work is no replay when it comes again."""
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        await log_in(browser, stack)
        sent = token(stack, sub="alice")
        own_redis.pause()
        status, headers, body = await post(stack, {"logout_token": sent})
        assert (status, json.loads(body)["code"]) == (503, "store_unavailable")
        assert int(headers["Retry-After"]) >= 1
        own_redis.resume()

        async def is_done() -> bool:
            status = await tell(stack, sent)
            assert status in (200, 503)
            return status == 200

        await until(is_done)
        assert not await is_logged_in(browser, stack)


@pytest.mark.rule("LO-12")
async def test_without_the_op_s_keys_it_is_asked_to_come_back(own_redis: RedisServer) -> None:
    clock = ManualClock()
    async with (
        running_stack(store=own_redis.url, clock=clock) as stack,
        stack.replica() as fresh,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        await stack.op_server.stop()
        sent = token(stack, sub="alice")
        status, headers, body = await post(stack, {"logout_token": sent}, base=fresh)
        assert (status, json.loads(body)["code"]) == (503, "op_unavailable")
        assert int(headers["Retry-After"]) >= 1
        await stack.op_server.start()
        clock.advance(10)
        assert await tell(stack, sent, base=fresh) == 200
        assert not await is_logged_in(browser, stack)


async def test_an_op_that_hangs_up_has_logged_out_all_the_same() -> None:
    """It need not wait for an answer, and mostly does not try again."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request, _response: web.StreamResponse) -> None:
        if request.path == "/jwks" and request.app[OP_STATE].counters.requests["jwks"] > 1:
            asked.set()
            await go_on.wait()

    async with (
        running_stack(prepare_op=lambda op: op.on_response_prepare.append(hold)) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        stack.op.requests["jwks"] = 1  # the API asked as well
        stack.running_op.keys.rotate()
        body = urlencode({"logout_token": token(stack, sub="alice")})
        _, writer = await asyncio.open_connection("127.0.0.1", stack.ports.gateway)
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: localhost:{stack.ports.gateway}\r\n"
            f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await asyncio.wait_for(asked.wait(), HANG_SECONDS)  # the gateway is busy with it
        writer.close()
        await writer.wait_closed()
        go_on.set()

        async def is_out() -> bool:
            return not await is_logged_in(browser, stack)

        await until(is_out)
