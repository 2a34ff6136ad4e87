"""Issues tokens: JWT access tokens (RFC 9068), rotating refresh tokens, ID tokens (OIDC Core
section 2), logout tokens (Back-Channel Logout section 2.4).

Never decides whether a token may be issued: the grants do.
"""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from bff.clock import Clock
from spa_demo.op.keys import SigningKeys
from spa_demo.op.records import (
    AuthorizationCode,
    DeviceCode,
    IssuedToken,
    OpSession,
    TokenFamily,
)
from spa_demo.op.settings import Client, OpSettings
from spa_demo.op.state import OpState, new_name

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
TokenResponse = dict[str, str | int]


class TokenIssuer:
    """Turns an accepted grant into a token response, and remembers what it issued."""

    def __init__(
        self, settings: OpSettings, state: OpState, keys: SigningKeys, clock: Clock
    ) -> None:
        self._settings = settings
        self._state = state
        self._keys = keys
        self._clock = clock

    def redeem(
        self,
        code: AuthorizationCode | DeviceCode,
        session: OpSession,
        resources: Sequence[str],
        jkt: str,
        *,
        with_refresh_token: bool,
    ) -> TokenResponse:
        """Open the token family of a code that `session` has allowed; the code is spent from here
        on. `jkt` is the key that the access token is bound to, as in the following; empty: none."""
        family = TokenFamily(
            id=new_name(),
            client_id=code.client_id,
            user=session.user,
            scope=code.scope,
            resources=code.resources,
            jkt=jkt,
            sid=session.sid,
            auth_time=session.auth_time,
            acr=code.acr,
        )
        code.family = self._state.open_family(family)
        return self._respond(
            family, family.scope, resources, jkt, with_refresh_token=with_refresh_token
        )

    def renew(
        self, spent: IssuedToken, scope: str, resources: Sequence[str], jkt: str
    ) -> TokenResponse:
        """Rotate: the presented refresh token is spent, its successor has the family's scope."""
        self._state.note_refresh(spent)
        return self._respond(spent.family, scope, resources, jkt, with_refresh_token=True)

    def exchange(
        self, subject: IssuedToken, scope: str, resources: Sequence[str], jkt: str
    ) -> TokenResponse:
        """A token of the same family, for another API (RFC 8693)."""
        return self._respond(subject.family, scope, resources, jkt, with_refresh_token=False)

    def for_client(
        self, client: Client, scope: str, resources: Sequence[str], jkt: str
    ) -> TokenResponse:
        """A token for the client itself (RFC 6749 section 4.4): never a refresh token."""
        family = TokenFamily(new_name(), client.client_id, user=None, scope=scope)
        self._state.open_family(family)
        return self._respond(family, scope, resources, jkt, with_refresh_token=False)

    def id_token(
        self, family: TokenFamily, access_token: str, scope: str, nonce: str | None
    ) -> str:
        """An ID token; `nonce` is given at the code exchange only (OIDC Core section 12.2)."""
        now = int(self._clock.now())
        claims: dict[str, object] = {
            "iss": self._settings.issuer,
            "sub": family.sub,
            "aud": family.client_id,
            "iat": now,
            "exp": now + self._settings.id_token_seconds,
            "auth_time": int(family.auth_time or now),
            "acr": family.acr,
            "sid": family.sid,
            "at_hash": half_hash(access_token),
        }
        if nonce:
            claims["nonce"] = nonce
        if self._settings.claims_in_id_token and family.user:
            claims |= family.user.claims(scope)
        return self._keys.sign(claims, typ="JWT")

    def logout_token(self, client_id: str, sub: str, sid: str | None) -> str:
        """A logout token; without `sid` it ends every session of the user."""
        now = int(self._clock.now())
        claims: dict[str, object] = {
            "iss": self._settings.issuer,
            "aud": client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(16),
            "events": {LOGOUT_EVENT: {}},
            "sub": sub,
        }
        if sid:
            claims["sid"] = sid
        return self._keys.sign(claims, typ="logout+jwt")

    def _respond(
        self,
        family: TokenFamily,
        scope: str,
        resources: Sequence[str],
        jkt: str,
        *,
        with_refresh_token: bool,
    ) -> TokenResponse:
        response: TokenResponse = {
            "access_token": self._access_token(family, scope, resources, jkt),
            "token_type": "DPoP" if jkt else "Bearer",
            "expires_in": self._settings.access_token_seconds,
            "scope": scope,
        }
        if with_refresh_token:
            response["refresh_token"] = self._refresh_token(family)
            if self._settings.announce_refresh_lifetime:
                response["refresh_expires_in"] = self._settings.refresh_token_seconds
        return response

    def _access_token(
        self, family: TokenFamily, scope: str, resources: Sequence[str], jkt: str
    ) -> str:
        audience = [*resources] if len(resources) > 1 else "".join(resources)
        now = self._clock.now()
        expires_at = int(now) + self._settings.access_token_seconds
        jti = secrets.token_urlsafe(16)
        claims: dict[str, object] = {
            "iss": self._settings.issuer,
            "sub": family.sub,
            "aud": audience or self._settings.audience,
            "client_id": family.client_id,
            "iat": int(now),
            "exp": expires_at,
            "jti": jti,
            "scope": scope,
        }
        if family.user:
            claims |= {"auth_time": int(family.auth_time or now), "acr": family.acr}
        token = IssuedToken("access_token", family, scope, now, expires_at, self._clock, jti)
        token.audience = audience or self._settings.audience
        token.jkt = jkt
        if jkt:
            claims["cnf"] = {"jkt": jkt}  # RFC 9449 section 6.1
        self._state.keep_token(jti, token)
        return self._keys.sign(claims, typ="at+jwt")

    def _refresh_token(self, family: TokenFamily) -> str:
        now = self._clock.now()
        expires_at = now + self._settings.refresh_token_seconds
        value = secrets.token_urlsafe(32)
        token = IssuedToken("refresh_token", family, family.scope, now, expires_at, self._clock)
        self._state.keep_token(value, token)
        return value


def half_hash(token: str) -> str:
    """`at_hash` for RS256: the left half of the SHA-256 (OIDC Core section 3.1.3.6)."""
    digest = sha256(token.encode("ascii")).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode("ascii")
