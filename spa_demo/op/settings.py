"""The configuration of the demo OP: its issuer, clients, users and lifetimes.

Plain frozen data, validated once. Everything here is public by design: the provider exists for
demonstrations and tests and must never hold a real account.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693

USER_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
"""The scope that every user may grant; API scopes differ from user to user."""


SIGNED_RESPONSES = "query.jwt"
"""The `response_mode` of signed answers in the query (JARM section 2.3.1)."""


SECOND_STEP_CODE = "246810"
"""What a second device would show; the login page prints it, as it does the passwords."""

DEFAULT_SCOPE = "openid profile email offline_access api:read api:write"


@dataclass(frozen=True, slots=True)
class User:
    """A demo account. `api_scope` is what the user may grant beyond `USER_SCOPES`."""

    sub: str
    password: str
    name: str
    email: str
    api_scope: frozenset[str] = frozenset()

    def may_grant(self, scope: str) -> str:
        """The part of the requested scope that this user can grant, in the order asked."""
        allowed = USER_SCOPES | self.api_scope
        return " ".join(token for token in scope.split() if token in allowed)

    def claims(self, scope: str) -> dict[str, object]:
        """The claims that the granted scope releases (OIDC Core section 5.4)."""
        granted = scope.split()
        claims: dict[str, object] = {"sub": self.sub}
        if "profile" in granted:
            given, _, family = self.name.partition(" ")
            claims |= {
                "name": self.name,
                "given_name": given,
                "family_name": family,
                "preferred_username": self.sub,
            }
        if "email" in granted:
            claims |= {"email": self.email, "email_verified": True}
        return claims


DEMO_USERS = (
    User(
        "alice",
        "wonderland",
        "Alice Liddell",
        "alice@example.test",
        frozenset({"api:read", "api:write"}),
    ),
    User("bob", "builder", "Bob Baumeister", "bob@example.test", frozenset({"api:read"})),
    User("carol", "singer", "Carol Chant", "carol@example.test"),
)


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):
    """A confidential client; the methods are those that Authlib asks of a client."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    scope: str = DEFAULT_SCOPE
    backchannel_logout_uri: str | None = None
    grant_types: frozenset[str] = frozenset(
        {
            "authorization_code",
            "refresh_token",
            "client_credentials",
            TOKEN_EXCHANGE,
            DEVICE_CODE_GRANT_TYPE,
        }
    )
    auth_methods: frozenset[str] = frozenset({"client_secret_basic", "client_secret_post"})
    jwks: Mapping[str, Any] | None = None
    """Its public keys (RFC 7517), for `private_key_jwt` and signed requests."""
    must_sign_requests: bool = False
    """`require_signed_request_object` (RFC 9101 section 10.5)."""
    may_introspect: bool = False
    """Whether it may introspect tokens of other clients: true for an API."""

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return ""  # the parameter is required: OIDC Core section 3.1.2.1

    def get_allowed_scope(self, scope: object) -> str:
        allowed = self.scope.split()
        return " ".join(token for token in str(scope or "").split() if token in allowed)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris  # RFC 9700 section 2.1: exact comparison

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(self.client_secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in self.auth_methods

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


@dataclass(frozen=True, slots=True)
class OpSettings:
    """`acr_values` are ordered from weak to strong; the first is what a plain login reaches."""

    issuer: str
    clients: tuple[Client, ...]
    users: tuple[User, ...] = DEMO_USERS
    audience: str = "urn:demo:api"
    access_token_seconds: int = 60
    refresh_token_seconds: int = 3600
    id_token_seconds: int = 300
    code_seconds: int = 60
    session_seconds: int = 86_400
    interaction_seconds: int = 600
    acr_values: tuple[str, ...] = ("urn:demo:acr:password", "urn:demo:acr:strong")
    claims_in_id_token: bool = True
    announce_refresh_lifetime: bool = False
    """Adds the customary, unregistered `refresh_expires_in` to token responses."""
    token_delay_seconds: float = 0.0
    """How long a token answer is held back after its tokens came into force: a slow network."""
    resources: frozenset[str] = frozenset()
    """The APIs that access tokens can be asked for by name (RFC 8707), beside `audience`."""
    par: Literal["off", "offered", "required"] = "off"
    """Whether requests may be pushed (RFC 9126), or must be."""
    par_seconds: int = 60
    request_objects: Literal["off", "offered", "required"] = "off"
    """Whether requests may be signed by the client (RFC 9101), or must be."""
    device_login: bool = True
    """Whether users may log in at devices without a keyboard (RFC 8628)."""
    device_seconds: int = 600
    device_interval: int = 5
    """Seconds that a client with a device code must leave between two questions."""
    signed_responses: bool = False
    """Whether a client may ask for signed answers of `/authorize` (JARM)."""
    dpop: Literal["off", "offered", "required"] = "off"
    """Whether access tokens may be bound to a key (RFC 9449), or must be."""
    dpop_nonces: bool = False
    expose_test_stats: bool = False
    initial_access_token: str | None = field(default=None, repr=False)
    """With one, clients that present it may register themselves (RFC 7591)."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("issuer must be an http or https URL")
        if parts.path or parts.query or parts.fragment:
            raise ValueError("issuer must be an origin, without path, query or trailing slash")

    @property
    def is_secure(self) -> bool:
        return self.issuer.startswith("https://")

    @property
    def response_modes(self) -> list[str]:
        """What a client may ask for."""
        return ["query", SIGNED_RESPONSES] if self.signed_responses else ["query"]

    def user(self, sub: str) -> User | None:
        return next((user for user in self.users if user.sub == sub), None)

    def supported_acr(self, acr_values: str) -> str | None:
        """The first of the requested values, in the client's order, that this OP knows."""
        return next((acr for acr in acr_values.split() if acr in self.acr_values), None)

    def needs_second_step(self, acr_values: str) -> bool:
        """Whether a login that is asked for these takes more than a password."""
        return self.supported_acr(acr_values) not in (None, self.acr_values[0])
