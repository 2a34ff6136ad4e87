"""How the gateway proves its identity to the OP (RFC 6749 section 2.3.1, OIDC Core section 9,
RFC 7523 section 2.2, RFC 8705 section 2).

One method a request, never in a URL, and no public-client mode.
"""

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import quote_plus

from joserfc.jwk import OctKey

from bff.errors import OpMetadataRefused
from bff.oidc.client_auth.keys import ClientKey, signed_jwt
from bff.oidc.provider.issuers import TENANT
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.provider.op_text import quoted

ClientAuthMethod = Literal[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
]
METHODS: tuple[ClientAuthMethod, ...] = get_args(ClientAuthMethod)
CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, CLIENT_SECRET_JWT, PRIVATE_KEY_JWT, TLS, SELF_SIGNED_TLS \
    = METHODS  # fmt: skip
BY_SECRET = frozenset({CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, CLIENT_SECRET_JWT})
BY_CERTIFICATE = frozenset({TLS, SELF_SIGNED_TLS})

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 2.2
ASSERTION_SECONDS = 60
# An assertion that is issued in the future is refused by OPs whose clock is behind ours.
_ISSUED_EARLIER_SECONDS = 5
_HMAC = "HS256"
MIN_HMAC_SECRET_BYTES = 32  # RFC 7518 section 3.2
_ASSERTION_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one request to a protected endpoint carries: header fields or form fields."""

    headers: dict[str, str] = field(repr=False)
    form: dict[str, str] = field(repr=False)


def require_client_auth(method: str) -> str:
    """One of `METHODS`. Raises: ValueError, with the rest of a sentence about the setting."""
    if method == "none":  # OAuth for browser-based apps, section 6.1.3.1
        raise ValueError(
            'must not be "none": the gateway is a confidential client and needs a secret or a key'
        )
    if method not in METHODS:
        raise ValueError(f"must be one of {', '.join(METHODS)}")
    return method


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """The configured method, with what it needs. `keys`: the first signs.

    Raises:
        ValueError: for a method we do not have (`none` among them), or one without its secret, key
            or certificate.
    """

    method: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    keys: tuple[ClientKey, ...] = field(default=(), repr=False)
    has_certificate: bool = False

    def __post_init__(self) -> None:
        require_client_auth(self.method)
        if self.method in BY_SECRET and not self.client_secret:
            raise ValueError("needs client_secret")
        short = len(self.client_secret.encode()) < MIN_HMAC_SECRET_BYTES
        if self.method == CLIENT_SECRET_JWT and short:
            raise ValueError(f"needs a client_secret of at least {MIN_HMAC_SECRET_BYTES} bytes")
        if self.method == PRIVATE_KEY_JWT and not self.keys:
            raise ValueError("needs client_keys")
        if self.method in BY_CERTIFICATE and not self.has_certificate:
            raise ValueError("needs client_cert_file")

    def credentials(self, metadata: ProviderMetadata, now: float) -> Credentials:
        """For one request; a repetition needs new ones.

        Raises:
            OpMetadataRefused: as `require_supported`.
        """
        alg = require_supported(self, metadata)
        if self.method == CLIENT_SECRET_BASIC:
            # RFC 6749 section 2.3.1: both are form-urlencoded before they are joined.
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}".encode("ascii")
            return Credentials({"Authorization": f"Basic {b64encode(pair).decode()}"}, {})
        form = {"client_id": self.client_id}
        if self.method == CLIENT_SECRET_POST:
            form["client_secret"] = self.client_secret
        elif alg is not None:
            form["client_assertion_type"] = ASSERTION_TYPE
            form["client_assertion"] = self._assertion(alg, audience_of(metadata), now)
        return Credentials({}, form)

    def _assertion(self, alg: str, audience: str, now: float) -> str:
        """RFC 7523 section 3. The audience is the issuer, as one string: an assertion for an
        endpoint could be taken on by the OP that has named this endpoint as its own (RFC 7523bis
        section 4)."""
        claims: dict[str, object] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "jti": secrets.token_urlsafe(_ASSERTION_ID_BYTES),
            "iat": int(now) - _ISSUED_EARLIER_SECONDS,
            "exp": int(now) + ASSERTION_SECONDS,
        }
        if self.method == PRIVATE_KEY_JWT:
            return signed_jwt(alg, self.keys[0].material, self.keys[0].kid, claims)
        return signed_jwt(alg, OctKey.import_key(self.client_secret.encode()), None, claims)


def require_supported(auth: ClientAuth, metadata: ProviderMetadata) -> str | None:
    """An OP that lists its methods must list ours; one that lists none is taken at its word later.
    The same holds for the algorithms of assertions. The one to sign with, if anything is signed.

    Raises:
        OpMetadataRefused: the OP would refuse every request.
    """
    methods = metadata.token_auth_methods
    if methods is not None and auth.method not in methods:
        raise OpMetadataRefused(
            f"token_endpoint_auth_methods_supported lacks the configured {auth.method}: "
            f"{quoted(methods)}"
        )
    if auth.method not in (CLIENT_SECRET_JWT, PRIVATE_KEY_JWT):
        return None
    algs = metadata.token_auth_algs
    alg: str | None = _HMAC if algs is None or _HMAC in algs else None
    if auth.method == PRIVATE_KEY_JWT:
        alg = auth.keys[0].alg_for(algs)
    if alg is None:
        ours = auth.keys[0].algs if auth.method == PRIVATE_KEY_JWT else (_HMAC,)
        raise OpMetadataRefused(
            f"token_endpoint_auth_signing_alg_values_supported has none of {', '.join(ours)}: "
            f"{quoted(algs or ())}"
        )
    return alg


def audience_of(metadata: ProviderMetadata) -> str:
    """The OP, as the audience of a JWT that the gateway signs. A template of several issuers names
    no OP: there it is the token endpoint (RFC 7523 section 3)."""
    return metadata.token_endpoint if TENANT in metadata.issuer else metadata.issuer
