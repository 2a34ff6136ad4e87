"""One gateway for a whole organization, at two OPs that we did not write: Keycloak, where employees
log in, and npm oidc-provider for partners.

Three applications: `shop` has a host and both OPs, `crm` another host and `wiki` a path of shop's;
these two have Keycloak alone. At `shop` and `crm` a logout may name the page it ends at. Beside
them are fifty tenants, a file each: a tenant has a host, a client of its own at Keycloak, and
partners as well.

The OPs, the gateway and an API of each OP's are real and speak over loopback, in real time.
"""

import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from bff.config import load
from tests.interop.conftest import StartedKeycloak
from tests.interop.ops import certified, keycloak
from tests.interop.ops.provider import CLIENT_SECRET, Provider, a_place
from tests.interop.ops.relay import Relay, relaying
from tests.interop.story import Api
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.configuration import Ports, gateway_toml, toml_text
from tests.parts.servers import free_port, serving
from tests.parts.stack import running_gateway

# Each label is the last part of an address of loopback, which needs no DNS.
LABELS = tuple(str(number) for number in range(11, 61))
NO_TENANT = "99"


@dataclass(frozen=True, slots=True)
class Applications:
    """`urls` are the addresses of the three by name, without a slash at the end; `apis` and
    `relays` are those in front of each OP."""

    port: int
    urls: Mapping[str, str]
    ops: dict[str, Provider]
    apis: dict[str, Api]
    relays: dict[str, Relay]

    def tenant(self, label: str) -> str:
        """Its address; of a label without a file as well."""
        return tenant_url(self.port, label)

    async def log_in(self, browser: Browser, url: str, provider: str) -> tuple[Page, bool]:
        """The page where the browser ends, and whether the OP has asked for anything. `provider`
        is `""` for the application's default, which is at Keycloak."""
        await browser.navigate(f"{url}/")
        idp = f"idp={provider}&" if provider else ""
        page = await browser.click(f"{url}/bff/login?{idp}returnUrl={path_of(url)}/deep")
        op = self.ops[provider or "corp"]
        if page.url.startswith(op.place.public):
            return await op.log_in(browser, page), True
        return page, False

    async def call(self, browser: Browser, url: str, api: str = "corp") -> Page:
        await browser.navigate(f"{url}/")
        return await browser.fetch("GET", f"{url}/{api}/whoami")

    async def user_status(self, browser: Browser, url: str) -> int:
        await browser.navigate(f"{url}/")
        return (await browser.fetch("GET", f"{url}/bff/user")).status


def tenant_url(port: int, label: str) -> str:
    return f"http://127.0.0.{label}:{port}"


def path_of(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2] if url.count("/") > 2 else ""


@asynccontextmanager
async def applications(started: StartedKeycloak, folder: Path) -> AsyncIterator[Applications]:
    """`folder` takes the files of the tenants and the log of an OP."""
    at_keycloak, process = started
    port = free_port()
    shop, crm = f"http://localhost:{port}", f"http://127.0.0.1:{port}"
    urls = {"shop": shop, "crm": crm, "wiki": f"{shop}/wiki"}
    tenants = {label: tenant_url(port, label) for label in LABELS}
    at_keycloak = replace(
        at_keycloak,
        gateway=shop,
        further_redirect_uris=tuple(f"{url}/bff/callback/corp" for url in urls.values()),
        further_returns=(f"{urls['wiki']}/", f"{shop}/bff/logged-out", f"{crm}/bff/logged-out"),
    )
    elsewhere = replace(
        a_place(folder),
        gateway=shop,
        further_redirect_uris=tuple(
            f"{url}/bff/callback/partners" for url in (shop, *tenants.values())
        ),
        further_returns=(f"{shop}/bff/logged-out",),
    )
    clients = (
        keycloak.client(f"tenant-{label}", url, [f"{url}/bff/callback/t{label}"], [f"{url}/"])
        for label, url in tenants.items()
    )
    realm = f"applications-{port}"
    async with AsyncExitStack() as stack:
        ops: dict[str, Provider] = {
            "corp": await stack.enter_async_context(
                keycloak.running(
                    at_keycloak, process, realm, keycloak.realm(realm, at_keycloak, *clients)
                )
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
        write_tenants(folder)
        config = folder / "bff.toml"
        config.write_text(applications_toml(port, urls, ops, upstreams))
        await stack.enter_async_context(running_gateway(load(config, {})))
        yield Applications(port, urls, ops, apis, relays)


def write_tenants(folder: Path) -> None:
    for name in ("tenants.d", "secrets"):
        (folder / name).mkdir()
    for label in LABELS:
        (folder / "tenants.d" / f"{label}.toml").write_text(f'name = "t{label}"\n')
        (folder / "secrets" / label).write_text(CLIENT_SECRET)


def applications_toml(
    port: int, urls: Mapping[str, str], ops: Mapping[str, Provider], upstreams: Mapping[str, int]
) -> str:
    tables = tomllib.loads(gateway_toml(Ports(port, free_port(), op=0, api=0)))
    del tables["oidc"], tables["server"]["public_url"]
    tables["server"]["listen"] = f"0.0.0.0:{port}"  # all of loopback
    tables["limits"] = {"logins": "off"}  # one address logs in everywhere
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
        {
            "name": "shop",
            "public_url": urls["shop"],
            "providers": ["corp", "partners"],
            "session": returns,
        },
        {"name": "crm", "public_url": urls["crm"], "providers": ["corp"], "session": returns},
        {"name": "wiki", "public_url": urls["wiki"], "providers": ["corp"]},
    ]
    tables["tenants"] = {
        "directory": "tenants.d",
        "public_url": tenant_url(port, "{tenant}"),
        "issuer": ops["corp"].issuer,
        "client_id": "tenant-{tenant}",
        "client_secret_file": "secrets/{tenant}",
        "scope": ops["corp"].scope,
        "providers": ["partners"],
    }
    return toml_text(tables)
