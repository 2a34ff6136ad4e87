"""What happens to a session shows in every tab of the browser, at once and without a click."""

import pytest
from playwright.async_api import Page, Request, expect

from tests.e2e.visitor import Visitor
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")


class Streams:
    """Counts the event streams a profile has asked for."""

    def __init__(self, visitor: Visitor) -> None:
        self.opened = 0
        visitor.context.on("request", self._on_request)

    def _on_request(self, request: Request) -> None:
        self.opened += request.url.endswith("/bff/events")


async def link_of(page: Page) -> str | None:
    return await page.get_by_test_id("session-live").get_attribute("data-link")


async def links_of(pages: list[Page]) -> list[str]:
    return sorted([str(await link_of(page)) for page in pages])


async def tab_with(pages: list[Page], link: str) -> Page:
    links = [await link_of(page) for page in pages]
    return pages[links.index(link)]


async def open_tabs(visitor: Visitor, count: int) -> list[Page]:
    """Tabs of a user who is logged in, all of them listening, by one stream."""
    tabs = [await visitor.open("/session") for _ in range(count)]

    async def are_listening() -> bool:
        return await links_of(tabs) == ["stream", *["tab"] * (count - 1)]

    await until(are_listening, every=0.1)
    return tabs


async def log_in_and_leave(visitor: Visitor, user: str = "alice") -> None:
    page = await visitor.log_in(user)
    await page.close()


async def expect_ended_at_once(page: Page, why: str) -> None:
    """By news: a page that finds out by itself does not know why."""
    banner = page.get_by_test_id("problem")
    await expect(banner).to_contain_text("Your session has ended")
    await expect(banner).to_contain_text(why)
    await expect(page.get_by_test_id("user-name")).to_be_hidden()


async def test_three_tabs_listen_by_one_stream(visitor: Visitor) -> None:
    """Over HTTP/1.1 a browser has six connections for all its tabs together."""
    streams = Streams(visitor)
    await log_in_and_leave(visitor)
    before = streams.opened
    await open_tabs(visitor, 3)
    assert streams.opened == before + 1


async def test_when_the_listening_tab_closes_another_takes_over(visitor: Visitor) -> None:
    """And is heard by the rest."""
    streams = Streams(visitor)
    await log_in_and_leave(visitor)
    tabs = await open_tabs(visitor, 3)
    before = streams.opened
    leader = await tab_with(tabs, "stream")
    await leader.close()
    tabs.remove(leader)

    async def have_taken_over() -> bool:
        return await links_of(tabs) == ["stream", "tab"]

    await until(have_taken_over, every=0.05)
    assert streams.opened == before + 1
    for tab in tabs:
        await expect(tab.get_by_test_id("refresh-count")).not_to_have_text("0")
        await expect(tab.get_by_test_id("user-sub")).to_have_text("alice")


@pytest.mark.rule("SE-06")
@pytest.mark.parametrize("link", ["stream", "tab"])
async def test_a_logout_reaches_the_other_tabs_at_once(visitor: Visitor, link: str) -> None:
    """From either kind of tab: the one that is left may be the one that holds the stream."""
    await log_in_and_leave(visitor)
    tabs = await open_tabs(visitor, 3)
    here = await tab_with(tabs, link)
    tabs.remove(here)
    async with here.expect_response("**/bff/logout?**"):
        await here.get_by_test_id("logout").click()
    for tab in tabs:
        await expect_ended_at_once(tab, "You logged out in another tab")
    await expect(here.get_by_test_id("login")).to_be_visible()
    await expect(here.get_by_test_id("problem")).to_be_hidden()


async def test_a_login_reaches_the_other_tabs(visitor: Visitor) -> None:
    """Also one by another user, and tabs that had heard of the end before."""
    other = await visitor.open("/session")
    await expect(other.get_by_test_id("login")).to_be_visible()
    page = await visitor.log_in("alice")
    await expect(other.get_by_test_id("user-sub")).to_have_text("alice")
    await page.get_by_test_id("logout").click()
    await expect(other.get_by_test_id("problem")).to_contain_text("You logged out in another tab")
    await expect(page.get_by_test_id("login")).to_be_visible()
    await visitor.start_login(page)
    await visitor.finish_login(page, "bob")
    await expect(other.get_by_test_id("user-name")).to_have_text("Bob Baumeister")
    await expect(other.get_by_test_id("problem")).to_be_hidden()


async def test_another_account_in_the_same_browser_is_no_end(visitor: Visitor) -> None:
    """The session is replaced, and the other tab shows whose it is now."""
    page, other = await visitor.log_in("alice"), await visitor.open("/session")
    await expect(other.get_by_test_id("user-sub")).to_have_text("alice")
    await page.evaluate("() => { location.href = '/bff/login?prompt=login'; }")
    await visitor.finish_login(page, "bob")
    await expect(page.get_by_test_id("user-sub")).to_have_text("bob")
    await expect(other.get_by_test_id("user-sub")).to_have_text("bob")
    await expect(other.get_by_test_id("problem")).to_be_hidden()


@pytest.mark.rule("SE-07")
async def test_a_device_is_logged_out_from_another_one(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    """The list names it, one click ends it, and its open pages say so at once."""
    page = await visitor.log_in("alice", "/session")
    await expect(page.get_by_test_id("session-live")).to_have_attribute("data-link", "stream")
    elsewhere = await other_visitor.log_in("alice", "/session")
    devices = elsewhere.get_by_test_id("device")
    await expect(devices.first).to_contain_text("Chrome on Linux")
    await expect(devices.first).to_contain_text("This browser")
    await expect(devices.first.get_by_test_id("device-end")).to_have_count(0)
    count = await devices.count()
    async with elsewhere.expect_response("**/bff/sessions/*"):
        await devices.nth(1).get_by_test_id("device-end").click()
    await expect_ended_at_once(page, "from your list of devices")
    await expect(devices).to_have_count(count - 1)
    assert await visitor.fetch_status(page, "/api/notes") == 401
    assert await other_visitor.fetch_status(elsewhere, "/api/notes") == 200


async def test_all_other_devices_are_logged_out_at_once(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    """And only those."""
    page = await visitor.log_in("alice", "/session")
    await expect(page.get_by_test_id("session-live")).to_have_attribute("data-link", "stream")
    elsewhere = await other_visitor.log_in("alice", "/session")
    async with elsewhere.expect_response("**/bff/sessions"):
        await elsewhere.get_by_test_id("devices-end-others").click()
    await expect_ended_at_once(page, "from your list of devices")
    await expect(elsewhere.get_by_test_id("device")).to_have_count(1)
    await expect(elsewhere.get_by_test_id("devices-end-others")).to_be_hidden()
    await expect(elsewhere.get_by_test_id("user-sub")).to_have_text("alice")


@pytest.mark.rule("TK-06")
async def test_refreshes_are_counted_as_they_happen(visitor: Visitor) -> None:
    """In every tab and without asking: the gateway refreshes for those who only listen."""
    await log_in_and_leave(visitor)
    tabs = await open_tabs(visitor, 2)

    async def until_counted(at_least: int) -> None:
        async def is_counted() -> bool:
            counts = [await tab.get_by_test_id("refresh-count").inner_text() for tab in tabs]
            return all(int(count) >= at_least for count in counts)

        await until(is_counted, every=0.2)

    await until_counted(1)
    asked = len(await visitor.seen.own_exchanges("/bff/user"))
    await until_counted(2)
    assert len(await visitor.seen.own_exchanges("/bff/user")) == asked
    for tab in tabs:
        await expect(tab.get_by_test_id("session-log")).to_contain_text("refreshed the access")
