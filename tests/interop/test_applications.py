"""One gateway for three applications, at two OPs that we did not write: Keycloak, where employees
log in, and npm oidc-provider for partners. `shop` has a host and both OPs, `crm` another host and
`wiki` a path of shop's; these two have Keycloak alone. At `shop` and `crm` a logout may name the
page it ends at.

The OPs, the gateway, an API and the browsers are real and speak over loopback, in real time.
"""

import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from tests.interop.conftest import StartedKeycloak
from tests.interop.ops import certified, keycloak
from tests.interop.ops.provider import CLIENT_SECRET, Provider, a_place
from tests.interop.ops.relay import Relay, relaying
from tests.interop.story import PATIENCE_SECONDS, PAUSE_SECONDS, Api
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.configuration import Ports, gateway_toml, toml_text
from tests.parts.servers import free_port, serving
from tests.parts.stack import running_gateway
from tests.polling import until

pytestmark = [pytest.mark.real_op, pytest.mark.timeout(400)]


@dataclass(frozen=True, slots=True)
class Applications:
    """`urls` are the addresses by name, without a slash at the end; `apis` and `relays` are those
    in front of each OP."""

    urls: dict[str, str]
    ops: dict[str, Provider]
    apis: dict[str, Api]
    relays: dict[str, Relay]

    async def log_in(self, browser: Browser, name: str, provider: str) -> tuple[Page, bool]:
        """The page where the browser ends, and whether the OP has asked for anything."""
        url = self.urls[name]
        await browser.navigate(f"{url}/")
        page = await browser.click(f"{url}/bff/login?idp={provider}&returnUrl={path_of(url)}/deep")
        if page.url.startswith(self.ops[provider].place.public):
            return await self.ops[provider].log_in(browser, page), True
        return page, False

    async def call(self, browser: Browser, name: str, api: str = "corp") -> Page:
        await browser.navigate(f"{self.urls[name]}/")
        return await browser.fetch("GET", f"{self.urls[name]}/{api}/whoami")

    async def user_status(self, browser: Browser, name: str) -> int:
        await browser.navigate(f"{self.urls[name]}/")
        return (await browser.fetch("GET", f"{self.urls[name]}/bff/user")).status


def path_of(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2] if url.count("/") > 2 else ""


@asynccontextmanager
async def running(started: StartedKeycloak, folder: Path) -> AsyncIterator[Applications]:
    at_keycloak, process = started
    port = free_port()
    shop, crm = f"http://localhost:{port}", f"http://127.0.0.1:{port}"
    urls = {"shop": shop, "crm": crm, "wiki": f"{shop}/wiki"}
    at_keycloak = replace(
        at_keycloak,
        gateway=shop,
        further_redirect_uris=tuple(f"{url}/bff/callback/corp" for url in urls.values()),
        further_returns=(f"{urls['wiki']}/", f"{shop}/bff/logged-out", f"{crm}/bff/logged-out"),
    )
    elsewhere = replace(
        a_place(folder),
        gateway=shop,
        further_redirect_uris=(f"{shop}/bff/callback/partners",),
        further_returns=(f"{shop}/bff/logged-out",),
    )
    async with AsyncExitStack() as stack:
        ops: dict[str, Provider] = {
            "corp": await stack.enter_async_context(
                keycloak.running(at_keycloak, process, f"applications-{port}")
            ),
            "partners": await stack.enter_async_context(certified.running(elsewhere)),
        }
        apis, relays, upstreams = {}, {}, {}
        for name, op in ops.items():
            apis[name], upstreams[name] = Api(op), free_port()
            application = web.Application()
            application.router.add_get("/whoami", apis[name].whoami)
            await stack.enter_async_context(serving(application, upstreams[name]))
            relays[name], _ = await stack.enter_async_context(
                relaying(op.place.public_port, op.place.direct)
            )
        await stack.enter_async_context(
            running_gateway(applications_toml(port, urls, ops, upstreams))
        )
        yield Applications(urls, ops, apis, relays)


def applications_toml(
    port: int, urls: dict[str, str], ops: dict[str, Provider], upstreams: dict[str, int]
) -> str:
    tables = tomllib.loads(gateway_toml(Ports(port, free_port(), op=0, api=0)))
    del tables["oidc"], tables["server"]["public_url"]
    tables["providers"] = {
        name: {
            "issuer": op.issuer,
            "client_id": op.client_id,
            "client_secret": CLIENT_SECRET,
            "scope": op.scope,
            "email_domains": [f"{name}.example.test"],
            **tomllib.loads(op.further_toml),
        }
        for name, op in ops.items()
    }
    tables["routes"] = [
        {"path": f"/{name}/", "upstream": f"http://127.0.0.1:{upstream}/"}
        for name, upstream in upstreams.items()
    ]
    returns = {"logout_return_paths": ["/left"]}
    tables["frontends"] = [
        {"name": "shop", "public_url": urls["shop"], "session": returns},
        {"name": "crm", "public_url": urls["crm"], "providers": ["corp"], "session": returns},
        {"name": "wiki", "public_url": urls["wiki"], "providers": ["corp"]},
    ]
    return toml_text(tables)


@pytest.fixture
async def there(
    early_keycloak: StartedKeycloak | None, tmp_path: Path
) -> AsyncIterator[Applications]:
    assert early_keycloak is not None
    async with running(early_keycloak, tmp_path) as applications:
        yield applications


async def test_three_applications_at_keycloak_and_another_op(there: Applications) -> None:
    """Login, refresh and logout, with the sessions of a browser that are one at Keycloak."""
    async with Browser() as employee, Browser() as partner:
        # A user logs in once, and is let into the other applications without being asked.
        for name, is_asked in (("shop", True), ("crm", False), ("wiki", False)):
            page, asked = await there.log_in(employee, name, "corp")
            assert (page.status, page.url) == (200, f"{there.urls[name]}/deep"), page.text
            assert asked is is_asked
        page, _ = await there.log_in(partner, "shop", "partners")
        assert (page.status, page.url) == (200, f"{there.urls['shop']}/deep"), page.text

        # Every session has a token of its own, and only at its own OP is it one.
        used = set()
        for name in there.urls:
            assert (await there.call(employee, name)).status == 200
            used.add(there.apis["corp"].bearers[-1])
        assert len(used) == len(there.urls)
        assert (await there.call(employee, "shop", "partners")).status == 401
        assert (await there.call(partner, "shop", "partners")).status == 200
        assert [await there.user_status(partner, name) for name in ("crm", "wiki")] == [401, 401]

        # Each is refreshed by itself.
        expired_at = max(grant.expires_at for grant in there.relays["corp"].grants)
        await until(lambda: time.time() > expired_at, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
        for name in there.urls:
            assert (await there.call(employee, name)).status == 200
            assert there.apis["corp"].bearers[-1] not in used
        assert (await there.call(partner, "shop", "partners")).status == 200
        assert there.relays["corp"].refused == there.relays["partners"].refused == []

        # A logout in one application, and at the OP, which tells the gateway: the others end too.
        await employee.navigate(f"{there.urls['wiki']}/")
        user = (await employee.fetch("GET", f"{there.urls['wiki']}/bff/user")).json()
        page = await employee.click(user["bff"]["logout_url"])
        assert (page.status, page.url.split("?")[0]) == (200, f"{there.urls['wiki']}/")

        async def are_over() -> bool:
            return [await there.user_status(employee, name) for name in there.urls] == [401] * 3

        await until(are_over, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
        assert await there.user_status(partner, "shop") == 200


async def test_a_logout_ends_at_the_page_it_names(there: Applications) -> None:
    """Both OPs return to the one address that they know, and the browser goes on from there."""
    for name, provider in (("crm", "corp"), ("shop", "partners")):
        async with Browser() as browser:
            await there.log_in(browser, name, provider)
            user = (await browser.fetch("GET", f"{there.urls[name]}/bff/user")).json()
            page = await browser.click(f"{user['bff']['logout_url']}&returnUrl=/left/now?x=1")
            if not page.url.startswith(there.urls[name]):
                page = await there.ops[provider].confirm_logout(browser, page)
            assert (page.status, page.url) == (200, f"{there.urls[name]}/left/now?x=1"), page.text
            assert await there.user_status(browser, name) == 401


async def test_the_domain_of_a_hint_leads_to_keycloak_or_the_other_op(
    there: Applications,
) -> None:
    """And what a chooser offers is what each application has."""
    async with Browser() as browser:
        for name, providers in (("shop", ["corp", "partners"]), ("wiki", ["corp"])):
            await browser.navigate(f"{there.urls[name]}/")
            offered = (await browser.fetch("GET", f"{there.urls[name]}/bff/providers")).json()
            assert [one["name"] for one in offered] == providers
        for provider, op in there.ops.items():
            await browser.navigate(f"{there.urls['shop']}/")
            page = await browser.click(f"/bff/login?login_hint=a@{provider}.example.test")
            assert page.url.startswith(op.place.public), page.url
