"""An own endpoint that finds no session takes the dead cookie away, but never one that a login may
be setting at the moment."""

import pytest

from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.stack import Stack, running_stack

DELETION = "bff=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
NULL = 'anonymous = "null"'
ENDPOINTS = [
    ("GET", "/bff/user"),
    ("GET", "/bff/user?slide=false"),
    ("GET", "/bff/events"),
    ("GET", "/bff/sessions"),
    ("DELETE", "/bff/sessions"),
    ("DELETE", "/bff/sessions/x"),
]


async def dead_cookie(browser: Browser, stack: Stack) -> str:
    """Of a session that its user has ended."""
    await log_in(browser, stack)
    old = browser.cookies.get("bff")
    assert (await browser.fetch("POST", "/bff/logout")).status == 200
    return f"bff={old}"


def deletions(answer: Page) -> list[str]:
    return answer.headers.getall("Set-Cookie", [])


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_a_refusal_takes_the_dead_cookie_away(method: str, path: str) -> None:
    async with running_stack() as stack, Browser() as browser:
        dead = await dead_cookie(browser, stack)
        answer = await browser.fetch(method, path, headers={"Cookie": dead})
        assert (answer.status, deletions(answer)) == (401, [DELETION])


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_not_while_a_login_is_open_in_this_browser(method: str, path: str) -> None:
    """This answer could come after the one that sets the new cookie."""
    async with running_stack() as stack, Browser() as browser:
        dead = await dead_cookie(browser, stack)
        answer = await browser.fetch(
            method,
            path,
            headers={"Cookie": f"{dead}; bff-login={browser.cookies.get('bff-login')}"},
        )
        assert (answer.status, deletions(answer)) == (401, [])


async def test_an_answer_of_null_takes_it_away_by_the_same_rule() -> None:
    async with running_stack(extra=NULL) as stack, Browser() as browser:
        dead = await dead_cookie(browser, stack)
        for cookies, deleted in (
            (dead, [DELETION]),
            (f"{dead}; bff-login=x", []),
            ("bff=of-another-replica", []),
            ("theme=dark", []),
        ):
            answer = await browser.fetch("GET", "/bff/user", headers={"Cookie": cookies})
            assert (answer.status, answer.json(), deletions(answer)) == (200, None, deleted)


async def test_what_is_not_known_to_be_dead_stays() -> None:
    """No cookie, one that a replica with other secrets may know, and one that is alive."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        alive = f"bff={browser.cookies.get('bff')}"
        for cookies, status in (
            ("theme=dark", 401),
            ("bff=of-another-replica", 401),
            (f"{alive}; {alive}", 401),
            (alive, 200),
        ):
            answer = await browser.fetch("GET", "/bff/user", headers={"Cookie": cookies})
            assert (answer.status, deletions(answer)) == (status, [])


async def test_another_refusal_leaves_it() -> None:
    """It says nothing of the session."""
    async with running_stack() as stack, Browser() as browser:
        dead = {"Cookie": await dead_cookie(browser, stack)}
        answer = await browser.fetch("GET", "/bff/user?slide=maybe", headers=dead)
        assert (answer.status, deletions(answer)) == (400, [])
        answer = await browser.fetch("GET", "/bff/user", headers=dead, csrf=False)
        assert (answer.status, deletions(answer)) == (403, [])
