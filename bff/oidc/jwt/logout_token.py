"""Logout tokens: what one must say, check by check (OpenID Connect Back-Channel Logout 1.0 sections
2.4 to 2.6). The numbers are those of the list in section 2.6.

The order is the defence: what needs no cryptography is judged first, and no key is fetched for a
token that does not even claim to be from our OP. (1) and (3) are `signed_jwt`'s: nothing encrypted,
only configured algorithms. (8), replay, needs a memory and is the caller's.

Section 2.4 only recommends `typ: logout+jwt`, and several OPs, as well as the certification suite,
send `JWT` or none. What keeps an ID token from passing then is that `events` must be there and
`nonce` must not; a token of another explicit type is refused (RFC 8725 section 3.11).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bff.clock import Clock
from bff.errors import LogoutTokenInvalid
from bff.model import DEFAULT_PROVIDER
from bff.oidc.jwt.id_token import IdTokenRules
from bff.oidc.jwt.key_source import KeySource
from bff.oidc.jwt.signed_jwt import JwtRefused, audiences_of, is_identifier, parse_jwt, time_of
from bff.oidc.provider.issuers import TENANT_CLAIM
from bff.oidc.provider.op_text import away, lacks, quoted

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_TYP: frozenset[str | None] = frozenset({"logout+jwt", "jwt", None})

# Section 2.4 recommends that a token lives two minutes; the rest is for an OP that tries again.
MAX_AGE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class LogoutTokenRules:
    """`common` is what holds for ID tokens as well (section 2.4). `allow_without_exp` is a
    relaxation: `exp` is required since the final version of the specification."""

    common: IdTokenRules
    session_required: bool = False
    allow_without_exp: bool = False


@dataclass(frozen=True, slots=True)
class LogoutNotice:
    """What the OP says is over: the session `sid`, or all of `sub`; never neither.

    At `expires_at` (epoch seconds) the token is refused as too old: so long must `jti` be known.
    """

    issuer: str
    sub: str | None
    sid: str | None
    jti: str
    expires_at: float
    provider: str = DEFAULT_PROVIDER


class LogoutTokenVerifier:
    """Applies one set of rules with the keys of one OP."""

    def __init__(self, keys: KeySource, rules: LogoutTokenRules, clock: Clock) -> None:
        self._keys = keys
        self._rules = rules
        self._clock = clock

    async def verify(self, logout_token: str) -> LogoutNotice:
        """What the token says, all checks passed but that for replay.

        Raises:
            LogoutTokenInvalid: `check` names the first check that failed.
            OpError: no keys can be had, so that nothing is known about the signature.
        """
        common = self._rules.common
        try:
            jwt = parse_jwt(logout_token, algs=common.algs, accept_typ=LOGOUT_TOKEN_TYP)
            _require_issuer(jwt.claims, common)
            verified = await self._keys.verify(jwt)  # (2)
        except JwtRefused as refused:
            raise LogoutTokenInvalid(refused.check, refused.detail) from None
        return verify_logout_claims(verified.claims, self._rules, self._clock.now())


def verify_logout_claims(
    claims: Mapping[str, object], rules: LogoutTokenRules, now: float
) -> LogoutNotice:
    """Judge the claims of a token whose signature has been verified.

    Raises:
        LogoutTokenInvalid: `check` names the first check that failed.
    """
    audiences = audiences_of(claims)
    common = rules.common
    issuer = _require_issuer(claims, common)  # (4)
    _require(
        "aud", common.client_id in audiences, lacks(claims.get("aud"), common.client_id)
    )  # (4)
    _require(
        "aud_untrusted",
        not common.untrusted(audiences),
        f"{quoted(common.untrusted(audiences))} is not in {common.table}.trusted_audiences",
    )  # (4)
    expires_at = _require_current(claims, rules, now)  # (4)
    sub, sid = (_identifier(claims, name) for name in ("sub", "sid"))
    _require("subject", sub is not None or sid is not None)  # (5)
    _require("sid", sid is not None or not rules.session_required)  # section 2.2
    events = claims.get("events")
    event = events.get(LOGOUT_EVENT) if isinstance(events, dict) else None
    _require("events", isinstance(event, dict))  # (6)
    _require("nonce", "nonce" not in claims)  # (7): an ID token is no logout token
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:  # section 2.4
        raise LogoutTokenInvalid("jti")
    return LogoutNotice(issuer, sub, sid, jti, expires_at)


def _require_current(claims: Mapping[str, object], rules: LogoutTokenRules, now: float) -> float:
    """When the token is too old to be accepted."""
    leeway = rules.common.leeway_seconds
    iat, exp, nbf = (time_of(claims, name) for name in ("iat", "exp", "nbf"))
    _require("iat", iat is not None and iat <= now + leeway, away(iat, now))
    _require("exp", exp is not None or (rules.allow_without_exp and "exp" not in claims))
    _require("nbf", "nbf" not in claims or (nbf is not None and nbf <= now + leeway))
    oldest_end = (iat or 0) + MAX_AGE_SECONDS + leeway
    _require("iat_old", now < oldest_end, away(iat, now))
    _require("exp", exp is None or now < exp + leeway, away(exp, now))
    return oldest_end if exp is None else min(oldest_end, exp + leeway)


def _identifier(claims: Mapping[str, object], name: str) -> str | None:
    """None when it is absent; a claim that is there but names no user or session is refused."""
    value = claims.get(name)
    if is_identifier(value):
        return value
    _require(name, name not in claims)
    return None


def _require_issuer(claims: Mapping[str, object], rules: IdTokenRules) -> str:
    """The issuer that it names: where the provider's is a template, that of a tenant. Section 2.4
    knows no `tid`, but one that is there must be this tenant."""
    found = claims.get("iss")
    has_tenant = TENANT_CLAIM in claims and rules.issuers.is_template
    other = rules.issuers.why_not_of_user(claims) if has_tenant else rules.issuers.why_not(found)
    if other is not None or not isinstance(found, str):
        raise LogoutTokenInvalid("iss", other or "")
    return found


def _require(check: str, held: bool, detail: str = "") -> None:
    if not held:
        raise LogoutTokenInvalid(check, detail)
