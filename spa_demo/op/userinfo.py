"""The UserInfo endpoint: OIDC Core section 5.3, with the errors of RFC 6750 section 3."""

from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from spa_demo.dpop import FIELD, NonceWanted, ProofJudge, ProofRefused
from spa_demo.op.authorization_server import DemoServer
from spa_demo.op.records import IssuedToken
from spa_demo.op.token_endpoints import find_token

NOTHING_MORE: Mapping[str, str] = MappingProxyType({})


class UserInfo:
    """`/userinfo`: the claims that the access token's scope releases."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server
        wants_nonces = server.settings.dpop_nonces
        self._proofs = ProofJudge(server.clock, wants_nonces=wants_nonces)

    async def handle(self, request: web.Request) -> web.Response:
        """`GET, POST /userinfo`."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "dpop"):
            return _challenge(401, "Bearer")  # RFC 6750 section 3.1: no error code here
        token = find_token(self._server.state, self._server.keys, value.strip())
        is_live = token and not token.is_expired() and not token.is_revoked()
        if token is None or not is_live or token.kind != "access_token" or not token.family.user:
            return _challenge(401, 'Bearer error="invalid_token"')
        if token.jkt or scheme.lower() == "dpop":
            refusal = self._refusal(
                request, token, value.strip() if scheme.lower() == "dpop" else ""
            )
            if refusal is not None:
                return refusal
        if "openid" not in token.scope.split():
            return _challenge(403, 'Bearer error="insufficient_scope", scope="openid"')
        return web.json_response(token.family.user.claims(token.scope))

    def _refusal(
        self, request: web.Request, token: IssuedToken, proven: str
    ) -> web.Response | None:
        """Why it is not the holder of the token's key that has made this request with `proven` (RFC
        9449 section 7.1)."""
        proofs, url = request.headers.getall(FIELD, []), self._server.settings.issuer + request.path
        try:
            jkt = self._proofs.thumbprint(proofs, request.method, url, proven)
        except NonceWanted:
            return _challenge(401, 'DPoP error="use_dpop_nonce"', self._proofs.headers())
        except ProofRefused:
            return _challenge(401, 'DPoP error="invalid_dpop_proof"')
        return None if jkt == token.jkt else _challenge(401, 'DPoP error="invalid_token"')


def _challenge(status: int, challenge: str, more: Mapping[str, str] = NOTHING_MORE) -> web.Response:
    return web.Response(status=status, headers={"WWW-Authenticate": challenge, **more})
