"""All the gateway answers by itself: uncached, typed, and harmless to ask for."""

import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer, own_redis
from tests.parts.stack import running_stack

__all__ = ["own_redis"]

PATHS = [
    "/bff/login",
    "/bff/callback",
    "/bff/callback?code=c&state=s",
    "/bff/callback?error=access_denied&state=s",
    "/bff/resume",
    "/bff/user",
    "/bff/user?slide=false",
    "/bff/logout",
    "/bff/logout?sid=x",
    "/bff/backchannel-logout",
    "/bff/frontchannel-logout?iss=x&sid=y",
    "/bff/sessions",
    "/bff/sessions/x",
    "/bff/arrival",
    "/bff/events?x",
    "/bff/nothing",
    "/bff/",
    "/api/nothing?logout=1",
]
JSON = ("application/json", "application/problem+json")
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]


POLICY = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"}


@pytest.mark.rule("HD-02")
@pytest.mark.rule("HD-03")
@pytest.mark.rule("CVE-2025-48947")
async def test_every_answer_below_our_prefix_is_uncached_typed_and_closed_in() -> None:
    """And so is whatever sets a cookie (RFC 9111 section 5.2); no page of ours can be framed, loads
    anything, or tells where the browser came from."""
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        seen = []
        for is_logged_in in (False, True):
            if is_logged_in:
                end = await log_in(browser, stack)
                seen += [hop for hop in end.hops if "/bff/" in hop.url]
            for path in PATHS:
                if path.startswith("/bff/") and "events" not in path:
                    seen += [await browser.fetch(method, path) for method in METHODS[:4]]
                    seen.append(await browser.navigate(path, follow=False))
                    await browser.navigate(stack.public_url)
        statuses = {page.status for page in seen}
        assert statuses >= {200, 302, 303, 400, 401, 403, 404, 405}
        assert any("Set-Cookie" in page.headers for page in seen)
        for page in seen:
            assert page.headers["Cache-Control"] == "no-store", page
            assert page.headers["X-Content-Type-Options"] == "nosniff", page
            assert set(page.headers["Content-Security-Policy"].split("; ")) >= POLICY, page
            assert page.headers["Referrer-Policy"] == "no-referrer", page
            assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin", page
            assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin", page
            if page.body:
                kind = page.headers["Content-Type"]
                first = page.body[:1]
                assert (first == b"<") == kind.startswith("text/html"), page
                assert (first == b"{") == kind.startswith(JSON), page


@pytest.mark.rule("CS-10")
async def test_asking_changes_nothing(own_redis: RedisServer) -> None:
    """GET, HEAD, OPTIONS and TRACE leave the store as it was, but for a login that begins,
    and for the count of those that fail (RFC 9110 section 9.2.1)."""
    async with (
        running_stack(store=own_redis.url, clock=ManualClock()) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/api/me")).status == 200

        before = own_redis.records()
        assert before
        for path in PATHS:
            if path.startswith(("/bff/login", "/bff/resume", "/bff/events")):
                continue
            for method in ("GET", "HEAD", "OPTIONS", "TRACE"):
                for csrf in (True, False):
                    await browser.fetch(method, path, csrf=csrf)
            assert own_redis.records() == before, path
        for method in ("HEAD", "OPTIONS", "TRACE", "PROPFIND"):
            for path in ("/bff/login", "/bff/resume", "/bff/logout", "/bff/user", "/bff/events"):
                assert (await browser.fetch(method, path)).status == 405, (method, path)
        assert own_redis.records() == before
        assert (await browser.fetch("GET", "/bff/user")).status == 200
        assert stack.op.revocations == 0


@pytest.mark.rule("CVE-2021-29456")
@pytest.mark.rule("AZ-12")
async def test_a_logout_takes_no_target_from_the_request() -> None:
    evil = "//evil.example"
    names = ("returnUrl", "return_to", "rd", "redirect", "post_logout_redirect_uri", "state")
    query = "&".join(f"{name}={evil}" for name in names)
    async with running_stack() as stack, Browser() as browser:
        for _ in range(2):  # logged in, and not
            await log_in(browser, stack)
            url = (await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
            asked = await browser.fetch("POST", f"/bff/logout?{query}")
            assert asked.json()["redirect"].startswith(f"{stack.issuer}/")
            assert "evil" not in asked.text
            for target in (f"{url}&{query}", f"/bff/logout?{query}"):
                gone = await browser.navigate(target, follow=False)
                assert (gone.status, gone.location) == (303, "/")
