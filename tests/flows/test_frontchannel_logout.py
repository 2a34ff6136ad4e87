"""Front-channel logout: a frame on the OP's logout page, which no cookie of ours reaches."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import aiohttp
import pytest

from tests.flows.logins import log_in
from tests.flows.op_logouts import active_grants, is_logged_in, log_in_twice, sids
from tests.parts.browser import Browser
from tests.parts.stack import Stack, running_stack
from tests.polling import until

ENABLED = "frontchannel_logout = true"
ONLINE = "openid profile email api:read"


async def frame(
    stack: Stack, query: str | Mapping[str, str], method: str = "GET", path: str = ""
) -> tuple[int, Mapping[str, str], str]:
    """What Chromium gets for a frame in a page of the OP; it sends no `SameSite=Strict` cookie."""
    text = query if isinstance(query, str) else urlencode(query)
    headers = {
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "Referer": f"{stack.issuer}/",
        "Sec-Fetch-Dest": "iframe",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "cross-site",
    }
    url = f"{stack.public_url}{path or '/bff/frontchannel-logout'}?{text}"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, headers=headers) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


@pytest.mark.rule("LO-16")
async def test_a_frame_with_iss_and_sid_ends_that_op_session_only() -> None:
    """Section 3; by `sid`, and not by a cookie."""
    async with (
        running_stack(oidc=ENABLED) as stack,
        Browser() as desk,
        Browser() as phone,
        Browser() as bobs,
    ):
        first, second = await log_in_twice(desk, stack, "alice")
        await log_in(phone, stack, "alice")
        await log_in(bobs, stack, "bob")
        named = {"iss": stack.issuer, "sid": sids(stack, "alice")[0]}
        status, headers, page = await frame(stack, named)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in headers
        assert not await is_logged_in(desk, stack, first)
        assert not await is_logged_in(desk, stack, second)
        assert await is_logged_in(phone, stack)
        assert await is_logged_in(bobs, stack)
        again = await frame(stack, named)
        assert (again[0], again[2]) == (200, page)  # nothing tells whether there was a session
        assert "alice" not in page
        assert named["sid"] not in page


@pytest.mark.rule("LO-16")
async def test_an_op_that_sends_no_iss_needs_a_setting() -> None:
    """Entra ID. Another issuer's name is still refused."""
    relaxed = f"{ENABLED}\nallow_frontchannel_logout_without_iss = true"
    async with running_stack(oidc=relaxed) as stack, Browser() as browser:
        await log_in(browser, stack)
        (sid,) = sids(stack, "alice")
        for refused in ("", "iss=https%3A%2F%2Fevil.example&", "sid=x&"):
            query = f"{refused}sid={sid}" if refused else f"x={sid}"
            assert (await frame(stack, query))[0] == 400, query
        assert await is_logged_in(browser, stack)
        assert (await frame(stack, {"sid": sid}))[0] == 200
        assert not await is_logged_in(browser, stack)


@pytest.mark.rule("LO-16")
async def test_iss_and_sid_are_both_needed_and_right() -> None:
    async with running_stack(oidc=ENABLED) as stack, Browser() as browser:
        await log_in(browser, stack)
        iss, sid = quote(stack.issuer, safe=""), sids(stack, "alice")[0]
        for query in (
            "",
            f"sid={sid}",
            f"iss={iss}",
            f"iss={iss}&sid=",
            f"iss=&sid={sid}",
            f"iss={iss}%2F&sid={sid}",
            f"iss=https%3A%2F%2Fevil.example&sid={sid}",
            f"iss={iss}&sid={sid}&sid={sid}",
            f"iss={iss}&iss={iss}&sid={sid}",
        ):
            status, headers, text = await frame(stack, query)
            assert status == 400, query
            assert headers["Cache-Control"] == "no-store"
            assert sid not in text
        for unknown in ("unknown", sid.upper() + "x", "ü", "*"):
            assert (await frame(stack, {"iss": stack.issuer, "sid": unknown}))[0] == 200
        assert await is_logged_in(browser, stack)


@pytest.mark.rule("LO-16")
async def test_only_the_op_may_frame_and_only_this_path() -> None:
    async with running_stack(oidc=ENABLED) as stack:
        status, headers, _ = await frame(stack, {"iss": stack.issuer, "sid": "x"})
        assert status == 200
        policy = headers["Content-Security-Policy"].split("; ")
        assert [rule for rule in policy if rule.startswith("frame-ancestors")] == [
            f"frame-ancestors {stack.issuer}"
        ]
        assert "default-src 'none'" in policy
        assert "X-Frame-Options" not in headers
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        for path in ("/bff/frontchannel-logout", "/bff/user", "/bff/login", "/bff/none", "/"):
            _, headers, _ = await frame(stack, "", path=path)
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path


@pytest.mark.rule("LO-16")
async def test_it_does_not_exist_unless_it_is_wanted() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        named = {"iss": stack.issuer, "sid": sids(stack, "alice")[0]}
        assert (await frame(stack, named))[0] == 404
        assert await is_logged_in(browser, stack)


async def test_it_is_a_get_and_nothing_else() -> None:
    async with running_stack(oidc=ENABLED) as stack, Browser() as browser:
        await log_in(browser, stack)
        named = {"iss": stack.issuer, "sid": sids(stack, "alice")[0]}
        for method in ("HEAD", "POST", "DELETE", "OPTIONS"):
            assert (await frame(stack, named, method))[0] == 405
        assert await is_logged_in(browser, stack)


async def test_it_leaves_the_tokens_to_the_op() -> None:
    """Its request can be forged by anything that has seen the `sid`: it ends sessions, and no
    grants."""
    async with running_stack(oidc=ENABLED, scope=ONLINE) as stack, Browser() as browser:
        await log_in(browser, stack)
        named = {"iss": stack.issuer, "sid": sids(stack, "alice")[0]}
        assert (await frame(stack, named))[0] == 200
        async with aiohttp.ClientSession() as http:

            async def is_counted() -> bool:
                async with http.get(f"{stack.admin_url}/metrics") as answer:
                    labels = 'channel="frontchannel_logout",outcome="ended"'
                    return f"bff_op_logouts_total{{{labels}}} 1.0" in await answer.text()

            await until(is_counted)
    assert (active_grants(stack), stack.op.revocations) == (1, 0)
