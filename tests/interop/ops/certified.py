"""npm oidc-provider, which is certified by the OpenID Foundation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from tests.interop.certified_op import FOLDER, require_program
from tests.interop.ops.provider import Place, Provider, a_client, program, until_it_answers
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page

INITIAL_ACCESS_TOKEN = "initial-access-token-of-interop"


class OidcProvider(Provider):
    client_id: ClassVar = "basic"
    # It gives a refresh token for this scope only, and the scope with the user's consent only.
    scope: ClassVar = "openid profile email offline_access"
    further_toml: ClassVar = 'userinfo = true\nauthorization_params = { prompt = "consent" }'
    user: ClassVar = {"name": "alice of Interop", "email": "alice@example.test"}
    tells_of_logouts: ClassVar = True

    async def log_in(self, browser: Browser, page: Page) -> Page:
        while page.url.startswith(f"{self.issuer}/interaction/"):
            (form,) = page.forms()
            asks_who = ("prompt", "login") in form.fields
            values = {"login": "alice", "password": "any"} if asks_who else {}
            page = await browser.submit(form, values)
        return page

    async def confirm_logout(self, browser: Browser, page: Page) -> Page:
        return await browser.submit(page.form("op.logoutForm"), {"logout": "yes"})

    async def sign_out(self, browser: Browser) -> None:
        await self.confirm_logout(browser, await browser.navigate(f"{self.issuer}/session/end"))

    async def initial_access_token(self) -> str:
        return INITIAL_ACCESS_TOKEN


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[OidcProvider]:
    environment = {
        **place.environment(place.public),
        "INITIAL_ACCESS_TOKEN": INITIAL_ACCESS_TOKEN,
    }
    with program([require_program(), FOLDER / "server.mjs"], environment, place.folder) as process:
        async with a_client() as http:
            op = OidcProvider(place, http)
            await until_it_answers(process, f"{place.direct}/jwks", place.folder, http)
            yield op
