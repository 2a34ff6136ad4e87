"""Logins that do not go straight: links from elsewhere, several tabs, callbacks that come twice or
to the wrong browser."""

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.attacker import Attacker
from tests.e2e.installation import SESSION_COOKIE, Installation
from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def follow_link(page: Page, url: str) -> None:
    """As a link on the current page does, so that the browser names its origin as the initiator."""
    async with page.expect_navigation():
        await page.evaluate("(url) => { location.href = url; }", url)


async def keep_callback(visitor: Visitor, installation: Installation) -> str:
    """The callback URL of a login that was stopped right before it."""
    caught: list[str] = []

    async def stop(route: Route) -> None:
        answer = await route.fetch(max_redirects=0)
        caught.append(answer.headers["location"])
        await route.fulfill(status=200, content_type="text/html", body="stopped")

    pattern = f"{installation.issuer}/interaction/*/consent"
    await visitor.context.route(pattern, stop)
    page = await visitor.open("/")
    await visitor.start_login(page)
    await visitor.finish_login(page)
    await expect(page.get_by_text("stopped")).to_be_visible()
    await visitor.context.unroute(pattern)
    (url,) = caught
    assert url.startswith(f"{installation.public_url}/bff/callback?")
    return url


@pytest.mark.rule("CK-03")
async def test_a_link_from_another_site_finds_the_session(
    visitor: Visitor, installation: Installation, attacker: Attacker
) -> None:
    """With a Strict cookie the document comes without it; the SPA's fetches bring it."""
    await visitor.log_in("alice")
    page = await visitor.context.new_page()
    await page.goto(attacker.origins["another site"])
    await follow_link(page, f"{installation.public_url}/session")
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")


@pytest.mark.rule("SE-11")
async def test_a_login_cannot_be_started_by_another_site(
    visitor: Visitor, installation: Installation, attacker: Attacker
) -> None:
    """The link leads to a page of ours with a button: no transaction, no cookie, no OP until the
    person clicks. Then the login works."""
    page = await visitor.context.new_page()
    await page.goto(attacker.origins["another site"])
    await follow_link(page, f"{installation.public_url}/bff/login?returnUrl=/session")
    assert page.url.startswith(f"{installation.public_url}/bff/login")
    (answer,) = await visitor.seen.own_exchanges("/bff/login")
    assert (answer.status, answer.header("set-cookie")) == (403, None)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(f"{installation.issuer}/interaction/**")
    await visitor.finish_login(page)
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")


@pytest.mark.rule("AZ-05")
async def test_logins_of_two_tabs_both_end_well(
    visitor: Visitor, installation: Installation
) -> None:
    """Started in both, finished one after the other: each tab comes back to its own page."""
    first, second = await visitor.open("/session"), await visitor.open("/notes")
    await visitor.start_login(first)
    await visitor.start_login(second)
    await visitor.finish_login(second)
    await expect(second.get_by_test_id("user-sub")).to_have_text("alice")
    await visitor.finish_login(first)
    await expect(first.get_by_test_id("user-sub")).to_have_text("alice")
    assert first.url == f"{installation.public_url}/session"
    assert second.url == f"{installation.public_url}/notes"
    for page in (first, second):
        assert await visitor.fetch_status(page, "/api/notes") == 200


@pytest.mark.rule("SE-02")
async def test_another_login_ends_the_session_before_it(visitor: Visitor) -> None:
    """A second login in a browser that is logged in: a new session id, and the old one is dead."""
    page = await visitor.log_in("alice")
    before = await visitor.session_cookie()
    assert before is not None
    await page.evaluate("() => { location.href = '/bff/login?prompt=login'; }")
    await visitor.finish_login(page, "bob")
    await expect(page.get_by_test_id("user-sub")).to_have_text("bob")
    after = await visitor.session_cookie()
    assert after is not None
    assert after["value"] != before["value"]
    await visitor.put_back(before)
    assert await visitor.fetch_status(page, "/api/notes") == 401


async def test_a_logout_shows_in_the_other_tab(visitor: Visitor) -> None:
    """Its next call finds the session gone: the user's data goes, a banner offers the login."""
    here, there = await visitor.log_in("alice"), await visitor.open("/session")
    await expect(there.get_by_test_id("user-sub")).to_have_text("alice")
    await here.get_by_test_id("logout").click()
    await expect(here.get_by_test_id("login")).to_be_visible()
    await there.bring_to_front()
    # By script: the page may have asked by itself in this moment, and hidden the button.
    await there.get_by_test_id("call-me").evaluate("(button) => button.click()")
    await expect(there.get_by_test_id("problem")).to_contain_text("Your session has ended")
    await expect(there.get_by_test_id("user-name")).to_be_hidden()
    assert "Alice" not in await there.content()
    await there.get_by_test_id("problem-action").click()
    await visitor.finish_login(there)
    await expect(there.get_by_test_id("user-sub")).to_have_text("alice")


@pytest.mark.rule("CS-08")
@pytest.mark.rule("AZ-03")
async def test_another_browser_s_callback_logs_no_user_in(
    visitor: Visitor, other_visitor: Visitor, installation: Installation, attacker: Attacker
) -> None:
    """RFC 9700 section 4.7: `state` belongs to the browser that began. The code is not redeemed."""
    forged = await keep_callback(other_visitor, installation)
    before = await installation.op_stats()
    page = await visitor.context.new_page()
    await page.goto(attacker.origins["another site"])
    await follow_link(page, forged)
    await expect(page.get_by_role("link", name="Back to the application")).to_be_visible()
    assert await visitor.session_cookie() is None
    after = await installation.op_stats()
    assert after["token_requests"] == before["token_requests"]


@pytest.mark.rule("AZ-06")
async def test_a_callback_that_comes_twice_ends_in_the_application(
    visitor: Visitor, installation: Installation
) -> None:
    """A reload, the back button: the code is redeemed once, and the person is still logged in. The
    browser comes from the OP's site, so it is the hop over a page of ours that finds the cookie."""
    callback = await keep_callback(visitor, installation)
    page = await visitor.context.new_page()
    await page.goto(f"{installation.issuer}/account")
    await follow_link(page, callback)
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
    before = await installation.op_stats()
    await page.goto(f"{installation.issuer}/account")
    await follow_link(page, callback)
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
    assert page.url == f"{installation.public_url}/"
    after = await installation.op_stats()
    assert (
        after["token_requests"]["authorization_code"]
        == (before["token_requests"]["authorization_code"])
    )
    (resumed,) = await visitor.seen.own_exchanges("/bff/resume")
    assert f"{SESSION_COOKIE}=" in resumed.sent["cookie"]


@pytest.mark.rule("AZ-09")
async def test_a_login_cancelled_at_the_op_leads_back(
    visitor: Visitor, installation: Installation
) -> None:
    """RFC 6749 section 4.1.2.1: `access_denied` is a page with a way back, and no session."""
    page = await visitor.open("/session")
    await visitor.start_login(page)
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("link", name="Back to the application").click()
    await expect(page.get_by_test_id("login")).to_be_visible()
    assert page.url == f"{installation.public_url}/"
    assert await visitor.session_cookie() is None


@pytest.mark.rule("AZ-12")
async def test_a_login_returns_to_no_other_origin(
    visitor: Visitor, installation: Installation, attacker: Attacker
) -> None:
    """What Chromium makes of a return address is what counts, so Chromium is asked."""
    evil = attacker.origins["a sibling origin"].removeprefix("https://")
    page = await visitor.log_in("alice")
    script = "(to) => { location.href = '/bff/login?' + new URLSearchParams({ returnUrl: to }); }"
    for target in (f"//{evil}/", f"https://{evil}/", f"/\\{evil}/", f"/\t/{evil}/"):
        await page.evaluate(script, target)
        await page.get_by_role("button", name="Allow").click()
        await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
        assert page.url.startswith(f"{installation.public_url}/")
