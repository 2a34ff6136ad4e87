"""How the gateway proves to the OP who it is (RFC 6749 section 2.3.1, OIDC Core section 9).

One method a request, never in a URL, and no public-client mode.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from bff.errors import OpMetadataRefused
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.op_text import quoted

CLIENT_SECRET_BASIC = "client_secret_basic"  # noqa: S105 - the name of a method
CLIENT_SECRET_POST = "client_secret_post"  # noqa: S105 - the name of a method
METHODS = (CLIENT_SECRET_BASIC, CLIENT_SECRET_POST)


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """What every request to a protected endpoint carries: header fields or form fields."""

    method: str
    headers: dict[str, str] = field(repr=False)
    form: dict[str, str] = field(repr=False)


def client_auth(method: str, client_id: str, client_secret: str) -> ClientAuth:
    """Credentials in the configured `method`.

    Raises:
        ValueError: for a method we do not have (`none` among them).
    """
    if method == CLIENT_SECRET_BASIC:
        # RFC 6749 section 2.3.1: both are form-urlencoded before they are joined.
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode("ascii")
        return ClientAuth(method, {"Authorization": f"Basic {b64encode(pair).decode()}"}, {})
    if method == CLIENT_SECRET_POST:
        return ClientAuth(method, {}, {"client_id": client_id, "client_secret": client_secret})
    raise ValueError(f"client authentication must be one of {', '.join(METHODS)}")


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
