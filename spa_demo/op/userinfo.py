"""The UserInfo endpoint: OIDC Core section 5.3, with the errors of RFC 6750 section 3."""

from aiohttp import web

from spa_demo.op.authorization_server import DemoServer
from spa_demo.op.token_endpoints import find_token


class UserInfo:
    """`/userinfo`: the claims that the access token's scope releases."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server

    async def handle(self, request: web.Request) -> web.Response:
        """`GET, POST /userinfo`."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _challenge(401, "Bearer")  # RFC 6750 section 3.1: no error code here
        token = find_token(self._server.state, self._server.keys, value.strip())
        is_live = token and not token.is_expired() and not token.is_revoked()
        if token is None or not is_live or token.kind != "access_token" or not token.family.user:
            return _challenge(401, 'Bearer error="invalid_token"')
        if "openid" not in token.scope.split():
            return _challenge(403, 'Bearer error="insufficient_scope", scope="openid"')
        return web.json_response(token.family.user.claims(token.scope))


def _challenge(status: int, challenge: str) -> web.Response:
    return web.Response(status=status, headers={"WWW-Authenticate": challenge})
