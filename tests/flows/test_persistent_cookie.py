"""`session.persistent`: how long a browser keeps the session cookie."""

from urllib.parse import urlsplit

import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_cookies import Cookie, Jar
from tests.parts.browser_pages import Page
from tests.parts.stack import running_stack

LIMITS = 'idle_timeout = "10m"\nabsolute_timeout = "1h"\n'
PERSISTENT = f"{LIMITS}persistent = true"


def cookies_set_by(page: Page) -> list[str]:
    """All that a login has set, on the way to its page."""
    answers = (*page.hops, page)
    ours = [one for one in answers if urlsplit(one.url).hostname == "localhost"]
    return [text for one in ours for text in one.headers.getall("Set-Cookie", [])]


def session_cookie(browser: Browser) -> Cookie | None:
    return next((cookie for cookie in browser.cookies if cookie.name == "bff"), None)


@pytest.mark.rule("CK-10")
@pytest.mark.parametrize("session", [LIMITS, f"{LIMITS}persistent = false"])
async def test_a_browser_forgets_the_session_when_it_is_closed(session: str) -> None:
    async with running_stack(session=session) as stack, Browser() as browser:
        page = await log_in(browser, stack)
        (header,) = [text for text in cookies_set_by(page) if text.startswith("bff=")]
        assert "max-age" not in header.lower()
        assert "expires" not in header.lower()


@pytest.mark.rule("CK-10")
async def test_a_persistent_cookie_is_there_for_as_long_as_the_session_can_live() -> None:
    """Its Max-Age is not the idle limit: no answer to a call would set it anew, and it would be
    gone in the browser while the session lives on."""
    clock = ManualClock()
    async with running_stack(clock=clock, session=PERSISTENT) as stack, Browser() as browser:
        browser.cookies = Jar(clock.now)
        page = await log_in(browser, stack)
        (header,) = [text for text in cookies_set_by(page) if text.startswith("bff=")]
        assert "; Max-Age=3600; " in header
        for _ in range(6):
            clock.advance(590)
            assert (await browser.fetch("GET", "/bff/user")).status == 200
        assert session_cookie(browser) is not None
        clock.advance(61)
        assert session_cookie(browser) is None


@pytest.mark.rule("SE-04")
async def test_the_idle_limit_ends_a_session_whose_cookie_is_still_there() -> None:
    clock = ManualClock()
    async with running_stack(clock=clock, session=PERSISTENT) as stack, Browser() as browser:
        browser.cookies = Jar(clock.now)
        await log_in(browser, stack)
        clock.advance(601)
        assert session_cookie(browser) is not None
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("CK-08")
async def test_a_logout_deletes_a_persistent_cookie() -> None:
    async with running_stack(session=PERSISTENT) as stack, Browser() as browser:
        await log_in(browser, stack)
        answer = await browser.fetch("POST", "/bff/logout")
        assert answer.headers["Set-Cookie"] == "bff=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        assert session_cookie(browser) is None


@pytest.mark.rule("CK-06")
async def test_the_login_cookie_lives_as_long_as_before() -> None:
    async with running_stack(session=PERSISTENT) as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        (header,) = [text for text in cookies_set_by(page) if text.startswith("bff-login=")]
        assert "; Max-Age=600; " in header
