"""An OpenID provider that says whatever a test tells it to, over real sockets.

By default it behaves: metadata, keys, signed ID tokens, rotating refresh tokens. A test replaces
the answer of any endpoint, makes it hang, truncates it or drops the connection, and reads back
every request that arrived.
"""

import asyncio
import contextlib
import hashlib
import json
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Self
from urllib.parse import parse_qsl

from aiohttp import web
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from bff.clock import Clock
from tests.parts.servers import answering

CLIENT_ID = "spa"
CLIENT_SECRET = "s3cret-of-the-gateway"
PATHS = {
    "/.well-known/openid-configuration": "discovery",
    "/jwks": "jwks",
    "/token": "token",
    "/userinfo": "userinfo",
    "/revoke": "revocation",
    "/introspect": "introspection",
    "/par": "par",
}


def b64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64json(value: object) -> str:
    return b64url(json.dumps(value).encode("utf-8"))


@dataclass(frozen=True)
class SigningKey:
    """A private key of an OP, with the algorithm it signs with."""

    alg: str
    kid: str | None
    key: RSAKey | ECKey | OKPKey = field(repr=False)

    def jwk(self, **members: object) -> dict[str, object]:
        """The public JWK; `members` add to it, a None removes."""
        named = {"kid": self.kid, "use": "sig", "alg": self.alg, **members}
        return {
            **self.key.as_dict(private=False),
            **{name: value for name, value in named.items() if value is not None},
        }

    def sign(self, claims: object, **header: object) -> str:
        """A JWT; `header` adds to the usual one, a None removes. `claims` may be raw bytes."""
        named = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **header}
        members = {name: value for name, value in named.items() if value is not None}
        payload = b64url(claims) if isinstance(claims, bytes) else b64json(claims)
        signing_input = f"{b64json(members)}.{payload}"
        signature = JWSRegistry.algorithms[self.alg].sign(signing_input.encode(), self.key)
        return f"{signing_input}.{b64url(signature)}"


KEY_PARAMETERS: dict[str, tuple[str, str | int]] = {
    "RS": ("RSA", 2048),
    "PS": ("RSA", 2048),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "Ed": ("OKP", "Ed25519"),
}


@cache
def _material(kty: str, size: str | int, number: int) -> RSAKey | ECKey | OKPKey:
    key = JWKRegistry.generate_key(kty, size)
    assert isinstance(key, RSAKey | ECKey | OKPKey), number
    return key


def signing_key(alg: str = "RS256", kid: str | None = "k1", number: int = 1) -> SigningKey:
    """A key for `alg`; the same `number` gives the same key again (making one is slow)."""
    kty, size = KEY_PARAMETERS.get(alg) or KEY_PARAMETERS[alg[:2]]
    return SigningKey(alg, kid, _material(kty, size, number))


def at_hash(access_token: str, name: str = "sha256") -> str:
    digest = hashlib.new(name, access_token.encode()).digest()
    return b64url(digest[: len(digest) // 2])


@dataclass(frozen=True)
class Answer:
    """`body` as bytes goes out as it is, anything else as JSON. `hang` never answers, `drop`
    closes without answering, `truncate` promises more body than it sends; any other comes after
    `delay_seconds`."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    truncate: bool = False
    delay_seconds: float = 0.0


@dataclass(frozen=True)
class Received:
    """One request. `endpoint` is "other" for a path the OP does not have."""

    endpoint: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        pairs = parse_qsl(self.body, keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs), "a parameter was sent twice"
        return dict(pairs)


Script = Answer | Callable[[Received], Answer]


class ScriptedOp:
    """`answers[endpoint]` replaces the usual answer; a list is used up, its last element stays."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.keys = [signing_key()]
        self.answers: dict[str, Script | list[Script]] = {}
        self.metadata_changes: dict[str, object] = {}
        self.id_token_changes: dict[str, object] = {}
        self.token_changes: dict[str, object] = {}
        self.nonce = ""
        self.sub = "alice"
        self.received: list[Received] = []
        self.refresh_token_number = 0
        self._origin = ""
        self._released = asyncio.Event()
        self._serving = contextlib.AsyncExitStack()

    async def start(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Self:
        server = web.Server(self._handle, handler_cancellation=True)
        port = await self._serving.enter_async_context(answering(server, tls=tls))
        self._origin = f"{'https' if tls else 'http'}://{host}:{port}"
        return self

    async def close(self) -> None:
        self._released.set()
        await self._serving.aclose()

    @property
    def issuer(self) -> str:
        return self._origin

    def count(self, endpoint: str) -> int:
        return sum(1 for received in self.received if received.endpoint == endpoint)

    def last(self, endpoint: str) -> Received:
        return [received for received in self.received if received.endpoint == endpoint][-1]

    def metadata(self) -> dict[str, object]:
        document: dict[str, object] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["plain", "S256"],
        }
        return {**document, **self.metadata_changes}

    def id_token(self, **changes: object) -> str:
        """Signed with the first key. A None removes a claim."""
        return self.keys[0].sign(self.id_token_claims(**changes))

    def id_token_claims(self, **changes: object) -> dict[str, object]:
        """What an ID token says. A None removes a claim."""
        now = int(self.clock.now())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": self.sub,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": self.nonce,
            **self.id_token_changes,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token_answer(self) -> Answer:
        self.refresh_token_number += 1
        number = self.refresh_token_number
        document: dict[str, object] = {
            "access_token": f"at-{number}",
            "token_type": "Bearer",
            "expires_in": 60,
            "refresh_token": f"rt-{number}",
            "id_token": self.id_token(),
            **self.token_changes,
        }
        return Answer({k: v for k, v in document.items() if v is not None})

    def _usual(self, endpoint: str) -> Answer:
        match endpoint:
            case "discovery":
                return Answer(self.metadata())
            case "jwks":
                return Answer({"keys": [key.jwk() for key in self.keys]})
            case "token":
                return self.token_answer()
            case "userinfo":
                return Answer({"sub": self.sub, "email": "alice@example.test"})
            case "revocation":
                return Answer()
            case _:
                return Answer(status=404)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        endpoint = PATHS.get(request.path, "other")
        body = (await request.read()).decode()
        received = Received(endpoint, request.method, request.raw_path, request.headers, body)
        self.received.append(received)
        script = self.answers.get(endpoint)
        if isinstance(script, list):
            script = script.pop(0) if len(script) > 1 else script[0]
        if script is None:
            answer = self._usual(endpoint)
        else:
            answer = script if isinstance(script, Answer) else script(received)
        return await self._send(request, answer)

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if answer.hang:
            await self._released.wait()
        if answer.hang or answer.drop:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        await asyncio.sleep(answer.delay_seconds)
        raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", **answer.headers}
        if not answer.truncate:
            return web.Response(body=raw, status=answer.status, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = len(raw) + 100
        await response.prepare(request)
        await response.write(raw)
        assert request.transport is not None
        request.transport.close()
        return response
