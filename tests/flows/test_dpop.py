"""Access tokens that are bound to a key of the gateway (RFC 9449), from the login to the API. The
demo's OP and API judge each proof: its signature, method, address, age, `ath`, nonce and key, and
that it serves once.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bff.clock import ManualClock
from spa_demo.api.settings import ApiSettings
from tests.flows.logins import log_in
from tests.flows.test_check import check
from tests.flows.test_cli import FAILED
from tests.flows.test_forward_auth import TRUSTED, Asker
from tests.parts.browser import Browser
from tests.parts.demo_servers import running_api
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack

BOUND = "dpop = true"
ROUTE = """
[[routes]]
path = "/bound/"
upstream = "http://127.0.0.1:{port}/"
{more}
"""
OTHER_API = "urn:demo:other"


@asynccontextmanager
async def bound(
    *,
    op: dict[str, Any] | None = None,
    nonces: bool = False,
    clock: ManualClock | None = None,
    more: str = "",
    audience: str = "urn:demo:api",
    **options: Any,
) -> AsyncIterator[Stack]:
    """The demo, with an API at `/bound/` that takes bound tokens only; `nonces`: the OP and that
    API want them in proofs. `more` are further lines of its route."""
    clock = clock or ManualClock()
    op = {
        "dpop": "required",
        "dpop_nonces": nonces,
        "resources": frozenset({OTHER_API}),
        **(op or {}),
    }
    port = free_port()
    options = {"oidc": BOUND, "routes": ROUTE.format(port=port, more=more), **options}
    async with running_stack(op=op, clock=clock, **options) as stack:
        settings = ApiSettings(stack.issuer, audience, requires_dpop=True, dpop_nonces=nonces)
        async with running_api(settings, clock, port=port):
            yield stack


@pytest.mark.rule("FP-04")
@pytest.mark.rule("FP-05")
@pytest.mark.rule("FP-09")
@pytest.mark.parametrize("par", ["off", "required"])
async def test_a_login_its_calls_and_its_refresh_go_by_one_key(par: str) -> None:
    """The demo OP takes the code and the refresh token of no other key."""
    clock = ManualClock()
    async with bound(clock=clock, op={"par": par}) as stack, Browser() as browser:
        await log_in(browser, stack)
        for _ in range(3):
            assert (await browser.fetch("GET", "/bound/me?x=1")).status == 200
        clock.advance(61)
        assert (await browser.fetch("GET", "/bound/me")).status == 200
        assert (stack.op.refreshes, stack.op.token_errors.total()) == (1, 0)


@pytest.mark.rule("FP-06")
@pytest.mark.rule("FP-07")
@pytest.mark.rule("FP-08")
async def test_nonces_of_the_op_and_of_an_api_are_learnt_by_one_retry() -> None:
    """Both change them with every answer. UserInfo is a resource server with nonces of its own."""
    clock = ManualClock()
    oidc = f"{BOUND}\nuserinfo = true"
    async with bound(clock=clock, nonces=True, oidc=oidc) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert stack.op.token_errors == {"use_dpop_nonce": 1}
        note = await browser.fetch("POST", "/bound/notes", json={"text": "once"})
        assert note.status == 201
        assert "DPoP-Nonce" not in note.headers
        notes = (await browser.fetch("GET", "/bound/notes")).json()["notes"]
        assert [one["text"] for one in notes] == ["once"]
        clock.advance(61)
        assert (await browser.fetch("GET", "/bound/me")).status == 200
        assert stack.op.refreshes == 1
        assert stack.op.token_errors == {"use_dpop_nonce": 1}


@pytest.mark.rule("FP-09")
async def test_another_process_goes_on_with_the_key_of_the_session(own_redis: RedisServer) -> None:
    """It lies in the store, sealed."""
    clock = ManualClock()
    async with bound(clock=clock, store=own_redis.url) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/bound/me")).status == 200
        for record in own_redis.records().values():
            assert b"P-256" not in record
            assert b'"d"' not in record
        async with stack.restarted():
            assert (await browser.fetch("GET", "/bound/me")).status == 200
            clock.advance(61)
            assert (await browser.fetch("GET", "/bound/me")).status == 200
            assert (stack.op.refreshes, stack.op.token_errors.total()) == (1, 0)


@pytest.mark.rule("FP-09")
async def test_a_token_of_one_api_is_stored_with_its_key(own_redis: RedisServer) -> None:
    lines = f'resource = "{OTHER_API}"'
    async with (
        bound(more=lines, audience=OTHER_API, store=own_redis.url) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/bound/me")).status == 200
        async with stack.restarted():
            assert (await browser.fetch("GET", "/bound/me")).status == 200
            assert stack.op.refreshes == 1


@pytest.mark.rule("FP-05")
async def test_a_session_from_before_gets_its_key_with_its_next_refresh(
    own_redis: RedisServer,
) -> None:
    """And keeps it when new tokens are to be bound no more."""
    clock = ManualClock()
    off = "dpop = false"
    async with (
        bound(clock=clock, store=own_redis.url, op={"dpop": "offered"}, oidc=off) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/bound/me")).status == 401
        async with stack.restarted((off, BOUND)):
            assert (await browser.fetch("GET", "/bff/user")).status == 200
            clock.advance(61)
            assert (await browser.fetch("GET", "/bound/me")).status == 200
        async with stack.restarted():
            assert (await browser.fetch("GET", "/bound/me")).status == 200
            clock.advance(61)
            assert (await browser.fetch("GET", "/bound/me")).status == 200
            assert stack.op.refreshes == 2


@pytest.mark.rule("FP-05")
async def test_no_proxy_that_asks_is_handed_a_bound_token(own_redis: RedisServer) -> None:
    """It can't prove it. A session from before has one; a new login gives a bearer token."""
    listen = f"127.0.0.1:{free_port()}"
    proxy = ("[server]\n", f'[server]\nauth_listen = "{listen}"\n{TRUSTED}\n')
    async with (
        bound(store=own_redis.url, op={"dpop": "offered"}) as stack,
        Browser() as browser,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        await log_in(browser, stack)
        async with stack.restarted((BOUND, "dpop = false"), proxy):
            asker = Asker(stack, browser, http, f"http://{listen}/bff/auth")
            refused = await asker.ask("/bound/me")
            assert (refused.status, "Authorization" in refused.headers) == (401, False)
            problem = json.loads(refused.body)
            assert (problem["code"], problem["login_url"]) == ("token_bound", "/bff/login")
            assert (await browser.fetch("GET", "/bound/me")).status == 200
            await log_in(browser, stack)
            said = await asker.ask("/bound/me")
            assert (said.status, said.headers["Authorization"][:7]) == (204, "Bearer ")


@pytest.mark.rule("FP-05")
@pytest.mark.parametrize(
    "lines",
    [
        f'resource = "{OTHER_API}"',
        f'token = "exchange"\naudience = "{OTHER_API}"\nscope = "api:read"',
        f'token = "client"\nresource = "{OTHER_API}"\nscope = "api:read"',
    ],
    ids=["resource", "exchange", "client"],
)
async def test_tokens_of_single_apis_are_bound_as_well(lines: str) -> None:
    async with bound(more=lines, audience=OTHER_API, nonces=True) as stack, Browser() as browser:
        await log_in(browser, stack)
        for _ in range(3):
            assert (await browser.fetch("GET", "/bound/notes")).status == 200


@pytest.mark.rule("FP-05")
async def test_an_op_that_does_not_bind_tokens_lets_no_user_in() -> None:
    """A bearer token is none of those that were asked for."""
    async with bound(op={"dpop": "off"}) as stack, Browser() as browser:
        assert (await log_in(browser, stack)).status == 503
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.parametrize(
    ("oidc", "op_dpop", "said"),
    [
        (BOUND, "offered", "✓ OP            binds access tokens to a key of each session"),
        (BOUND, "off", "! OP            lists no dpop_signing_alg_values_supported"),
        ("", "offered", "✓ OP            can bind access tokens to a key"),
    ],
)
async def test_the_check_says_whether_the_op_binds_tokens(
    tmp_path: Path, oidc: str, op_dpop: str, said: str
) -> None:
    async with bound(oidc=oidc, op={"dpop": op_dpop}) as stack:
        listen = f'listen = "127.0.0.1:{stack.ports.gateway}"'
        text = stack.toml.replace(listen, f'listen = "127.0.0.1:{free_port()}"', 1)
        (tmp_path / "bff.toml").write_text(text)
        result = await check(tmp_path / "bff.toml")
    assert any(line.startswith(said) for line in result.out.splitlines()), result.out
    assert (result.code == FAILED) == ("✗" in result.out)
