"""Keycloak. It takes up to a minute to start, so its process is started before it is needed; the
realm with the gateway's client is made by its admin API.
"""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from tests.interop.ops.programs import KEYCLOAK, require
from tests.interop.ops.provider import (
    ACCESS_TOKEN_SECONDS,
    CLIENT_SECRET,
    Place,
    Provider,
    a_client,
    program,
    until_it_answers,
)
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page

ADMIN_PASSWORD = "admin-of-interop"
# `kc.sh` starts it as a child that may outlive it; so it is started as `kc.sh` does.
JAVA = (
    "java -Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    " -Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"
    " -Djava.util.logging.manager=org.jboss.logmanager.LogManager"
    " --add-opens=java.base/java.util=ALL-UNNAMED"
    " --add-opens=java.base/java.util.concurrent=ALL-UNNAMED"
    " --add-opens=java.base/java.security=ALL-UNNAMED"
    " --add-opens=java.base/java.lang=ALL-UNNAMED"
)
START = (
    "start --optimized --cache=local --http-enabled=true --http-host=127.0.0.1"
    " --hostname-backchannel-dynamic=true"
)


class Keycloak(Provider):
    client_id: ClassVar = "spa"
    api_client_id: ClassVar = "api"  # Keycloak tells about a token only those it is meant for
    user: ClassVar = {"name": "Alice Example", "email": "alice@example.test"}
    tells_of_logouts: ClassVar = True

    def __init__(self, place: Place, http: aiohttp.ClientSession, realm: str) -> None:
        self.realm = realm
        self.issuer_path = f"/realms/{realm}"
        super().__init__(place, http)

    async def log_in(self, browser: Browser, page: Page) -> Page:
        values = {"username": "alice", "password": "wonderland"}
        return await browser.submit(page.form("kc-form-login"), values)

    async def sign_out(self, browser: Browser) -> None:
        """As an administrator does in the console."""
        async with self._admin("GET", f"/{self.realm}/users?username=alice") as answer:
            (user,) = await answer.json()
        async with self._admin("POST", f"/{self.realm}/users/{user['id']}/logout"):
            pass

    async def initial_access_token(self) -> str:
        path = f"/{self.realm}/clients-initial-access"
        async with self._admin("POST", path, json={"count": 1, "expiration": 3600}) as answer:
            return str((await answer.json())["token"])

    async def make_realm(self, given: Mapping[str, Any] | None = None) -> None:
        """As it is given; the usual one unless it is."""
        async with self._admin("POST", "", json=given or realm(self.realm, self.place)):
            pass

    @asynccontextmanager
    async def _admin(
        self, method: str, path: str, json: object = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        token_url = f"{self.place.direct}/realms/master/protocol/openid-connect/token"
        form = {"grant_type": "password", "client_id": "admin-cli"}
        form |= {"username": "admin", "password": ADMIN_PASSWORD}
        async with self._http.post(token_url, data=form) as answer:
            assert answer.status == 200, await answer.text()
            bearer = (await answer.json())["access_token"]
        async with self._http.request(
            method,
            f"{self.place.direct}/admin/realms{path}",
            json=json,
            headers={"Authorization": f"Bearer {bearer}"},
        ) as answer:
            assert answer.status < 300, await answer.text()
            yield answer


def realm(name: str, place: Place, *further_clients: dict[str, Any]) -> dict[str, Any]:
    """What docs/providers/keycloak.md tells to set, and access tokens that expire soon."""
    return {
        "realm": name,
        "enabled": True,
        "accessTokenLifespan": ACCESS_TOKEN_SECONDS,
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
        "clients": [
            client(Keycloak.client_id, place.gateway, place.redirect_uris, place.returns),
            *further_clients,
            {
                "clientId": Keycloak.api_client_id,
                "secret": CLIENT_SECRET,
                "standardFlowEnabled": False,
            },
        ],
        "users": [
            {
                "username": "alice",
                "enabled": True,
                "firstName": "Alice",
                "lastName": "Example",
                "email": "alice@example.test",
                "emailVerified": True,
                "credentials": [{"type": "password", "value": "wonderland", "temporary": False}],
            }
        ],
    }


def client(
    client_id: str, gateway: str, redirect_uris: Sequence[str], returns: Sequence[str]
) -> dict[str, Any]:
    """A client of the gateway's. `gateway` is the origin that is told of logouts, `returns` are
    the addresses after a logout."""
    return {
        "clientId": client_id,
        "secret": CLIENT_SECRET,
        "redirectUris": list(redirect_uris),
        "standardFlowEnabled": True,
        "directAccessGrantsEnabled": False,
        "frontchannelLogout": False,
        "attributes": {
            "backchannel.logout.url": f"{gateway}/bff/backchannel-logout",
            "backchannel.logout.session.required": "true",
            "pkce.code.challenge.method": "S256",
            "post.logout.redirect.uris": "##".join(returns),
        },
        "protocolMappers": [
            {
                "name": "audience",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-audience-mapper",
                "config": {
                    "included.client.audience": Keycloak.api_client_id,
                    "access.token.claim": "true",
                    "introspection.token.claim": "true",
                },
            }
        ],
    }


@contextmanager
def starting(place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    """Its process, which may not answer yet."""
    home = require(KEYCLOAK)
    environment = {
        "PATH": os.environ["PATH"],
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
    }
    command: list[str | Path] = [
        # A JVM does not notice that its stdin is closed.
        *("setpriv", "--pdeathsig", "TERM"),
        *JAVA.split(),
        f"-Dkc.home.dir={home}",
        f"-Djboss.server.config.dir={home / 'conf'}",
        *("-cp", home / "lib" / "quarkus-run.jar"),
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        *START.split(),
        f"--http-port={place.port}",
        f"--hostname={place.public}",
    ]
    with program(command, environment, place.folder) as process:
        yield process


@asynccontextmanager
async def running(
    place: Place,
    process: "subprocess.Popen[bytes]",
    name: str = "interop",
    given: Mapping[str, Any] | None = None,
) -> AsyncIterator[Keycloak]:
    """With a realm of that name, which is made, as it is given."""
    async with a_client() as http:
        ready = f"{place.direct}/realms/master"
        await until_it_answers(process, ready, place.folder, http)
        op = Keycloak(place, http, name)
        await op.make_realm(given)
        yield op
