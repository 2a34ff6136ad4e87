"""Django OAuth Toolkit, in the small Django project `../django/op.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from tests.interop.ops.programs import DJANGO, HERE, require
from tests.interop.ops.provider import Place, Provider, a_client, program, until_it_answers
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page


class DjangoOAuthToolkit(Provider):
    issuer_path = "/o"
    client_id: ClassVar = "spa"
    user: ClassVar = {"name": "Alice Example", "email": "alice@example.test"}
    paths: ClassVar = {
        "introspection_endpoint": "/o/introspect/",
        "revocation_endpoint": "/o/revoke_token/",
    }

    async def log_in(self, browser: Browser, page: Page) -> Page:
        values = {"username": "alice", "password": "wonderland"}
        return await browser.submit(page.form("login"), values)

    async def confirm_logout(self, browser: Browser, page: Page) -> Page:
        return await browser.submit(page.form("authorizationForm"), {"allow": "Logout"})


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[DjangoOAuthToolkit]:
    environment = place.environment(f"{place.public}{DjangoOAuthToolkit.issuer_path}")
    environment["DATABASE"] = str(place.folder / "op.sqlite")
    command = [require(DJANGO) / "bin" / "python", HERE / "django" / "op.py"]
    with program(command, environment, place.folder) as process:
        async with a_client() as http:
            await until_it_answers(process, f"{place.direct}/login", place.folder, http)
            yield DjangoOAuthToolkit(place, http)
