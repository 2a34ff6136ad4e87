"""An API that refuses a token we thought good: one new token, one more try, or its own answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.raw_upstream import RawUpstream, Received, raw_upstream, read_body
from tests.parts.stack import Stack, running_stack
from tests.polling import until

INVALID_TOKEN = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error="invalid_token"\r\n'
REFUSED = INVALID_TOKEN + b"Content-Length: 7\r\n\r\nrefused"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Revoking:
    """An API that no longer takes the tokens in `revoked`, and answers `refusal`."""

    def __init__(self, refusal: bytes = REFUSED) -> None:
        self.refusal = refusal
        self.revoked: set[bytes] = set()

    async def __call__(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(request, reader)
        (token,) = request.values(b"authorization")
        writer.write(self.refusal if token in self.revoked or b"*" in self.revoked else OK)
        await writer.drain()


@asynccontextmanager
async def an_api_that_revokes(
    api: Revoking, route: str = "", clock: ManualClock | None = None
) -> AsyncIterator[tuple[Stack, Browser, RawUpstream]]:
    """A minute after the login, with a token that the API takes no more."""
    clock = clock or ManualClock()
    async with raw_upstream() as upstream:
        upstream.responder = api
        routes = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{upstream.port}/"
{route}
"""
        async with (
            running_stack(clock=clock, access_token_seconds=3600, routes=routes) as stack,
            Browser() as browser,
        ):
            await log_in(browser, stack)
            clock.advance(31)
            assert (await browser.fetch("GET", "/api/x")).status == 200
            api.revoked.add(upstream.received[0].values(b"authorization")[0])
            upstream.received.clear()
            yield stack, browser, upstream


@pytest.mark.rule("PX-18")
async def test_a_revoked_token_is_replaced_and_the_call_sent_again() -> None:
    async with an_api_that_revokes(Revoking()) as (stack, browser, upstream):
        answer = await browser.fetch("GET", "/api/x?y=1")
        assert (answer.status, answer.body) == (200, b"ok")
        first, second = upstream.received
        assert first.request_line == second.request_line
        assert first.values(b"authorization") != second.values(b"authorization")
        assert stack.op.refreshes == 1
        assert (await browser.fetch("GET", "/api/x")).status == 200
        assert (len(upstream.received), stack.op.refreshes) == (3, 1)


@pytest.mark.rule("PX-18")
async def test_a_small_body_is_sent_again_too() -> None:
    async with an_api_that_revokes(Revoking()) as (_, browser, upstream):
        answer = await browser.fetch("POST", "/api/x", data=b"body")
        assert answer.status == 200
        assert [request.body for request in upstream.received] == [b"body", b"body"]


@pytest.mark.rule("PX-18")
async def test_a_body_that_was_not_kept_is_not_sent_again() -> None:
    async with an_api_that_revokes(Revoking()) as (stack, browser, upstream):
        answer = await browser.fetch("POST", "/api/x", data=b"x" * 200_000)
        assert (answer.status, answer.body) == (401, b"refused")
        assert (len(upstream.received), stack.op.refreshes) == (1, 0)


@pytest.mark.rule("PX-18")
async def test_an_api_that_refuses_everything_is_asked_twice_and_the_op_once() -> None:
    api = Revoking()
    async with an_api_that_revokes(api) as (stack, browser, upstream):
        api.revoked.add(b"*")
        for calls in (2, 3, 4):
            answer = await browser.fetch("GET", "/api/x")
            assert (answer.status, answer.body) == (401, b"refused")
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert (len(upstream.received), stack.op.refreshes) == (calls, 1)
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("PX-18")
@pytest.mark.parametrize("error", [b"insufficient_scope", b"insufficient_user_authentication"])
async def test_a_refusal_of_something_else_passes_at_once(error: bytes) -> None:
    refusal = REFUSED.replace(b"invalid_token", error)
    async with an_api_that_revokes(Revoking(refusal)) as (stack, browser, upstream):
        assert (await browser.fetch("GET", "/api/x")).status == 401
        assert (len(upstream.received), stack.op.refreshes) == (1, 0)


async def test_a_route_can_do_without() -> None:
    async with an_api_that_revokes(Revoking(), "retry_unauthorized = false") as found:
        stack, browser, upstream = found
        assert (await browser.fetch("GET", "/api/x")).status == 401
        assert (len(upstream.received), stack.op.refreshes) == (1, 0)


async def test_an_op_that_is_down_leaves_the_answer_as_it_is() -> None:
    async with an_api_that_revokes(Revoking()) as (stack, browser, _):
        await stack.op_server.stop()
        answer = await browser.fetch("GET", "/api/x")
        assert (answer.status, answer.body) == (401, b"refused")
        await stack.op_server.start()
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("TK-08")
async def test_a_grant_that_is_gone_as_well_ends_the_session() -> None:
    async with an_api_that_revokes(Revoking()) as (stack, browser, _):
        stack.revoke_all_grants()
        answer = await browser.fetch("GET", "/api/x")
        assert (answer.status, answer.json()["code"]) == (401, "session_ended")
        assert (await browser.fetch("GET", "/bff/user")).status == 401


async def test_many_calls_that_are_refused_at_once_share_one_new_token() -> None:
    async with an_api_that_revokes(Revoking()) as (stack, browser, _):
        answers = await asyncio.gather(*(browser.fetch("GET", "/api/x") for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert (stack.op.refreshes, stack.op.reuse_detected) == (1, 0)


async def test_a_long_refusal_comes_whole() -> None:
    body = b"x" * 500_000
    refusal = INVALID_TOKEN + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with an_api_that_revokes(Revoking(refusal)) as (stack, browser, _):
        await stack.op_server.stop()
        answer = await browser.fetch("GET", "/api/x")
        assert (answer.status, answer.body) == (401, body)


@pytest.mark.rule("PX-18")
@pytest.mark.parametrize("when", ["while the refresh runs", "after it"])
async def test_a_token_that_a_refresh_replaces_on_the_way_is_no_refusal(when: str) -> None:
    """Some OPs revoke the old access token when they refresh: a call that went out with it just
    before is sent again with the new one, however young the old one was."""
    clock, revoked, answered = ManualClock(), asyncio.Event(), asyncio.Event()
    comes_late = when == "while the refresh runs"

    async def hold(request: web.Request, _response: web.StreamResponse) -> None:
        if (await request.post()).get("grant_type") == "refresh_token":
            revoked.set()
            if comes_late:
                await answered.wait()

    async def api(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if request is not upstream.received[0]:
            writer.write(OK)
            return
        await revoked.wait()
        if not comes_late:
            await until(lambda: len(bearers()) == 2)  # another tab's call has the new token
        writer.write(REFUSED)
        answered.set()

    def bearers() -> set[bytes]:
        return {request.values(b"authorization")[0] for request in upstream.received}

    async with raw_upstream() as upstream:
        upstream.responder = api
        routes = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{upstream.port}/"
"""
        async with (
            running_stack(
                clock=clock,
                access_token_seconds=20,
                routes=routes,
                prepare_op=lambda op: op.on_response_prepare.append(hold),
            ) as stack,
            Browser() as browser,
        ):
            await log_in(browser, stack)
            clock.advance(19)  # due, not expired: the call goes on and a refresh begins
            call = asyncio.create_task(browser.fetch("GET", "/api/x"))
            await revoked.wait()
            while not comes_late and len(bearers()) < 2:
                await browser.fetch("GET", "/api/other")
            assert (await call).body == b"ok"
            assert stack.op.refreshes == 1
