"""What a person sees while a part of the installation is away: what it means, that it logs no user
out, and the way on. No page throws meanwhile."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.e2e.installation import Installation
from tests.e2e.visitor import Visitor
from tests.parts.program import Program
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")


@contextlib.asynccontextmanager
async def away(program: Program) -> AsyncIterator[None]:
    """Stopped inside the block, running again after it."""
    await program.stop()
    try:
        yield
    finally:
        await program.start()


async def call_the_api(page: Page) -> None:
    await page.get_by_test_id("call-me").click()


async def try_again(page: Page) -> None:
    """Click the banner's button until there is no banner."""
    action, banner = page.get_by_test_id("problem-action"), page.get_by_test_id("problem")

    async def is_well() -> bool:
        # By script: the page asks by itself as well, and may hide the button in this moment.
        await action.evaluate("(button) => button.click()")
        return await banner.is_hidden()

    await until(is_well, every=0.2)


async def expect_still_alice(page: Page) -> None:
    """Alive without a new login: the page was never left."""
    await call_the_api(page)
    await expect(page.get_by_test_id("me-result")).to_contain_text("token for alice")
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
    await expect(page.get_by_test_id("problem")).to_be_hidden()


async def test_an_api_that_is_down_is_said_to_be_down(
    visitor: Visitor, installation: Installation
) -> None:
    """502 `upstream_unreachable`: the gateway is well and so is the session."""
    page = await visitor.log_in("alice", "/session")
    async with away(installation.api):
        await call_the_api(page)
        problem = page.get_by_test_id("problem")
        await expect(problem).to_contain_text("The gateway cannot reach the API")
        await expect(problem).to_contain_text("You are still logged in")
        assert await visitor.fetch_status(page, "/bff/user") == 200
    await try_again(page)
    await expect_still_alice(page)


async def test_a_restart_of_the_gateway_logs_no_user_out(
    visitor: Visitor, other_visitor: Visitor, installation: Installation
) -> None:
    """Caddy answers for it meanwhile, and serves the page's files to who comes now. Afterwards the
    session is found in Redis by a new process; a page that could not know asks on by itself."""
    page = await visitor.log_in("alice", "/session")
    async with away(installation.gateway):
        await call_the_api(page)
        problem = page.get_by_test_id("problem")
        await expect(problem).to_contain_text("The gateway cannot help at the moment")
        await expect(problem).to_contain_text("gateway_unreachable")
        await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
        stranger = await other_visitor.open("/")
        await expect(stranger.get_by_test_id("problem")).to_contain_text("gateway_unreachable")
        await expect(stranger.get_by_test_id("login")).to_be_hidden()
    await try_again(page)
    await expect_still_alice(page)
    await expect(stranger.get_by_test_id("login")).to_be_visible()
    await expect(stranger.get_by_test_id("problem")).to_be_hidden()


@pytest.mark.rule("SE-10")
async def test_a_store_that_hangs_logs_no_user_out(
    visitor: Visitor, installation: Installation
) -> None:
    """Whether the session lives cannot be known, so it is neither used nor ended: 503."""
    page = await visitor.log_in("alice", "/session")
    cookie = await visitor.session_cookie()
    installation.redis.pause()
    try:
        problem = page.get_by_test_id("problem")

        async def is_told() -> bool:
            await call_the_api(page)
            return "store_unavailable" in await problem.inner_text()

        await until(is_told, every=0.5)
        await expect(problem).to_contain_text("This does not log you out")
    finally:
        installation.redis.resume()
    await try_again(page)
    await expect_still_alice(page)
    assert await visitor.session_cookie() == cookie


async def test_a_browser_without_network_says_so(visitor: Visitor) -> None:
    """No answer at all is no verdict on the session either."""
    page = await visitor.log_in("alice", "/session")
    await visitor.context.set_offline(True)
    await call_the_api(page)
    await expect(page.get_by_test_id("problem")).to_contain_text("The gateway cannot be reached")
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
    await visitor.context.set_offline(False)
    await try_again(page)
    await expect_still_alice(page)
    visitor.seen.forget_complaints()  # Chromium notes each request that the network did not take
