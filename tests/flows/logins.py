"""Logging in, as most flow tests begin."""

from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.stack import Stack


async def log_in(browser: Browser, stack: Stack, user: str = "alice", *, to: str = "/") -> Page:
    """From the address bar to the page the login ends at."""
    page = await browser.navigate(f"{stack.public_url}/bff/login?returnUrl={to}")
    return await browser.log_in_at_op(page, user)
