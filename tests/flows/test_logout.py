"""Logout: here first, then at the OP; never by another site's page."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from structlog.testing import capture_logs

from bff.app import Gateway
from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.configuration import CLIENT_ID
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.polling import HANG_SECONDS, until
from tests.wire.client import wired


@pytest.mark.rule("LO-02")
@pytest.mark.rule("TK-14")
async def test_a_fetch_logs_out_and_is_told_where_to_go() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        old = browser.cookies.get("bff")
        answer = await browser.fetch("POST", "/bff/logout")
        assert answer.status == 200
        assert browser.cookies.get("bff") is None
        url = urlsplit(answer.json()["redirect"])
        sent = dict(parse_qsl(url.query))
        assert f"{url.scheme}://{url.netloc}" == stack.issuer
        assert sent["client_id"] == CLIENT_ID
        assert sent["post_logout_redirect_uri"] == f"{stack.public_url}/"
        assert sent["state"]
        assert "id_token_hint" not in sent  # a script can read this answer
        replayed = await browser.fetch("GET", "/api/me", headers={"Cookie": f"bff={old}"})
        assert replayed.status == 401
        await until(lambda: stack.op.revocations >= 1)


@pytest.mark.parametrize("query", ["", "?sid=wrong&sid=again"])
async def test_a_fetch_with_a_form_and_the_header_needs_no_sid(query: str) -> None:
    """The header is the proof; only a form of a page, which has none, says the `sid`."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        answer = await browser.fetch("POST", f"/bff/logout{query}", data="x=1", headers=form)
        assert answer.status == 200
        assert answer.json()["redirect"].startswith(stack.issuer)
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("CK-08")
async def test_the_log_tells_of_it_and_the_cookie_is_deleted_with_its_attributes() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        with capture_logs() as logs:
            answer = await browser.fetch("POST", "/bff/logout")
        [told] = [entry for entry in logs if entry["event"] == "logout"]
        assert (told["sub"], told["provider"]) == ("alice", "default")
        assert told["request_id"] == answer.headers["X-Request-ID"]
        deletion = answer.headers["Set-Cookie"]
        assert deletion == "bff=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"


async def test_the_logout_url_logs_out_by_navigation_and_ends_at_the_application() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        url = (await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
        assert [name for name, _ in parse_qsl(urlsplit(url).query)] == ["sid"]
        end = await browser.click(url)
        assert end.hops[0].status == 303
        sent = dict(parse_qsl(urlsplit(end.hops[0].location or "").query))
        assert sent["id_token_hint"].count(".") == 2
        assert urlsplit(end.url)._replace(query="").geturl() == f"{stack.public_url}/"
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("CS-06")
@pytest.mark.parametrize("query", ["", "?sid=", "?sid=wrong", "?sid=a&sid=b", "?x=1"])
async def test_a_link_without_the_session_s_own_sid_does_not_log_out(query: str) -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        answer = await browser.click(f"/bff/logout{query}")
        assert answer.status in (400, 403)
        assert not answer.headers.getall("Set-Cookie", [])
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("CS-06")
async def test_the_sid_of_one_session_does_not_end_another() -> None:
    async with running_stack() as stack, Browser() as alice, Browser() as bob:
        await log_in(alice, stack)
        await log_in(bob, stack, "bob")
        url = (await bob.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
        assert (await alice.click(url)).status == 403
        assert (await alice.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("CS-06")
async def test_a_cross_site_navigation_to_logout_changes_nothing() -> None:
    """It carries no Strict cookie, so there must be no deletion in the answer either."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        answer = await browser.navigate(
            f"{stack.public_url}/bff/logout", initiator="https://evil.example", follow=False
        )
        assert answer.status == 303
        assert not answer.headers.getall("Set-Cookie", [])
        await browser.navigate(stack.public_url)
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("CS-06")
async def test_a_post_without_the_header_does_not_log_out() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("POST", "/bff/logout", csrf=False)).status == 403
        assert (await browser.fetch("GET", "/bff/user")).status == 200


def require_the_op_is_asked(stack: Stack, url: str) -> None:
    """Without a session there is no ID token to send along."""
    sent = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{stack.issuer}/")
    assert sent["client_id"] == CLIENT_ID
    assert sent["post_logout_redirect_uri"] == f"{stack.public_url}/"
    assert "id_token_hint" not in sent


async def test_logging_out_twice_is_no_error() -> None:
    """With a cookie that is worth nothing any more, and with none: the OP is asked all the same."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        old = browser.cookies.get("bff")
        await browser.fetch("POST", "/bff/logout")
        again = await browser.fetch("POST", "/bff/logout", headers={"Cookie": f"bff={old}"})
        assert again.status == 200
        require_the_op_is_asked(stack, again.json()["redirect"])
        without = await browser.fetch("POST", "/bff/logout")
        assert without.status == 200
        require_the_op_is_asked(stack, without.json()["redirect"])


@pytest.mark.rule("LO-02")
async def test_a_logout_after_the_session_timed_out_goes_on_to_the_op() -> None:
    """The user wants to be logged out, and at the OP still is not: the next one at this machine
    would be let in without a question."""
    clock = ManualClock()
    idle = 'idle_timeout = "10m"'
    async with running_stack(clock=clock, session=idle) as stack, Browser() as browser:
        await log_in(browser, stack)
        url = (await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
        clock.advance(601)
        refused = await browser.click("/bff/logout?sid=wrong", follow=False)
        assert refused.status == 403
        answer = await browser.navigate(f"{stack.public_url}{url}", follow=False)  # by no page
        assert answer.status == 303
        require_the_op_is_asked(stack, answer.location or "")
        assert browser.cookies.get("bff") is None
        again = await browser.click(url, follow=False)  # now without a cookie, by a page of ours
        require_the_op_is_asked(stack, again.location or "")


@pytest.mark.rule("CS-06")
@pytest.mark.parametrize("initiator", [None, "https://evil.example"])
async def test_without_a_cookie_only_a_page_of_ours_sends_on_to_the_op(
    initiator: str | None,
) -> None:
    """A cross-site link never carries the cookie, so it must not be taken for a session that is
    over; what is typed may be a link of a mail."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        browser.cookies.clear()
        answer = await browser.navigate(
            f"{stack.public_url}/bff/logout", initiator=initiator, follow=False
        )
        assert (answer.status, answer.location) == (303, "/")


async def test_the_id_token_hint_can_be_left_out() -> None:
    async with running_stack(oidc="send_id_token_hint = false") as stack, Browser() as browser:
        await log_in(browser, stack)
        url = (await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
        sent_to = (await browser.click(url, follow=False)).location or ""
        assert "id_token_hint" not in sent_to
        assert f"client_id={CLIENT_ID}" in sent_to


@pytest.mark.rule("CS-06")
async def test_a_fetch_of_the_logout_url_gets_nothing_and_ends_nothing() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        url = (await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
        answer = await browser.fetch("GET", url)
        assert (answer.status, answer.location) == (403, None)
        assert answer.json()["code"] == "navigation_required"
        assert (await browser.fetch("GET", "/bff/user")).status == 200


async def test_revocation_can_be_left_to_the_op() -> None:
    async with running_stack(oidc="revoke_on_logout = false") as stack, Browser() as browser:
        await log_in(browser, stack)
        await browser.fetch("POST", "/bff/logout")
    assert stack.op.requests.get("/revoke", 0) == 0
    assert stack.op.revocations == 0


@pytest.mark.rule("TK-14")
async def test_a_logout_whose_browser_hangs_up_is_finished(own_redis: RedisServer) -> None:
    """A tab is closed right after it logged out, while the store has not answered yet."""
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        await log_in(browser, stack)
        core = stack.gateway._core
        head = (
            f"POST /bff/logout HTTP/1.1\r\nHost: {urlsplit(stack.public_url).netloc}\r\n"
            f"Cookie: bff={browser.cookies.get('bff')}\r\nX-CSRF: 1\r\nContent-Length: 0\r\n\r\n"
        )
        # Once more where the machine stood still for longer than the store may take.
        while await core.sessions.of_subject(stack.issuer, "alice"):
            own_redis.pause()
            async with wired(stack.ports.gateway) as wire:
                wire.send(head.encode())
                await until(lambda: is_being_served(stack.gateway))
            await until(lambda: not is_being_served(stack.gateway))
            own_redis.resume()
            await core.ender.close(HANG_SECONDS)
        await until(lambda: stack.op.revocations > 0)


def is_being_served(gateway: Gateway) -> bool:
    """Whether an own endpoint is at work."""
    server = gateway._public.context.local._server
    return server is not None and any(one._current_request for one in server.connections)
