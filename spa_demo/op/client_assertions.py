"""Client authentication by a signed assertion: `client_secret_jwt` and `private_key_jwt` (OIDC Core
section 9, RFC 7521 section 4.2, RFC 7523 section 3).

The audience is the issuer and nothing else, as one string (RFC 7523bis section 4). Each assertion
serves once, and none is accepted that lives longer than a few minutes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from spa_demo.op.settings import Client

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
BY_SECRET, BY_KEY = "client_secret_jwt", "private_key_jwt"
ALGORITHMS: Mapping[str, list[str]] = {
    BY_SECRET: ["HS256"],
    BY_KEY: ["ES256", "PS256", "RS256", "Ed25519"],
}
LEEWAY_SECONDS = 10
LONGEST_SECONDS = 300
MOST_REMEMBERED = 10_000

QueryClient = Callable[[str], ClientMixin]


class ClientAssertions:
    """Verifies them for one OP, and remembers those it has seen."""

    def __init__(self, issuer: str, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._seen: BoundedMap[tuple[str, str], float] = BoundedMap(MOST_REMEMBERED)

    def by_secret(self, query_client: QueryClient, request: OAuth2Request) -> ClientMixin | None:
        return self._client(BY_SECRET, query_client, request.form)

    def by_key(self, query_client: QueryClient, request: OAuth2Request) -> ClientMixin | None:
        return self._client(BY_KEY, query_client, request.form)

    def _client(
        self, method: str, query_client: QueryClient, form: Mapping[str, str]
    ) -> ClientMixin | None:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return None
        client = query_client(form.get("client_id", ""))
        if not isinstance(client, Client) or method not in client.auth_methods:
            return None
        document: Any = client.jwks
        keys = KeySet.import_key_set(document) if document and method == BY_KEY else None
        try:
            key = keys or OctKey.import_key(client.client_secret)
            token = jwt.decode(form.get("client_assertion", ""), key, ALGORITHMS[method])
        except (JoseError, ValueError):
            return None
        return client if self._is_fresh(token.claims, client.client_id) else None

    def _is_fresh(self, claims: Mapping[str, Any], client_id: str) -> bool:
        """RFC 7523 section 3, item by item; then it counts as seen."""
        now, expires_at, name = self._clock.now(), claims.get("exp"), claims.get("jti")
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            return False
        if claims.get("aud") != self._issuer:
            return False
        if not isinstance(expires_at, int) or not now < expires_at <= now + LONGEST_SECONDS:
            return False
        issued_at = claims.get("iat", now)
        if not isinstance(issued_at, int | float) or issued_at > now + LEEWAY_SECONDS:
            return False
        if not isinstance(name, str) or self._seen.get((client_id, name), 0) > now:
            return False
        self._seen[client_id, name] = expires_at
        return True
