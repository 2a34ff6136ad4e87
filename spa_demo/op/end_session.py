"""Judges a logout request of a client: RP-Initiated Logout 1.0 sections 2, 3 and 6. Pure.

A redirect happens only to a registered URI of a client that is known for certain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from spa_demo.op.clients import Clients
from spa_demo.op.keys import SigningKeys
from spa_demo.op.settings import Client


class LogoutRefused(Exception):
    """The request contradicts itself or names what is not registered."""


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """`sid` is that of the hint. `return_to` is complete, `state` included."""

    sid: str | None
    return_to: str | None


def read_logout_request(
    parameters: Mapping[str, str], issuer: str, clients: Clients, keys: SigningKeys
) -> LogoutRequest:
    """Verify what the client says.

    Raises: LogoutRefused.
    """
    claims: Mapping[str, object] = {}
    if hint := parameters.get("id_token_hint"):
        # Section 2: the OP must have issued it; it may have expired since.
        verified = keys.verify(hint, typ="JWT")
        if verified is None or verified.get("iss") != issuer:
            raise LogoutRefused("id_token_hint")
        claims = verified
    client = _client(parameters.get("client_id"), claims, clients)
    sid = claims.get("sid")
    return LogoutRequest(
        sid=sid if isinstance(sid, str) else None,
        return_to=_return_to(parameters, client),
    )


def _client(client_id: str | None, claims: Mapping[str, object], clients: Clients) -> Client | None:
    audience = claims.get("aud")
    # Section 2: when both are present they must name the same client.
    if client_id and claims and client_id != audience:
        raise LogoutRefused("client_id")
    name = client_id or (audience if isinstance(audience, str) else None)
    client = clients.find(name)
    if name and client is None:
        raise LogoutRefused("client_id")
    return client


def _return_to(parameters: Mapping[str, str], client: Client | None) -> str | None:
    uri = parameters.get("post_logout_redirect_uri")
    if uri is None:
        return None
    # Section 3: exactly one of the registered values, else no redirect.
    if client is None or uri not in client.post_logout_redirect_uris:
        raise LogoutRefused("post_logout_redirect_uri")
    state = parameters.get("state")
    if state is None:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'state': state})}"
