"""Token exchange (RFC 8693): a client presents an access token of a user that it was given, and
gets one that is for one API, with the same user and no more scope.
"""

from collections.abc import Collection
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import BaseGrant
from authlib.oauth2.rfc6749.grants.base import TokenEndpointMixin

from spa_demo.op.grants import AUTH_METHODS, InvalidTarget, key_of, resources_of
from spa_demo.op.settings import TOKEN_EXCHANGE
from spa_demo.op.token_endpoints import find_token
from spa_demo.op.tokens import TokenIssuer

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class ExchangeGrant(BaseGrant, TokenEndpointMixin):
    """For access tokens only, of the client's own. `audience` may name what `resource` may."""

    GRANT_TYPE = TOKEN_EXCHANGE
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def validate_token_request(self) -> None:
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(TOKEN_EXCHANGE):
            raise UnauthorizedClientError
        form = self.request.form
        wanted = form.get("requested_token_type", ACCESS_TOKEN)
        if form.get("subject_token_type") != ACCESS_TOKEN or wanted != ACCESS_TOKEN:
            raise InvalidRequestError("Only access tokens are exchanged.")
        subject = find_token(self.server.state, self.server.keys, form.get("subject_token", ""))
        if subject is None or subject.kind != "access_token" or not subject.check_client(client):
            raise InvalidRequestError("The subject_token is not this client's.")
        if subject.is_expired() or subject.is_revoked():
            raise InvalidRequestError("The subject_token is not valid.")  # RFC 8693 section 2.2.2
        self.request.client = client
        self.subject = subject

    def create_token_response(  # type: ignore[override]
        self,
    ) -> tuple[int, dict[str, Any], Collection[tuple[str, str]]]:
        known = self.server.settings.resources
        form = self.request.form
        audience = form.get("audience", "")
        if audience and audience not in known:
            raise InvalidTarget("The audience is unknown.")
        scope = form.get("scope") or self.subject.scope
        if not set(scope.split()) <= set(self.subject.scope.split()):
            raise InvalidScopeError
        tokens: TokenIssuer = self.server.tokens
        targets = (*resources_of(self.request, known), *([audience] if audience else []))
        response = tokens.exchange(self.subject, scope, targets, key_of(self.request))
        return 200, {**response, "issued_token_type": ACCESS_TOKEN}, self.TOKEN_RESPONSE_HEADER
