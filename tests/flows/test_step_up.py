"""Step-up authentication from the refused call to the one that passes, at the demo OP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack
from tests.polling import until

WEAK, STRONG = "urn:demo:acr:password", "urn:demo:acr:strong"
GUARDED = f'require_acr = ["{STRONG}"]\nmax_auth_age = "5m"\ncsrf = "same-origin"'


@asynccontextmanager
async def an_installation(
    *, server: str = "", extra: str = ""
) -> AsyncIterator[tuple[Stack, Browser, RawUpstream]]:
    """With a route that wants nothing of the login and one that does, and a user at work."""
    async with raw_upstream() as upstream:
        routes = "".join(
            f'[[routes]]\npath = "{path}"\nupstream = "http://127.0.0.1:{upstream.port}/"\n{keys}\n'
            for path, keys in (("/api/", ""), ("/vault/", GUARDED))
        )
        oidc = f'acr_order = ["{WEAK}", "{STRONG}"]'
        async with (
            running_stack(
                clock=ManualClock(), oidc=oidc, routes=routes, server=server, extra=extra
            ) as stack,
            Browser() as browser,
        ):
            await log_in(browser, stack)
            yield stack, browser, upstream


@pytest.mark.rule("ID-18")
@pytest.mark.rule("SE-02")
async def test_a_user_steps_up_and_the_call_is_sent_again(tmp_path: Path) -> None:
    """Back on the same page, in the same list of devices, and the audit log says what it was."""
    file = tmp_path / "audit.jsonl"
    extra = f'\n[audit]\nsinks = ["file:{file}"]'
    async with an_installation(extra=extra) as (stack, browser, upstream):
        assert (await browser.fetch("GET", "/api/x")).status == 200
        refused = await browser.fetch("POST", "/vault/x", data=b"pay")
        assert (refused.status, refused.json()["acr_values"]) == (401, STRONG)
        assert len(upstream.received) == 1
        query = urlencode({"returnUrl": "/session?draft=1"})
        begun = f"{stack.public_url}{refused.json()['login_url']}&{query}"
        page = await browser.log_in_at_op(await browser.navigate(begun), "alice")
        assert page.url == f"{stack.public_url}/session?draft=1"
        assert (await browser.fetch("POST", "/vault/x", data=b"pay")).status == 200
        assert (await browser.fetch("GET", "/bff/user")).json()["bff"]["acr"] == STRONG
        assert len((await browser.fetch("GET", "/bff/sessions")).json()["sessions"]) == 1

        def told() -> list[tuple[str, str | None]]:
            records = map(json.loads, file.read_text().splitlines())
            return [(one["event"], one["reason"]) for one in records][1:]

        await until(lambda: len(told()) == 5)
        assert told() == [
            ("login_begun", None),
            ("login_succeeded", None),
            ("login_begun", "step_up"),
            ("session_ended", "replaced"),
            ("login_succeeded", "step_up"),
        ]


async def test_a_person_gets_a_page_with_a_link_to_the_login() -> None:
    async with an_installation() as (stack, browser, _):
        page = await browser.click(f"{stack.public_url}/vault/x")
        assert page.status == 401
        assert "step_up_required" in page.text
        query = urlencode({"acr_values": STRONG, "max_age": 300}).replace("&", "&amp;")
        assert f'href="/bff/login?{query}"' in page.text


@pytest.mark.rule("ID-18")
async def test_a_proxy_that_asks_is_told_the_same() -> None:
    """And gets no token to copy."""
    auth = free_port()
    server = f'auth_listen = "127.0.0.1:{auth}"\ntrusted_proxies = ["127.0.0.1/32"]'
    async with (
        an_installation(server=server) as (stack, browser, _),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as proxy,
    ):
        headers = {
            "Host": stack.public_url.partition("://")[2],
            "Cookie": f"bff={browser.cookies.get('bff')}",
            "X-CSRF": "1",
            "Sec-Fetch-Site": "same-origin",
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Uri": "/vault/x",
        }
        async with proxy.get(f"http://127.0.0.1:{auth}/bff/auth", headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "step_up_required")
            assert "Authorization" not in answer.headers


@pytest.mark.rule("PX-22")
async def test_an_api_asks_for_it_by_itself() -> None:
    """The demo's vault: its own challenge becomes the gateway's answer, and the login is enough."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        refused = await browser.fetch("GET", "/api/vault")
        assert (refused.status, refused.json()["code"]) == (401, "step_up_required")
        assert "WWW-Authenticate" not in refused.headers
        assert stack.op.refreshes == 0
        page = await browser.navigate(f"{stack.public_url}{refused.json()['login_url']}")
        await browser.log_in_at_op(page, "alice")
        opened = await browser.fetch("GET", "/api/vault")
        assert (opened.status, opened.json()["sub"]) == (200, "alice")
