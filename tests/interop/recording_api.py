"""An API behind the gateway that trusts no caller: it checks each bearer token as resource servers
do (RFC 9068 for JWTs, RFC 7662 for opaque ones) and tells the caller whose token it was.
"""

import time
from dataclasses import dataclass, field

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.interop.certified_op import API_AUDIENCE, CertifiedOp


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `sub` is None when its token was refused."""

    path: str
    bearer: str = field(repr=False)
    sub: str | None


class RecordingApi:
    """`calls` holds every call in the order of arrival. A JWT may be late by `leeway_seconds`: one
    that was good when it was sent may expire on the way (RFC 7519 section 4.1.4)."""

    def __init__(self, op: CertifiedOp) -> None:
        self._op = op
        self._keys: KeySet | None = None
        self.leeway_seconds = 0.5
        self.calls: list[Call] = []

    @property
    def bearers(self) -> list[str]:
        """The distinct tokens seen, in the order of their first use."""
        return list(dict.fromkeys(call.bearer for call in self.calls))

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/whoami", self._whoami)
        return application

    async def _whoami(self, request: web.Request) -> web.Response:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        claims = await self._claims(bearer) if scheme == "Bearer" else {}
        sub = claims.get("sub")
        self.calls.append(Call(request.path_qs, bearer, sub if isinstance(sub, str) else None))
        if sub is None:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return web.json_response({"error": "invalid_token"}, status=401, headers=challenge)
        return web.json_response({"sub": sub, "client_id": claims["client_id"]})

    async def _claims(self, bearer: str) -> dict[str, object]:
        """The claims of a token that is good now, else nothing."""
        if bearer.count(".") != 2:
            answer = await self._op.introspect(bearer)
            return answer if answer["active"] else {}
        if self._keys is None:
            self._keys = KeySet.import_key_set(await self._op.jwks())
        try:
            token = jwt.decode(bearer, self._keys, algorithms=["RS256"])
        except (JoseError, ValueError):
            return {}
        claims = token.claims
        is_good = (
            token.header.get("typ") == "at+jwt"
            and claims.get("iss") == self._op.issuer
            and claims.get("aud") == API_AUDIENCE
            and time.time() < claims.get("exp", 0) + self.leeway_seconds
        )
        return claims if is_good else {}
