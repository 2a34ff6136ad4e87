"""The OP library of Zitadel, with the login and the store of its example: `../zitadel/main.go`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from tests.interop.ops.programs import ZITADEL, require
from tests.interop.ops.provider import Place, Provider, a_client, program, until_it_answers
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page


class Zitadel(Provider):
    client_id: ClassVar = "web"
    scope: ClassVar = "openid profile email offline_access"
    further_toml: ClassVar = "userinfo = true"
    user: ClassVar = {"name": "Test User", "email": "test-user@zitadel.ch"}

    async def log_in(self, browser: Browser, page: Page) -> Page:
        (form,) = page.forms()
        values = {"username": "test-user@127.0.0.1", "password": "verysecure"}
        return await browser.submit(form, values)


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Zitadel]:
    environment = place.environment(place.public)
    with program([require(ZITADEL) / "op"], environment, place.folder) as process:
        async with a_client() as http:
            await until_it_answers(process, f"{place.direct}/healthz", place.folder, http)
            yield Zitadel(place, http)
