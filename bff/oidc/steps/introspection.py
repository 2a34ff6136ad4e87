"""Token introspection (RFC 7662): whether the OP still lets an access token count. The question is
authenticated, and nothing of the answer but `active` is believed or kept.
"""

from http import HTTPStatus

from bff.errors import (
    ClientRejected,
    IntrospectionRefused,
    OpAnswerMalformed,
    OpMetadataRefused,
)
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.provider.metadata import Discovery
from bff.oidc.provider.op_text import error_code

_OPERATOR = frozenset({"invalid_client", "unauthorized_client"})
_TOO_LARGE = 413


class Introspection:
    """The introspection endpoint of one OP."""

    def __init__(self, requests: ClientRequests, discovery: Discovery) -> None:
        self._requests = requests
        self._discovery = discovery

    async def is_active(self, access_token: str) -> bool:
        """What the OP says now.

        Raises:
            OpMetadataRefused: it has no such endpoint.
            IntrospectionRefused: it does not answer for a token of this kind, or of this size.
            ClientRejected: it does not answer this client.
            OpUnavailable, OpAnswerMalformed: nothing is known.
        """
        endpoint = (await self._discovery.metadata()).introspection_endpoint
        if endpoint is None:
            raise OpMetadataRefused("introspection_endpoint is missing")
        form = {"token": access_token, "token_type_hint": "access_token"}
        answer = await self._requests.post("introspection", endpoint, form)
        return process_introspection(answer.status, answer.document)


def process_introspection(status: int, document: object) -> bool:
    """Judge an answer below 500 (RFC 7662 sections 2.2 and 2.3). Raises as `is_active`."""
    detail = f"introspection: status {status}, error {error_code(document)}"
    is_refusal = 400 <= status < 500 and isinstance(document, dict) and "error" in document
    is_of_client = status == HTTPStatus.UNAUTHORIZED or (
        # Without an error it was said in front of the OP, by a firewall for example.
        is_refusal and (status == HTTPStatus.FORBIDDEN or error_code(document) in _OPERATOR)
    )
    if is_of_client:
        raise ClientRejected(detail)
    if is_refusal or status == _TOO_LARGE:
        raise IntrospectionRefused(detail)
    active = document.get("active") if status == 200 and isinstance(document, dict) else None
    if not isinstance(active, bool):
        raise OpAnswerMalformed(f"introspection: status {status}, no active that is a boolean")
    return active
