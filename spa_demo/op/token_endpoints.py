"""Revocation (RFC 7009) and introspection (RFC 7662), on Authlib's endpoints.

Revoking a refresh token ends its whole family; revoking an access token ends that one only.
"""

from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from spa_demo.op.grants import AUTH_METHODS
from spa_demo.op.keys import SigningKeys
from spa_demo.op.records import IssuedToken
from spa_demo.op.settings import Client
from spa_demo.op.state import OpState


def find_token(state: OpState, keys: SigningKeys, value: str) -> IssuedToken | None:
    """The record of a refresh token, or of an access token that carries our signature."""
    if refresh_token := state.token(value):
        return refresh_token if refresh_token.kind == "refresh_token" else None
    claims = keys.verify(value, typ="at+jwt")
    return state.token(str(claims.get("jti"))) if claims else None


class Revocation(RevocationEndpoint):
    """Unknown tokens are answered with 200 as well (RFC 7009 section 2.2)."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> IssuedToken | None:
        return find_token(self.server.state, self.server.keys, token_string)

    def revoke_token(self, token: IssuedToken, request: OAuth2Request) -> None:
        state: OpState = self.server.state
        state.counters.revocations += 1
        if token.kind == "refresh_token":
            state.revoke_family(token.family, "revoked by the client")
        token.revoked = True


class Introspection(IntrospectionEndpoint):
    """For APIs, and for the client that a token was issued to."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> IssuedToken | None:
        return find_token(self.server.state, self.server.keys, token_string)

    def check_permission(self, token: IssuedToken, client: Client, request: OAuth2Request) -> bool:
        return client.may_introspect or token.check_client(client)

    def introspect_token(self, token: IssuedToken) -> dict[str, Any]:
        family = token.family
        answer: dict[str, Any] = {
            "active": True,
            "iss": self.server.settings.issuer,
            "client_id": family.client_id,
            "sub": family.sub,
            "scope": token.scope,
            "iat": int(token.issued_at),
            "exp": int(token.expires_at),
        }
        if token.kind == "access_token":
            answer |= {"token_type": "DPoP" if token.jkt else "Bearer", "aud": token.audience}
            answer |= {"jti": token.jti}
            if token.jkt:
                answer |= {"cnf": {"jkt": token.jkt}}
        if family.user:
            answer["username"] = family.user.sub
        return answer
