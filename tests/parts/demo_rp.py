"""A bare relying party for the tests of the demo OP: it asks, redeems and records, and trusts all.

It lives at http://localhost, another site than the OP's http://127.0.0.1.
"""

import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import aiohttp
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet

from bff.clock import Clock
from spa_demo.op import OpSettings
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.demo_servers import SETTINGS, SPA, RunningOp, running_op
from tests.parts.servers import free_port, serving


@dataclass(frozen=True, slots=True)
class Answer:
    """A direct answer of the OP."""

    status: int
    headers: Mapping[str, str]
    json: Any


@dataclass(frozen=True, slots=True)
class Asking:
    """One authorization request of the RP."""

    url: str
    verifier: str
    state: str
    nonce: str


@dataclass(slots=True)
class DemoRp:
    """The RP's side of the protocol, step by step."""

    origin: str
    op: RunningOp
    http: aiohttp.ClientSession
    logout_tokens: list[str] = field(default_factory=list)

    def ask(self, **changes: str | None) -> Asking:
        """An authorization request with PKCE; a parameter changed to None is left out."""
        verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": SPA.client_id,
            "redirect_uri": f"{self.origin}/callback",
            "scope": SPA.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": s256(verifier),
            "code_challenge_method": "S256",
        }
        sent = {name: value for name, value in {**parameters, **changes}.items() if value}
        return Asking(f"{self.op.issuer}/authorize?{urlencode(sent)}", verifier, state, nonce)

    async def log_in(
        self, browser: Browser, user: str = "alice", **changes: str | None
    ) -> dict[str, Any]:
        """The token response of a whole login."""
        asking = self.ask(**changes)
        page = await browser.log_in_at_op(await browser.navigate(asking.url), user)
        answer = await self.redeem(callback(page)["code"], asking.verifier)
        assert answer.status == 200, answer.json
        return dict(answer.json)

    async def redeem(self, code: str, verifier: str, /, **changes: str) -> Answer:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{self.origin}/callback",
            "code_verifier": verifier,
        }
        return await self.post("/token", {**form, **changes})

    async def refresh(self, refresh_token: str, /, **changes: str) -> Answer:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.post("/token", {**form, **changes})

    async def post(
        self,
        path: str,
        form: Mapping[str, str],
        *,
        auth: tuple[str, str] | None = (SPA.client_id, SPA.client_secret),
    ) -> Answer:
        """A form to the OP, with `client_secret_basic` unless `auth` is None."""
        headers = {"Authorization": basic(*auth)} if auth else {}
        async with self.http.post(
            f"{self.op.issuer}{path}", data=form, headers=headers, allow_redirects=False
        ) as response:
            return await _read(response)

    async def get(self, path: str, token: str | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.get(f"{self.op.issuer}{path}", headers=headers) as response:
            return await _read(response)

    def read_jwt(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims, after the signature was checked with the OP's published keys."""
        jwks: Any = self.op.keys.jwks()
        decoded = jwt.decode(token, KeySet.import_key_set(jwks), ["RS256"])
        return dict(decoded.header), dict(decoded.claims)


@asynccontextmanager
async def running_rp(
    settings: OpSettings = SETTINGS,
    clock: Clock | None = None,
    *,
    backchannel_logout_uri: str | None = None,
) -> AsyncIterator[DemoRp]:
    """An RP with a callback page and a back-channel endpoint, and the OP it is registered at.

    `backchannel_logout_uri` replaces the RP's own endpoint.
    """
    port = free_port()
    origin = f"http://localhost:{port}"
    client = replace(
        SPA,
        redirect_uris=(f"{origin}/callback",),
        post_logout_redirect_uris=(f"{origin}/",),
        backchannel_logout_uri=backchannel_logout_uri
        or f"http://127.0.0.1:{port}/backchannel-logout",
    )
    clients = (client, *settings.clients[1:])
    tokens: list[str] = []
    async with (
        serving(_rp_app(tokens), port),
        running_op(replace(settings, clients=clients), clock) as op,
        aiohttp.ClientSession() as http,
    ):
        yield DemoRp(origin, op, http, tokens)


def _rp_app(logout_tokens: list[str]) -> web.Application:
    async def show(_request: web.Request) -> web.Response:
        return web.Response(text="the relying party")

    async def log_out(request: web.Request) -> web.Response:
        logout_tokens.append(str((await request.post())["logout_token"]))
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", show), web.get("/callback", show)])
    app.add_routes([web.post("/backchannel-logout", log_out)])
    return app


async def _read(response: aiohttp.ClientResponse) -> Answer:
    is_json = response.content_type == "application/json"
    body = await response.json() if is_json else None
    return Answer(response.status, response.headers, body)


def callback(page: Page) -> dict[str, str]:
    """The parameters that an authorization response brought to the RP's callback."""
    parts = urlsplit(page.url)
    assert (parts.hostname, parts.path) == ("localhost", "/callback"), page.url
    parameters = parse_qs(parts.query, strict_parsing=True)
    return {name: values[0] for name, values in parameters.items() if len(values) == 1}


def basic(client_id: str, client_secret: str) -> str:
    """RFC 6749 section 2.3.1: both parts are form-url-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def s256(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
