"""A logout that names the page at which it ends: `session.logout_return_paths`."""

from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from yarl import URL

from bff.clock import ManualClock
from bff.endpoints.browser_cookies import LOGOUT_SECONDS
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_pages import Form, Page
from tests.parts.stack import Stack, running_stack

PAGES = 'logout_return_paths = ["/goodbye", "/shop/left"]'
COOKIE = "bff-logout"


async def logout_url(browser: Browser, **parameters: str) -> str:
    """That of the session, with further parameters."""
    url: str = (await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
    return f"{url}&{urlencode(parameters)}" if parameters else url


async def come_back(browser: Browser, stack: Stack) -> Page:
    """As from the OP's site, where the browser is now; what comes first."""
    back = f"{stack.public_url}/bff/logged-out?state=x"
    return await browser.navigate(back, initiator=stack.issuer, follow=False)


@pytest.mark.rule("LO-02")
@pytest.mark.parametrize("name", ["returnUrl", "return_to"])
@pytest.mark.parametrize("page", ["/goodbye", "/goodbye/now?why=me#top", "/shop/left/"])
async def test_a_logout_ends_at_the_page_that_it_names(page: str, name: str) -> None:
    """The OP gets the one address that is registered there, and nothing of the page."""
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        await log_in(browser, stack)
        end = await browser.click(await logout_url(browser, **{name: page}))
        assert end.hops[-1].location == page
        assert end.status == 200
        sent = urlsplit(end.hops[0].location or "").query
        assert parse_qs(sent)["post_logout_redirect_uri"] == [f"{stack.public_url}/bff/logged-out"]
        assert "goodbye" not in sent
        assert browser.cookies.get(COOKIE) is None
        assert (await browser.fetch("GET", "/bff/user")).status == 401


async def test_a_fetch_names_it_in_its_query() -> None:
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        await log_in(browser, stack)
        answer = await browser.fetch("POST", "/bff/logout?returnUrl=/goodbye")
        asked = await browser.click(answer.json()["redirect"])  # without a hint the OP asks
        end = await browser.submit(asked.form("confirm-logout"), button="yes")
        assert end.url == f"{stack.public_url}/goodbye"


async def test_a_form_names_it_in_its_body() -> None:
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        await log_in(browser, stack)
        sid = parse_qs(urlsplit(await logout_url(browser)).query)["sid"][0]
        fields = (("sid", sid), ("returnUrl", "/goodbye"))
        form = Form(f"{stack.public_url}/bff/logout", "post", "logout", fields, ())
        end = await browser.submit(form)
        assert end.url == f"{stack.public_url}/goodbye"


async def test_the_cookie_is_kept_from_scripts_and_for_a_short_time() -> None:
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        await log_in(browser, stack)
        answer = await browser.click(await logout_url(browser, returnUrl="/goodbye"), follow=False)
        [line] = [
            line for line in answer.headers.getall("Set-Cookie") if line.startswith(f"{COOKIE}=")
        ]
        attributes = f"Path=/; Max-Age={LOGOUT_SECONDS}; HttpOnly; SameSite=Lax"
        assert line.partition("; ")[2] == attributes
        back = await come_back(browser, stack)
        assert (back.status, back.location) == (303, "/goodbye")
        assert back.headers.getall("Set-Cookie") == [
            f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        ]


@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize(
    "page",
    [
        "/",
        "/good",
        "/goodbyes",
        "/shop",
        "/goodbye/../shop",
        "/goodbye/%2e%2e/shop",
        "//evil.example/goodbye",
        "https://evil.example/goodbye",
        "/bff/login",
        "/goodbye\n",
        "/goodbye/" + "a" * 2048,
    ],
)
async def test_any_other_page_is_none(page: str) -> None:
    """The logout itself is as good as without one, and ends where those do."""
    path = 'post_logout_path = "/left"'
    async with running_stack(session=PAGES, oidc=path) as stack, Browser() as browser:
        await log_in(browser, stack)
        end = await browser.click(await logout_url(browser, returnUrl=page))
        assert end.url == f"{stack.public_url}/left"
        assert (await browser.fetch("GET", "/bff/user")).status == 401


async def test_a_page_named_twice_is_refused_before_anything_ends() -> None:
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        await log_in(browser, stack)
        url = await logout_url(browser, returnUrl="/goodbye")
        assert (await browser.click(f"{url}&returnUrl=/shop/left")).status == 400
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize(
    "kept",
    [None, "", "x", "9999999999.L2dvb2RieWU", "9999999999.L2dvb2RieWU." + "A" * 43, "%ff.\xe9"],
    ids=["none", "empty", "garbage", "unsigned", "forged", "bytes"],
)
async def test_a_return_without_a_cookie_of_ours_ends_where_logouts_do(kept: str | None) -> None:
    path = 'post_logout_path = "/left"'
    async with running_stack(session=PAGES, oidc=path) as stack, Browser() as browser:
        headers = {} if kept is None else {"Cookie": f"{COOKIE}={kept}"}
        page = await browser.navigate(
            f"{stack.public_url}/bff/logged-out?returnUrl=/goodbye&state={quote('/goodbye')}",
            headers=headers,
            follow=False,
        )
        assert (page.status, page.location) == (303, "/left")


@pytest.mark.rule("AZ-12")
async def test_what_is_kept_is_good_for_ten_minutes() -> None:
    """Whatever the browser makes of Max-Age; and again as often as it is shown, for it opens
    nothing."""
    clock = ManualClock()
    async with running_stack(session=PAGES, clock=clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        await browser.click(await logout_url(browser, returnUrl="/goodbye"), follow=False)
        kept = {"Cookie": f"{COOKIE}={browser.cookies.get(COOKIE)}"}
        url = f"{stack.public_url}/bff/logged-out"
        for seconds, where in ((0, "/goodbye"), (599, "/goodbye"), (1, "/")):
            clock.advance(seconds)
            page = await browser.navigate(url, headers=kept, follow=False)
            assert page.location == where, seconds


async def test_a_logout_without_a_page_follows_none_of_an_earlier_one() -> None:
    """The user has left the OP's page of the first logout by the back button."""
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        await log_in(browser, stack)
        await browser.click(await logout_url(browser, returnUrl="/goodbye"), follow=False)
        await browser.fetch("POST", "/bff/logout")
        assert (await come_back(browser, stack)).location == "/"


@pytest.mark.rule("CS-06")
@pytest.mark.parametrize("initiator", [None, "https://evil.example"])
async def test_a_link_of_another_site_names_no_page(initiator: str | None) -> None:
    """It ends nothing, and leaves nothing behind for a logout under way."""
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        await log_in(browser, stack)
        browser.cookies.clear()
        answer = await browser.navigate(
            f"{stack.public_url}/bff/logout?returnUrl=/goodbye", initiator=initiator, follow=False
        )
        assert (answer.status, answer.location) == (303, "/")
        assert not answer.headers.getall("Set-Cookie", [])


@pytest.mark.rule("CS-06")
async def test_a_return_is_no_prefetch() -> None:
    """Which would take the page away from the return that the user sees."""
    async with running_stack(session=PAGES) as stack, Browser() as browser:
        page = await browser.navigate(
            f"{stack.public_url}/bff/logged-out",
            headers={"Sec-Purpose": "prefetch"},
            follow=False,
        )
        assert page.status == 403
        assert not page.headers.getall("Set-Cookie", [])


async def test_without_the_setting_no_page_can_be_named() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        url = await logout_url(browser, returnUrl="/goodbye")
        answer = await browser.click(url, follow=False)
        sent = URL(answer.location or "").query
        assert sent["post_logout_redirect_uri"] == f"{stack.public_url}/"
        assert all(COOKIE not in line for line in answer.headers.getall("Set-Cookie"))
        assert (await browser.navigate(f"{stack.public_url}/bff/logged-out")).status == 404
