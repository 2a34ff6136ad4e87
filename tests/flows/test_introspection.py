"""Introspection (RFC 7662): a route asks the OP whether an access token still counts, before a call
goes out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.flows.test_check import check
from tests.flows.test_cli import FAILED
from tests.flows.test_metrics import samples
from tests.parts.browser import Browser
from tests.parts.demo_servers import Prepare
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack
from tests.polling import until

CACHE_SECONDS = 10
OLD_SECONDS = 31  # a token that is older may be replaced
JOINED = 'bff_refreshes_avoided_total{by="same_process"}'


def asked(stack: Stack) -> int:
    return stack.op.requests["introspection"]


def refreshes(stack: Stack) -> int:
    return stack.op.token_requests["refresh_token"]


@asynccontextmanager
async def introspecting(
    clock: ManualClock, further: str = "", **more: Any
) -> AsyncIterator[tuple[Stack, Browser, RawUpstream]]:
    """A route that wants to know, and a user who has just logged in."""
    async with raw_upstream() as api:
        routes = f"""[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{api.port}/"
introspect = true
{further}
"""
        async with (
            running_stack(clock=clock, routes=routes, **more) as stack,
            Browser() as browser,
        ):
            await log_in(browser, stack)
            yield stack, browser, api


@dataclass
class Refreshes:
    """What becomes of refreshes at the OP: held back, or refused for want of a service."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    is_down: bool = False
    came: int = 0

    def prepare(self, op: web.Application) -> None:
        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path != "/token":
                return await handler(request)
            if (await request.post()).get("grant_type") == "refresh_token":
                self.came += 1
                if self.is_down:
                    return web.Response(status=503)
                await self.go_on.wait()
            return await handler(request)

        op.middlewares.append(answer)


def answer_nobody(op: web.Application) -> None:
    """The OP's introspection endpoint accepts no client."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/introspect":
            return web.json_response({"error": "invalid_client"}, status=401)
        return await handler(request)

    op.middlewares.append(refuse)


@pytest.mark.rule("TK-23")
async def test_the_op_is_asked_once_for_all_calls_of_a_while() -> None:
    clock = ManualClock()
    async with introspecting(clock) as (stack, browser, _):
        pages = await asyncio.gather(*(browser.fetch("GET", "/api/x") for _ in range(10)))
        assert {page.status for page in pages} == {200}
        assert asked(stack) == 1
        clock.advance(CACHE_SECONDS - 1)
        assert (await browser.fetch("GET", "/api/x")).status == 200
        assert asked(stack) == 1
        clock.advance(1)
        assert (await browser.fetch("GET", "/api/x")).status == 200
        assert asked(stack) == 2


async def test_without_the_option_the_op_is_not_asked() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        stack.running_op.state.revoke_access_tokens()
        assert (await browser.fetch("GET", "/api/notes")).status == 200
        assert asked(stack) == 0


@pytest.mark.rule("TK-23")
async def test_a_dead_token_is_replaced_before_the_call_goes_out() -> None:
    """The new one has just been given, and is not asked about until the answer has grown old."""
    clock = ManualClock()
    async with introspecting(clock) as (stack, browser, api):
        clock.advance(OLD_SECONDS)
        stack.running_op.state.revoke_access_tokens()
        pages = await asyncio.gather(*(browser.fetch("GET", "/api/x") for _ in range(5)))
        assert {page.status for page in pages} == {200}
        assert (asked(stack), refreshes(stack)) == (1, 1)
        assert len({one.values(b"authorization")[0] for one in api.received}) == 1


@pytest.mark.rule("TK-23")
async def test_a_call_that_comes_while_a_dead_token_is_replaced_waits_for_the_new_one() -> None:
    clock, held = ManualClock(), Refreshes()
    async with introspecting(clock, prepare_op=held.prepare) as (stack, browser, api):
        clock.advance(OLD_SECONDS)
        stack.running_op.state.revoke_access_tokens()
        first = asyncio.create_task(browser.fetch("GET", "/api/x"))
        await until(lambda: held.came == 1)
        second = asyncio.create_task(browser.fetch("GET", "/api/x"))

        async def waits_too() -> bool:
            return second.done() or (await samples(stack.admin_url)).get(JOINED) == 1

        await until(waits_too)
        held.go_on.set()
        assert {(await call).status for call in (first, second)} == {200}
        assert (asked(stack), refreshes(stack)) == (1, 1)
        assert len({one.values(b"authorization")[0] for one in api.received}) == 1


@pytest.mark.rule("TK-23")
async def test_a_dead_token_is_replaced_as_soon_as_the_op_gives_another() -> None:
    """What it has said of the dead one still holds then, and is not asked again."""
    clock, trouble = ManualClock(), Refreshes(is_down=True)
    trouble.go_on.set()
    async with introspecting(clock, prepare_op=trouble.prepare) as (stack, browser, api):
        clock.advance(OLD_SECONDS)
        stack.running_op.state.revoke_access_tokens()
        for _ in range(2):
            failed = await browser.fetch("GET", "/api/x")
            assert (failed.status, failed.json()["code"]) == (503, "op_unavailable")
        assert (trouble.came, api.received) == (1, [])
        trouble.is_down = False
        clock.advance(CACHE_SECONDS - 1)
        assert (await browser.fetch("GET", "/api/x")).status == 200
        assert asked(stack) == 1


@pytest.mark.rule("TK-23")
async def test_a_dead_token_that_cannot_be_replaced_goes_nowhere() -> None:
    """It came only just now: an OP that gives dead tokens is not asked for one after another. The
    session stays, and what the OP has said holds for a while."""
    clock = ManualClock()
    async with introspecting(clock) as (stack, browser, api):
        stack.running_op.state.revoke_access_tokens()
        for _ in range(3):
            refused = await browser.fetch("GET", "/api/x")
            assert (refused.status, refused.json()["code"]) == (401, "token_inactive")
            assert refused.json()["login_url"] == "/bff/login"
            assert "Set-Cookie" not in refused.headers
        assert refreshes(stack) == 0
        assert api.received == []
        assert (await browser.fetch("GET", "/bff/user")).status == 200
        clock.advance(OLD_SECONDS)
        assert (await browser.fetch("GET", "/api/x")).status == 200


@pytest.mark.rule("TK-23")
async def test_a_grant_that_is_dead_ends_the_session() -> None:
    clock = ManualClock()
    async with introspecting(clock) as (stack, browser, api):
        clock.advance(OLD_SECONDS)
        stack.revoke_all_grants()
        refused = await browser.fetch("GET", "/api/x")
        assert (refused.status, refused.json()["code"]) == (401, "session_ended")
        assert api.received == []
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("TK-24")
@pytest.mark.parametrize(
    ("further", "status"),
    [("", 503), ('introspect_when_op_down = "allow"', 200)],
    ids=["refuse", "allow"],
)
async def test_while_the_op_is_down_the_route_says_what_happens(further: str, status: int) -> None:
    clock = ManualClock()
    async with introspecting(clock, further) as (stack, browser, _):
        assert (await browser.fetch("GET", "/api/x")).status == 200
        await stack.op_server.stop()
        assert (await browser.fetch("GET", "/api/x")).status == 200  # by what it has said
        clock.advance(CACHE_SECONDS)
        for _ in range(3):
            assert (await browser.fetch("GET", "/api/x")).status == status
        await stack.op_server.start()
        clock.advance(CACHE_SECONDS)
        assert (await browser.fetch("GET", "/api/x")).status == 200


@pytest.mark.rule("TK-24")
async def test_an_op_that_answers_no_questions_of_this_client_is_not_down() -> None:
    """Also not while it is left alone: `allow` opens the gate for an outage only."""
    clock = ManualClock()
    allow = 'introspect_when_op_down = "allow"'
    async with introspecting(clock, allow, prepare_op=answer_nobody) as (_, browser, api):
        for _ in range(3):
            refused = await browser.fetch("GET", "/api/x")
            assert (refused.status, refused.json()["code"]) == (503, "op_client_rejected")
        assert api.received == []


@pytest.mark.rule("TK-23")
async def test_an_exchanged_token_is_asked_about_as_well() -> None:
    clock = ManualClock()
    further = 'token = "exchange"\naudience = "urn:demo:api"'
    op = {"resources": frozenset({"urn:demo:api"})}
    async with introspecting(clock, further, op=op) as (stack, browser, api):
        assert (await browser.fetch("GET", "/api/x")).status == 200
        assert asked(stack) == 1
        clock.advance(OLD_SECONDS)
        stack.running_op.state.revoke_access_tokens()
        refused = await browser.fetch("GET", "/api/x")
        # The login's own token, which would be exchanged, is dead as well.
        assert (refused.status, refused.json()["code"]) == (502, "api_token_refused")
        assert (asked(stack), len(api.received)) == (2, 1)


@pytest.mark.parametrize(
    ("prepare_op", "said", "fails"),
    [(None, "✓ introspection", False), (answer_nobody, "✗ introspection", True)],
)
async def test_the_check_asks_about_a_token_that_was_never_given(
    tmp_path: Path, prepare_op: Prepare | None, said: str, *, fails: bool
) -> None:
    async with introspecting(ManualClock(), prepare_op=prepare_op) as (stack, _, _):
        listen = f'listen = "127.0.0.1:{stack.ports.gateway}"'
        text = stack.toml.replace(listen, f'listen = "127.0.0.1:{free_port()}"', 1)
        (tmp_path / "bff.toml").write_text(text)
        result = await check(tmp_path / "bff.toml")
    assert any(line.startswith(said) for line in result.out.splitlines()), result.out
    assert (result.code == FAILED) == fails
