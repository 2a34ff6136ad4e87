"""The gateway between the certified OP and an API, on loopback. The OP is on 127.0.0.1 and the
gateway on localhost, so that a browser sees two sites.

Owns ports, configuration and the order of start and stop.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bff.config.values.files import load_client_key
from tests.interop.certified_op import API_AUDIENCE, CLIENT_SECRET, CertifiedOp, running_op
from tests.interop.recording_api import RecordingApi
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.servers import free_port, serving
from tests.parts.stack import running_gateway


class ShiftedClock:
    """The machine's clock, ahead by what `advance` was told."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass(frozen=True, slots=True)
class Client:
    """How the gateway is registered at the OP. With `jwt_tokens` it asks for access tokens of the
    API's audience, else for opaque ones, with which UserInfo can be asked as well. `further` are
    lines of `[oidc]`. With a `profile` (FAPI 2.0) it says nothing that the profile says."""

    client_id: str = "basic"
    client_auth: str = "client_secret_basic"
    id_token_algs: str = '["RS256"]'
    jwt_tokens: bool = True
    key_file: Path | None = None
    further: str = ""
    profile: str = ""

    def toml(self, issuer: str) -> str:
        """The lines of `[oidc]`."""
        return f"""
issuer = "{issuer}"
client_id = "{self.client_id}"
{self._proof()}
scope = "openid profile email offline_access api:read"
userinfo = {"false" if self.jwt_tokens else "true"}
{self.further}

[oidc.authorization_params]
prompt = "consent"
{self._resource() if self.jwt_tokens else ""}
"""

    def jwks(self) -> str:
        """What the OP knows of its key."""
        if self.key_file is None:
            return ""
        return json.dumps({"keys": [dict(load_client_key(self.key_file).public)]})

    def _proof(self) -> str:
        keys = f'client_keys = ["{self.key_file}"]' if self.key_file is not None else ""
        if self.profile:
            return f'profile = "{self.profile}"\n{keys}'
        by_key = self.client_auth == "private_key_jwt"
        secret = "" if by_key else f'client_secret = "{CLIENT_SECRET}"'
        return f"""{secret}
{keys}
client_auth = "{self.client_auth}"
id_token_algs = {self.id_token_algs}"""

    def _resource(self) -> str:
        # Without UserInfo the ID token has to hold the claims, and this OP wants to be asked.
        claims = '{"id_token":{"name":null,"email":null}}'
        return f"resource = \"{API_AUDIENCE}\"\nclaims = '{claims}'"


@dataclass(frozen=True, slots=True)
class Installation:
    """What is running. The gateways' clock can be moved; OP and API live in real time.

    `addresses` are those of all replicas; a browser knows the first only, as `origin`.
    """

    op: CertifiedOp
    api: RecordingApi
    clock: ShiftedClock
    origin: str
    addresses: tuple[str, ...]
    _gateways: AsyncExitStack = field(repr=False)

    async def log_in(self, browser: Browser, user: str, *, parameters: str = "") -> Page:
        """Log in through the OP's forms; the page that the browser ends at."""
        await browser.navigate(f"{self.origin}/")
        return await self.through_op(
            browser, await browser.click(f"/bff/login{parameters}"), user=user
        )

    async def through_op(self, browser: Browser, page: Page, *, user: str) -> Page:
        """Fill in the OP's forms, login and consent, from `page` on."""
        while page.url.startswith(f"{self.op.issuer}/interaction/"):
            (form,) = page.forms()
            asks_who = ("prompt", "login") in form.fields
            values = {"login": user, "password": "any"} if asks_who else {}
            page = await browser.submit(form, values)
        return page

    async def stop_gateways(self) -> None:
        """Stop them now: refreshes and revocations under way are finished."""
        await self._gateways.aclose()


@asynccontextmanager
async def running_installation(
    client: Client | None = None,
    *,
    access_token_seconds: int = 60,
    rotate: bool = True,
    store: str = "memory://",
    replicas: int = 1,
    route: str = "",
    user: str = "",
    fapi: bool = False,
    takes_bound_tokens: bool = False,
) -> AsyncIterator[Installation]:
    """Start all of it and stop it again. Replicas need a store to share. `route` are further lines
    of the route to the API, `user` those of `[user]`. The OP enforces FAPI 2.0 with `fapi` or for a
    client that has a profile. With `takes_bound_tokens` the API takes no others, and both it and
    the OP want nonces in proofs."""
    op_port, api_port, *ports = (free_port() for _ in range(2 + replicas))
    origin = f"http://localhost:{ports[0]}"
    clock = ShiftedClock()
    op_running = running_op(
        port=op_port,
        gateway=origin,
        access_token_seconds=access_token_seconds,
        rotate=rotate,
        client_jwks=(client or Client()).jwks(),
        fapi=fapi or bool((client or Client()).profile),
        dpop_nonces=takes_bound_tokens,
    )
    is_bound = takes_bound_tokens or bool((client or Client()).profile)
    async with op_running as op, AsyncExitStack() as gateways:
        api = RecordingApi(op, clock, takes_bound_tokens=is_bound)
        async with serving(api.application(), api_port):
            for port in ports:
                toml = gateway_toml(
                    Ports(port, free_port(), op_port, api_port),
                    server=f'public_url = "{origin}"',
                    oidc=(client or Client()).toml(op.issuer),
                    store=store,
                    extra=user,
                    routes=f"""[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{api_port}/"
{route}""",
                )
                await gateways.enter_async_context(running_gateway(toml, clock))
            addresses = tuple(f"http://127.0.0.1:{port}" for port in ports)
            yield Installation(op, api, clock, origin, addresses, gateways)
            await gateways.aclose()
