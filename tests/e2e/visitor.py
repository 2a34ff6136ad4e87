"""A person with a browser profile: opens pages, clicks, fills in the OP's forms. Judges nothing."""

from playwright.async_api import BrowserContext, Page, expect
from playwright.async_api import Cookie as BrowserCookie

from tests.e2e.installation import SESSION_COOKIE, Installation
from tests.e2e.observed import Observed
from tests.parts.browser import DEMO_PASSWORDS

FETCH_STATUS = """async ([method, path, json]) => {
  const headers = { 'X-CSRF': '1', ...(json !== null && { 'Content-Type': 'application/json' }) };
  const body = json === null ? null : JSON.stringify(json);
  return (await fetch(path, { method, headers, body })).status;
}"""


class Visitor:
    """One profile, with as many tabs as are opened."""

    def __init__(self, context: BrowserContext, installation: Installation) -> None:
        self.context = context
        self.seen = Observed(context, installation.public_url)
        self._installation = installation

    async def open(self, path: str = "/") -> Page:
        """A page of the application in a new tab, from the address bar."""
        page = await self.context.new_page()
        await page.goto(self._installation.public_url + path)
        return page

    async def log_in(self, user: str = "alice", path: str = "/") -> Page:
        """A new tab in which `user` has logged in, from the click to the name on the page."""
        page = await self.open(path)
        await self.start_login(page)
        await self.finish_login(page, user)
        await expect(page.get_by_test_id("user-sub")).to_have_text(user)
        return page

    async def start_login(self, page: Page) -> None:
        """From the application's button to the OP's form."""
        await page.get_by_test_id("login").click()
        await page.wait_for_url(f"{self._installation.issuer}/interaction/**")

    async def finish_login(self, page: Page, user: str = "alice") -> None:
        """Fill in the OP's two forms."""
        await page.locator(f"input[name=username][value={user}]").check()
        await page.get_by_label("Password").fill(DEMO_PASSWORDS[user])
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Allow").click()

    async def session_cookie(self) -> BrowserCookie | None:
        """As it is in the profile's jar."""
        cookies = await self.context.cookies(self._installation.public_url)
        return next((found for found in cookies if found["name"] == SESSION_COOKIE), None)

    async def put_back(self, cookie: BrowserCookie) -> None:
        """Into the jar, as a thief who had copied it would."""
        await self.context.add_cookies(
            [
                {
                    "name": cookie["name"],
                    "value": cookie["value"],
                    "domain": cookie["domain"],
                    "path": cookie["path"],
                    "secure": cookie["secure"],
                    "httpOnly": cookie["httpOnly"],
                    "sameSite": cookie["sameSite"],
                }
            ]
        )

    async def fetch_status(
        self, page: Page, path: str, *, method: str = "GET", json: object = None
    ) -> int:
        """The status of a fetch by a script of the page, as the SPA makes them."""
        return int(await page.evaluate(FETCH_STATUS, [method, path, json]))

    async def notes(self, page: Page) -> list[str]:
        """The texts of all notes, asked for by a script of the page."""
        script = """async () => {
          const answer = await fetch('/api/notes', { headers: { 'X-CSRF': '1' } });
          return (await answer.json()).notes.map((note) => note.text);
        }"""
        return [str(text) for text in await page.evaluate(script)]
