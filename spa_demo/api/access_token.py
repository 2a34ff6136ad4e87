"""Verifies JWT access tokens: RFC 9068 section 4, RFC 8725 sections 3.1 and 3.11. Pure.

Only RS256, only `typ: at+jwt`, only keys that the caller found under the token's `kid`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from spa_demo.api.settings import ApiSettings

ALGORITHM = "RS256"
TYPES = frozenset({"at+jwt", "application/at+jwt"})
MAX_TOKEN_CHARS = 4096


class TokenRefused(Exception):
    """The token is not one that this API accepts. The text names the check, never a value."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What the API needs to know of a verified token. `exp` and `auth_time` are epoch seconds;
    `acr` is None and `auth_time` 0 where no user has logged in. `jkt` is the key that it is bound
    to, empty for a bearer token."""

    sub: str
    client_id: str
    scope: frozenset[str]
    exp: int
    acr: str | None = None
    auth_time: float = 0.0
    jkt: str = ""


def read_kid(token: str) -> str:
    """The `kid` of a token that is not verified yet, after the checks that need no key.

    Raises: TokenRefused.
    """
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise TokenRefused("size")
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
    except (JoseError, ValueError):
        raise TokenRefused("form") from None
    if str(header.get("typ")).lower() not in TYPES:  # RFC 9068 section 4
        raise TokenRefused("typ")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise TokenRefused("kid")
    return kid


def verify_access_token(token: str, key: Key, settings: ApiSettings, now: float) -> AccessToken:
    """Verify signature and claims.

    Raises: TokenRefused.
    """
    try:
        claims = jwt.decode(token, key, [ALGORITHM]).claims
    except (JoseError, ValueError):
        raise TokenRefused("signature") from None
    if claims.get("iss") != settings.issuer:
        raise TokenRefused("iss")
    audience = claims.get("aud")
    if settings.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenRefused("aud")
    exp = _seconds(claims, "exp")
    if now >= exp + settings.leeway_seconds:
        raise TokenRefused("exp")
    if "nbf" in claims and now < _seconds(claims, "nbf") - settings.leeway_seconds:
        raise TokenRefused("nbf")
    return AccessToken(
        sub=_text(claims, "sub"),
        client_id=_text(claims, "client_id"),
        scope=frozenset(str(claims.get("scope", "")).split()),
        exp=int(exp),
        acr=str(claims["acr"]) if "acr" in claims else None,
        auth_time=_seconds(claims, "auth_time") if "auth_time" in claims else 0.0,
        jkt=_bound_to(claims),
    )


def _bound_to(claims: Mapping[str, Any]) -> str:
    """RFC 7800 section 3.1: a token that is bound in a way that is not known here is not taken."""
    if "cnf" not in claims:
        return ""
    bound = claims["cnf"]
    jkt = bound.get("jkt") if isinstance(bound, dict) else None
    if not isinstance(jkt, str) or not jkt:
        raise TokenRefused("cnf")
    return jkt


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float):
        raise TokenRefused(name)
    return float(value)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise TokenRefused(name)
    return value
