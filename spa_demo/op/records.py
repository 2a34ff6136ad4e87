"""What the OP remembers: sessions, interactions, codes, token families, tokens.

Mutable records owned by `state.OpState`; nothing else writes them. `repr` shows no secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin

from bff.clock import Clock
from spa_demo.op.settings import User


@dataclass(slots=True)
class OpSession:
    """One browser's login at the OP. `sid` is public (it goes into tokens), `cookie` is not."""

    cookie: str = field(repr=False)
    sid: str
    user: User
    auth_time: float
    acr: str
    expires_at: float
    consents: dict[str, frozenset[str]] = field(default_factory=dict)
    client_ids: set[str] = field(default_factory=set)

    def has_consented(self, client_id: str, scope: str) -> bool:
        return set(scope.split()) <= self.consents.get(client_id, frozenset())


@dataclass(slots=True)
class Interaction:
    """An authorization request that waits for its user, in the browser that brought it.

    `login_sid` names the session that was opened or renewed for it, if any.
    """

    id: str = field(repr=False)
    browser: str = field(repr=False)
    parameters: Mapping[str, str]
    expires_at: float
    login_sid: str | None = None


@dataclass(slots=True)
class TokenFamily:
    """All tokens that descend from one authorization, and are revoked together.

    `user` is None for a client acting for itself. Access tokens may be for `resources`. With `jkt`
    only the holder of this key may refresh.
    `revoked_because` is None until then.
    """

    id: str
    client_id: str
    user: User | None
    scope: str
    resources: tuple[str, ...] = ()
    jkt: str = ""
    sid: str | None = None
    auth_time: float | None = None
    acr: str | None = None
    refresh_expires_at: float = 0.0
    revoked_because: str | None = None

    @property
    def sub(self) -> str:
        return self.user.sub if self.user else self.client_id


@dataclass(slots=True)
class AuthorizationCode(AuthorizationCodeMixin):
    """A code, kept past its use so that a second use is recognised. With `jkt` it is of use to the
    holder of this key only."""

    value: str = field(repr=False)
    client_id: str
    redirect_uri: str
    scope: str
    session: OpSession
    acr: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str
    expires_at: float
    resources: tuple[str, ...] = ()
    jkt: str = ""
    family: TokenFamily | None = None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass(slots=True)
class DeviceCode:
    """A login that waits for its user at another device (RFC 8628). The methods are those that
    Authlib asks of it. `session` is the one that allowed it."""

    value: str = field(repr=False)
    user_code: str = field(repr=False)
    client_id: str
    scope: str
    resources: tuple[str, ...]
    interval: float
    clock: Clock = field(repr=False)
    expires_at: float
    next_poll_at: float = 0.0
    is_denied: bool = False
    session: OpSession | None = None
    acr: str = ""
    family: TokenFamily | None = None

    @property
    def is_decided(self) -> bool:
        return self.is_denied or self.session is not None

    def get_client_id(self) -> str:
        return self.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_user_code(self) -> str:
        return self.user_code

    def is_expired(self) -> bool:
        return self.clock.now() >= self.expires_at


@dataclass(slots=True)
class IssuedToken(TokenMixin):
    """An access or refresh token. `spent` marks a refresh token that was rotated away; `jkt` is the
    key that an access token is bound to."""

    kind: Literal["access_token", "refresh_token"]
    family: TokenFamily
    scope: str
    issued_at: float
    expires_at: float
    clock: Clock = field(repr=False)
    jti: str = ""
    audience: str | list[str] = ""
    jkt: str = ""
    spent: bool = False
    revoked: bool = False

    def check_client(self, client: ClientMixin) -> bool:
        return self.family.client_id == client.get_client_id()

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return int(self.expires_at - self.issued_at)

    def is_expired(self) -> bool:
        return self.clock.now() >= self.expires_at

    def is_revoked(self) -> bool:
        return self.revoked or self.spent or self.family.revoked_because is not None
