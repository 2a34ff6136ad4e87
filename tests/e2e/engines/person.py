"""A person at one of the three browsers: what is clicked and filled in. Judges nothing."""

from tests.e2e.engines.webdriver import Browser, Tab
from tests.e2e.installation import Installation
from tests.parts.browser import DEMO_PASSWORDS

LOGIN = "[data-testid=login]"
LOGOUT = "[data-testid=logout]"
USER = "[data-testid=user-sub]"
PROBLEM = "[data-testid=problem]"
DEVICE = "[data-testid=device]"
CLIENT_PAGE = "/test/client.html"


class Person:
    """One profile of a browser, and one installation that it is used for."""

    def __init__(self, browser: Browser, site: Installation) -> None:
        self.site = site
        self._browser = browser
        self._has_used_first_tab = False

    async def open(self, path: str = "/") -> Tab:
        """A page of the application, in a tab of its own."""
        if self._has_used_first_tab:
            tab = await self._browser.new_tab()
        else:
            (tab,) = await self._browser.tabs()
            self._has_used_first_tab = True
        await tab.open(self.site.public_url + path)
        return tab

    async def log_in(self, user: str = "alice", path: str = "/") -> Tab:
        """A tab in which `user` has logged in, from the click to the name on the page."""
        tab = await self.open(path)
        await self.start_login(tab)
        await self.finish_login(tab, user)
        await tab.expect_text(USER, user)
        return tab

    async def start_login(self, tab: Tab, button: str = LOGIN) -> None:
        """From the application's button to the OP's form."""
        await tab.click(button)
        await tab.expect_shown("#login")

    async def finish_login(self, tab: Tab, user: str = "alice") -> None:
        """Fill in the OP's two forms."""
        await tab.click(f"#login input[name=username][value={user}]")
        await tab.fill("#password", DEMO_PASSWORDS[user])
        await tab.click("#login button[value=login]")
        await tab.click("#consent button[value=allow]")

    async def open_client(self) -> Tab:
        """A tab with the page of the tests, whose scripts have the browser client as `bff`."""
        tab = await self.open(CLIENT_PAGE)
        await tab.expect_shown("#ready")
        return tab
