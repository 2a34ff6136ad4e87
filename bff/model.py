"""The values that cross the layers: tokens, sessions, login transactions; and what a session is
called where people see it. Plain frozen data, standard library only. Fields that hold a secret are
left out of `repr`."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

PUBLIC_ID_BYTES = 16
_PUBLIC_ID_LABEL = b"bff.session-public-id\n"

DEFAULT_FRONTEND = "default"  # the name of the application where no other is configured
DEFAULT_PROVIDER = "default"  # the name of the provider that is the only one
NO_CLAIMS: Mapping[str, object] = MappingProxyType({})
NO_TOKENS: "Mapping[str, Tokens]" = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tokens:
    """One token response of the OP (RFC 6749 section 5.1), in absolute time.

    `expires_at` is that of the access token; when the OP names no lifetime the documented default
    has already been applied. `refresh_expires_at` is None when the OP does not say.
    `authorization_details` are those granted (RFC 9396 section 7), as JSON text; empty where none
    were asked for. `dpop_key` is the private key that the access token is bound to (RFC 9449), None
    for a bearer token.
    """

    access_token: str = field(repr=False)
    obtained_at: float
    expires_at: float
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_at: float | None = None
    id_token: str | None = field(default=None, repr=False)
    scope: str = ""
    authorization_details: str = field(default="", repr=False)
    dpop_key: str | None = field(default=None, repr=False)

    @property
    def lifetime_seconds(self) -> float:
        return self.expires_at - self.obtained_at


@dataclass(frozen=True, slots=True)
class TokenTarget:
    """What an access token is for, as the OP is asked: `resource` is a URI (RFC 8707), `audience`
    a name that the OP knows the API by (RFC 8693), `scope` are scopes with a space between. Empty
    ones are not asked for, nor are empty `authorization_details` (RFC 9396), which are JSON text.
    A token is kept and found by all of it, its `key`."""

    resource: str = ""
    audience: str = ""
    scope: str = ""
    authorization_details: str = ""

    @property
    def key(self) -> str:
        details = f"\n{self.authorization_details}" if self.authorization_details else ""
        return f"{self.resource}\n{self.audience}\n{self.scope}{details}"

    def form(self) -> dict[str, str]:
        """As parameters of a token request."""
        named = {
            "resource": self.resource,
            "audience": self.audience,
            "scope": self.scope,
            "authorization_details": self.authorization_details,
        }
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Session:
    """What exists after a login. `key` is the SHA-256 (hex) of the cookie's id, never the id.

    `version` grows by one with every write of the record and guards it (compare-and-set).
    `idle_expires_at` is not part of the sealed record: the store keeps it beside, so that a touch
    never rewrites tokens. `expires_at` is the absolute end.
    `provider` names the OP and our client there. It is not part of the sealed record either: the
    record tells by its seal which client it was made for.
    `client` and `address` are the browser's User-Agent and IP address at the login; `address` is
    empty unless it is configured to be kept. `frontend` is the application it was made for. It is
    not part of the sealed record either, which tells by its seal. `organization` is the one that
    the login was asked for and has been proven to be for. `resources` are the APIs that the login
    asked for (RFC 8707), `asked_details` the authorization details (RFC 9396, JSON text) that it
    asked for beside the provider's own. `api_tokens` are access tokens for one API each, obtained
    with the same refresh token, by the key of their target.
    """

    key: str
    version: int
    issuer: str
    sub: str
    sid: str | None
    created_at: float
    expires_at: float
    idle_expires_at: float
    tokens: Tokens
    claims: Mapping[str, object] = field(default_factory=lambda: NO_CLAIMS, repr=False)
    acr: str | None = None
    auth_time: int | None = None
    client: str = ""
    address: str = ""
    organization: str | None = None
    resources: tuple[str, ...] = ()
    asked_details: str = field(default="", repr=False)
    api_tokens: Mapping[str, Tokens] = field(default_factory=lambda: NO_TOKENS, repr=False)
    provider: str = DEFAULT_PROVIDER
    frontend: str = DEFAULT_FRONTEND

    def is_live(self, now: float) -> bool:
        return now < self.expires_at and now < self.idle_expires_at

    def tokens_for(self, target: TokenTarget | None) -> Tokens | None:
        """Those that the session holds for a target; None stands for those of the login."""
        return self.tokens if target is None else self.api_tokens.get(target.key)

    @property
    def refreshed_at(self) -> float:
        """When the refresh token was last used, or came with the login."""
        return max(self.tokens.obtained_at, *(t.obtained_at for t in self.api_tokens.values()), 0.0)

    def last_seen_at(self, now: float, *, idle_seconds: float) -> float:
        """When it was last used. `idle_seconds` is its idle timeout, from which this is told: the
        idle expiry is the last activity plus the timeout, unless the absolute end cut it."""
        if self.idle_expires_at >= self.expires_at:
            return now
        return min(now, max(self.created_at, self.idle_expires_at - idle_seconds))


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """What a login by device code asks the OP about (RFC 8628 section 3.2), and how often: at most
    every `interval_seconds`, which the OP may raise, and while it is in trouble every
    `wait_seconds`. It is open until `expires_at`."""

    device_code: str = field(repr=False)
    expires_at: float
    interval_seconds: float
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class LoginTransaction:
    """What the beginning of a login must remember until its end: single use, bound to one browser.

    `binder_hash` is the SHA-256 (hex) of the binder cookie's value. `previous_session` is the key
    of the session the browser had when it started, to be ended by the callback. `organization` is
    the one that the user is to log in for, `resources` are the APIs that the OP is asked for,
    `passed_on` and `authorization_details` (JSON text) what else the browser asked of this very OP.
    `dpop_key` is the private key that the code, and then the tokens, are bound to (RFC 9449 section
    10). `user_issuer` and `user_sub` are those of the session that a step-up is about: no other
    user may come back. A login by device code has a `device`, and neither `nonce` nor
    `code_verifier`. `provider` is that of the request; as with a session, the seal tells it.
    """

    issuer: str
    code_verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    binder_hash: str
    return_url: str
    created_at: float
    prompt: str | None = None
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    previous_session: str | None = None
    organization: str | None = None
    resources: tuple[str, ...] = ()
    passed_on: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization_details: str = field(default="", repr=False)
    user_issuer: str | None = None
    user_sub: str | None = None
    device: DeviceGrant | None = None
    dpop_key: str | None = field(default=None, repr=False)
    provider: str = DEFAULT_PROVIDER

    @property
    def is_step_up(self) -> bool:
        return self.user_sub is not None


def public_id(session_key: str) -> str:
    """What a session is called in lists of devices, in the admin API, in commands and in logs.

    22 base64url characters, always the same for one session. Derived from its key and not to be
    turned back: it opens nothing, is no cookie and is not where the store keeps the session.
    """
    digest = hashlib.sha256(_PUBLIC_ID_LABEL + session_key.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[:PUBLIC_ID_BYTES]).rstrip(b"=").decode("ascii")
