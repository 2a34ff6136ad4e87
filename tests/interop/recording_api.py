"""An API behind the gateway that trusts no caller: it checks each access token as resource servers
do (RFC 9068 for JWTs, RFC 7662 for opaque ones, RFC 9449 for bound ones) and tells the caller whose
token it was.
"""

import time
from dataclasses import dataclass, field

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from bff.clock import Clock
from spa_demo.dpop import FIELD, NonceWanted, ProofJudge
from tests.interop.certified_op import API_AUDIENCE, CertifiedOp


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `sub` is None when its token was refused."""

    path: str
    bearer: str = field(repr=False)
    sub: str | None


class RecordingApi:
    """`calls` holds every call in the order of arrival. A JWT may be late by `leeway_seconds`: one
    that was good when it was sent may expire on the way (RFC 7519 section 4.1.4). With
    `takes_bound_tokens` it takes no others, and wants nonces in their proofs; `clock` dates those.
    """

    def __init__(self, op: CertifiedOp, clock: Clock, *, takes_bound_tokens: bool = False) -> None:
        self._op = op
        self._proofs = ProofJudge(clock, wants_nonces=True) if takes_bound_tokens else None
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
        known = "Bearer" if self._proofs is None else "DPoP"
        claims = await self._claims(bearer) if scheme == known else {}
        if self._proofs is not None and claims:
            url = f"http://{request.host}{request.path}"
            proofs = request.headers.getall(FIELD, [])
            try:
                jkt = self._proofs.thumbprint(proofs, request.method, url, bearer)
            except NonceWanted:
                challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"'}
                return web.Response(status=401, headers={**challenge, **self._proofs.headers()})
            bound_to = claims.get("cnf")
            claims = claims if bound_to == {"jkt": jkt} else {}
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
            token = jwt.decode(bearer, self._keys, algorithms=["RS256", "PS256"])
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
