"""How the gateway proves its identity to the OP (RFC 6749 section 2.3.1, OIDC Core section 9).

One method a request, never in a URL, and no public-client mode.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import quote_plus

from bff.errors import OpMetadataRefused
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.op_text import quoted

ClientAuthMethod = Literal["client_secret_basic", "client_secret_post"]
METHODS: tuple[ClientAuthMethod, ...] = get_args(ClientAuthMethod)
CLIENT_SECRET_BASIC = METHODS[0]


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """What every request to a protected endpoint carries: header fields or form fields."""

    method: str
    headers: dict[str, str] = field(repr=False)
    form: dict[str, str] = field(repr=False)


def require_client_auth(method: str) -> str:
    """One of `METHODS`. Raises: ValueError, with the rest of a sentence about the setting."""
    if method == "none":  # OAuth for browser-based apps, section 6.1.3.1
        raise ValueError(
            'must not be "none": the gateway is a confidential client and needs a secret'
        )
    if method not in METHODS:
        raise ValueError(f"must be one of {', '.join(METHODS)}")
    return method


def client_auth(method: str, client_id: str, client_secret: str) -> ClientAuth:
    """Credentials in the configured `method`.

    Raises:
        ValueError: for a method we do not have (`none` among them).
    """
    require_client_auth(method)
    if method == CLIENT_SECRET_BASIC:
        # RFC 6749 section 2.3.1: both are form-urlencoded before they are joined.
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode("ascii")
        return ClientAuth(method, {"Authorization": f"Basic {b64encode(pair).decode()}"}, {})
    return ClientAuth(method, {}, {"client_id": client_id, "client_secret": client_secret})


def require_supported(auth: ClientAuth, metadata: ProviderMetadata) -> None:
    """An OP that lists its methods must list ours; one that lists none is taken at its word later.

    Raises:
        OpMetadataRefused: the OP would refuse every request.
    """
    methods = metadata.token_auth_methods
    if methods is not None and auth.method not in methods:
        raise OpMetadataRefused(
            f"token_endpoint_auth_methods_supported lacks the configured {auth.method}: "
            f"{quoted(methods)}"
        )
