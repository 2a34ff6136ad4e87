"""Signed authorization requests (RFC 9101): a client hands in its parameters as a JWT, through the
browser or pushed, which is verified with the client's own keys.

Nothing counts that stands beside the JWT. One is accepted of the client it names, for this OP and
for a few minutes, and never where it could be a client assertion.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from authlib.oauth2 import OAuth2Error
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from bff.clock import Clock
from spa_demo.op.client_assertions import ALGORITHMS as ALGS_OF_ASSERTIONS
from spa_demo.op.client_assertions import BY_KEY, LEEWAY_SECONDS
from spa_demo.op.clients import Clients
from spa_demo.op.requests import FormRequest
from spa_demo.op.settings import OpSettings

TYP = "oauth-authz-req+jwt"  # section 4
ALGORITHMS = ALGS_OF_ASSERTIONS[BY_KEY]
LONGEST_SECONDS = 3600  # FAPI 2.0 Message Signing section 5.3.1
_CLAIMS_OF_THE_JWT = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})


class InvalidRequestObject(OAuth2Error):
    """Section 6.3."""

    error = "invalid_request_object"


class RequestObjects:
    """Reads those of all clients of one OP."""

    def __init__(self, settings: OpSettings, clients: Clients, clock: Clock) -> None:
        self._settings = settings
        self._clients = clients
        self._clock = clock

    def resolved(self, request: FormRequest) -> FormRequest:
        """The request that a signed one holds; or this one, where it may come unsigned.

        Raises:
            InvalidRequestObject: it is not signed by the client, not for this OP, or over.
        """
        given = dict(request.parameters)
        client = self._clients.find(given.get("client_id", ""))
        must_be_signed = self._settings.request_objects == "required" or (
            client is not None and client.must_sign_requests
        )
        if self._settings.request_objects == "off" or (
            "request" not in given and not must_be_signed
        ):
            return request
        try:
            if client is None or client.jwks is None:
                raise InvalidRequestObject("The client has no keys here.")
            document: Any = client.jwks
            keys = KeySet.import_key_set(document)
            token = jwt.decode(given.get("request", ""), keys, ALGORITHMS)
        except (JoseError, ValueError):
            raise InvalidRequestObject("It is not signed by the client.") from None
        if token.header.get("typ") != TYP:
            raise InvalidRequestObject("It is no request object.")
        self._require_current(token.claims, client.client_id)
        for name in ("response_type", "scope"):  # OIDC Core section 6.1
            if given.get(name, token.claims.get(name)) != token.claims.get(name):
                raise InvalidRequestObject(f"{name} differs from the one beside it.")
        parameters = (
            (name, _text(value))
            for name, value in token.claims.items()
            if name not in _CLAIMS_OF_THE_JWT
        )
        return replace(request, parameters=tuple(parameters))

    def _require_current(self, claims: Mapping[str, Any], client_id: str) -> None:
        """Raises: InvalidRequestObject."""
        now, begins, ends = self._clock.now(), claims.get("nbf"), claims.get("exp")
        if (claims.get("iss"), claims.get("client_id")) != (client_id, client_id):
            raise InvalidRequestObject("It is another client's.")
        if claims.get("aud") != self._settings.issuer:
            raise InvalidRequestObject("It is for another provider.")
        if {"sub", "request", "request_uri"} & claims.keys():  # sections 4 and 10.8
            raise InvalidRequestObject("It holds what no request does.")
        if not isinstance(begins, int) or not begins <= now + LEEWAY_SECONDS:
            raise InvalidRequestObject("It is not valid yet.")
        if not isinstance(ends, int) or not now < ends <= begins + LONGEST_SECONDS:
            raise InvalidRequestObject("It is over, or lives too long.")


def _text(value: object) -> str:
    """As it would stand in a query."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(value)  # several resources, as `read_request` reads them
    return value if isinstance(value, str) else json.dumps(value)
