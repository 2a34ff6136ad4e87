"""What an ID token must say, check by check (OIDC Core sections 2, 3.1.3.7, 3.1.3.8 and 12.2). The
numbers are those of the list in section 3.1.3.7; (6) and (7) are `signed_jwt`'s.

The checks are pure: they take claims whose signature has been verified, and the time.
`IdTokenVerifier` applies them to tokens from both places they come from, the code exchange and the
refresh: shape, cheap checks, signature, claims, in that order.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from bff.clock import Clock
from bff.errors import IdTokenInvalid, OpError, StepUpNotMet
from bff.model import LoginTransaction, Session, Tokens
from bff.oidc.jwt.jwks import KEY_OF_ALG
from bff.oidc.jwt.key_source import KeySource
from bff.oidc.jwt.signed_jwt import (
    JwtRefused,
    UnverifiedJwt,
    VerifiedJwt,
    audiences_of,
    is_identifier,
    parse_jwt,
    stated_claims,
    time_of,
)
from bff.oidc.provider.issuers import TrustedIssuers
from bff.oidc.provider.op_text import away, differs, lacks, quoted
from bff.oidc.step_up import StepUp, StepUpRules

MAX_LOGIN_AGE_SECONDS = 600
ID_TOKEN_TYP: frozenset[str | None] = frozenset({None, "jwt"})  # RFC 8725 section 3.11

# Checks that say "of no use", not "another user".
CHECKS_OF_USE = frozenset({"exp", "nbf", "iat", "sid", "acr", "auth_time"})


@dataclass(frozen=True, slots=True)
class IdTokenRules:
    """What stays the same from login to login. `algs` is the configuration's, never the OP's, as
    are the tenants that may log in where `issuer` is a template."""

    issuer: str
    client_id: str
    algs: frozenset[str]
    trusted_audiences: frozenset[str] = frozenset()
    leeway_seconds: float = 30.0
    table: str = "oidc"
    audience_pattern: str | None = None
    tenants: frozenset[str] = frozenset()
    any_tenant: bool = False
    acr_order: tuple[str, ...] = ()

    @property
    def issuers(self) -> TrustedIssuers:
        return TrustedIssuers(self.issuer, self.tenants, self.any_tenant)

    @property
    def step_up(self) -> StepUpRules:
        return StepUpRules(self.acr_order, leeway_seconds=self.leeway_seconds)

    def untrusted(self, audiences: frozenset[str]) -> frozenset[str]:
        """Those that may not stand beside us in `aud`."""
        others = audiences - {self.client_id} - self.trusted_audiences
        return frozenset(one for one in others if not self._fits(one))

    def _fits(self, audience: str) -> bool:
        if self.audience_pattern is None:
            return False
        first, *others = map(re.escape, self.audience_pattern.split("*"))
        # What stands between two stars is looked for once: with many of them, trying every place
        # again would take hours.
        between = "".join(f"(?>.*?{part})" for part in others[:-1])
        last = f".*{others[-1]}" if others else ""
        return re.fullmatch(first + between + last, audience, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class EndUser:
    """The user that a verified ID token names, and how they were authenticated. `issuer` is the
    token's own, never a template."""

    sub: str
    sid: str | None
    acr: str | None
    auth_time: int | None
    claims: Mapping[str, object] = field(repr=False)
    issuer: str


def verify_login_id_token(
    jwt: VerifiedJwt,
    rules: IdTokenRules,
    *,
    nonce: str | None,
    access_token: str,
    now: float,
    begun_at: float = 0.0,
) -> EndUser:
    """The user in the ID token of a login.

    A login by device code, in which the OP is sent no nonce, has None: then the token must have
    none either, which would be that of another request, and must not be older than the login.

    Raises:
        IdTokenInvalid: `check` names the first one that failed.
    """
    claims = jwt.claims
    _require_addressed_to_us(claims, rules)
    _require("nonce", nonce != "" and claims.get("nonce") == nonce)  # (11)
    _require("at_hash", _is_bound_to(access_token, claims, jwt.alg))
    _require_current(claims, rules, now)
    oldest = now - MAX_LOGIN_AGE_SECONDS - rules.leeway_seconds
    iat = time_of(claims, "iat") or 0
    _require("iat", iat >= oldest, away(iat, now))  # (10)
    if nonce is None:
        _require("iat", iat >= begun_at - rules.leeway_seconds, away(iat, begun_at))
    return _end_user(claims)


def require_same_end_user(
    claims: Mapping[str, object], rules: IdTokenRules, session: Session, nonce: str | None
) -> None:
    """OIDC Core section 12.2: a refreshed ID token is from the same OP, for us, about the same
    user. `nonce` is the login's, where still known. May be asked of claims not verified yet.

    Raises:
        IdTokenInvalid: the token contradicts the session.
    """
    _require_addressed_to_us(claims, rules)
    _require("iss", claims.get("iss") == session.issuer)
    _require("sub", claims.get("sub") == session.sub)
    _require("nonce", nonce is None or claims.get("nonce", nonce) == nonce)


def verify_refreshed_id_token(
    jwt: VerifiedJwt,
    rules: IdTokenRules,
    *,
    session: Session,
    nonce: str | None,
    access_token: str,
    now: float,
) -> EndUser:
    """The user in the ID token of a refresh: the same user as that of `session`.

    Raises:
        IdTokenInvalid: a check in `CHECKS_OF_USE` means that the token is no use, any other that
            it contradicts the session.
    """
    require_same_end_user(jwt.claims, rules, session, nonce)
    _require("at_hash", _is_bound_to(access_token, jwt.claims, jwt.alg))
    _require_current(jwt.claims, rules, now)
    return _end_user(jwt.claims)


def require_step_up(user: EndUser, asked: StepUp, rules: StepUpRules, now: float) -> None:
    """What this login asked for was done (OIDC Core section 3.1.2.1, RFC 9470 section 5).

    Raises:
        StepUpNotMet: `acr` is not one of `asked.acr_values` or stronger, or `auth_time` is missing
            or too old.
    """
    unmet = rules.why_unmet(asked, user.acr, user.auth_time, now)  # (12), (13)
    if unmet is not None:
        raise StepUpNotMet(unmet)


def _require(check: str, held: bool, detail: str = "") -> None:
    if not held:
        raise IdTokenInvalid(check, detail)


def _require_addressed_to_us(claims: Mapping[str, object], rules: IdTokenRules) -> None:
    audiences = audiences_of(claims)
    others = audiences - {rules.client_id}
    azp = claims.get("azp")
    _require("events", "events" not in claims)  # a logout or security event token
    other_issuer = rules.issuers.why_not_of_user(claims)
    _require("iss", other_issuer is None, other_issuer or "")  # (2)
    _require("aud", rules.client_id in audiences, lacks(claims.get("aud"), rules.client_id))  # (3)
    _require(
        "aud_untrusted",
        not rules.untrusted(audiences),
        f"{quoted(rules.untrusted(audiences))} is not in {rules.table}.trusted_audiences",
    )  # (3)
    _require("azp", azp is not None or not others, "is missing beside several audiences")  # (4)
    _require("azp", azp is None or azp == rules.client_id, differs(azp, rules.client_id))  # (5)
    _require("sub", is_identifier(claims.get("sub")))  # section 2


def _require_current(claims: Mapping[str, object], rules: IdTokenRules, now: float) -> None:
    exp, iat, nbf = (time_of(claims, name) for name in ("exp", "iat", "nbf"))
    latest = now + rules.leeway_seconds
    _require("exp", exp is not None and now < exp + rules.leeway_seconds, away(exp, now))  # (9)
    _require("iat", iat is not None and iat <= latest, away(iat, now))  # section 2
    if "nbf" in claims:
        _require("nbf", nbf is not None and nbf <= latest, away(nbf, now))  # RFC 7519 4.1.5


def _end_user(claims: Mapping[str, object]) -> EndUser:
    sub, sid, acr, iss = (claims.get(name) for name in ("sub", "sid", "acr", "iss"))
    auth_time = time_of(claims, "auth_time")
    if not isinstance(sub, str):
        raise IdTokenInvalid("sub")
    if not isinstance(iss, str):
        raise IdTokenInvalid("iss")
    if sid is not None and not (isinstance(sid, str) and is_identifier(sid)):
        raise IdTokenInvalid("sid")
    if not isinstance(acr, str | None):
        raise IdTokenInvalid("acr")
    _require("auth_time", auth_time is not None or claims.get("auth_time") is None)
    return EndUser(sub, sid, acr, None if auth_time is None else int(auth_time), claims, iss)


def _is_bound_to(access_token: str, claims: Mapping[str, object], alg: str) -> bool:
    """Section 3.1.3.8: `at_hash`, where present, is the left half of the token's hash."""
    if "at_hash" not in claims:
        return True
    name = "sha512" if alg in {"EdDSA", "Ed25519"} else f"sha{alg[2:]}"
    digest = hashlib.new(name, access_token.encode("ascii")).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")
    return claims["at_hash"] == half


log = structlog.get_logger("bff.oidc")


class IdTokenVerifier:
    """Applies one set of rules with the keys of one OP."""

    def __init__(self, keys: KeySource, rules: IdTokenRules, clock: Clock) -> None:
        self._keys = keys
        self._rules = rules
        self._clock = clock

    async def login(self, tokens: Tokens, transaction: LoginTransaction) -> EndUser:
        """The user of the login that `transaction` asked for.

        Raises:
            IdTokenInvalid: no ID token, or one that fails a check.
            StepUpNotMet: the authentication is weaker or older than was asked.
            OpError: no keys can be had.
        """
        jwt = self._parsed(tokens.id_token)
        try:
            verified = await self._keys.verify(jwt)
        except JwtRefused as refused:
            raise IdTokenInvalid(refused.check, refused.detail) from None
        now = self._clock.now()
        user = verify_login_id_token(
            verified,
            self._rules,
            nonce=transaction.nonce if transaction.device is None else None,
            access_token=tokens.access_token,
            now=now,
            begun_at=transaction.created_at,
        )
        require_step_up(
            user, StepUp(transaction.acr_values, transaction.max_age), self._rules.step_up, now
        )
        return user

    async def refreshed(self, tokens: Tokens, session: Session) -> EndUser | None:
        """The user in a refreshed ID token, or None when it cannot be used just now.

        An OP may leave this token out (OIDC Core section 12.2), so one whose signature cannot be
        verified is as good as none: whether it is the keys that are old, or a replica of the OP
        that has others, or an algorithm that is not configured here, it is worth no session. What
        it says about the user must be right all the same.

        Raises:
            IdTokenInvalid: the token contradicts the session.
        """
        text, nonce = tokens.id_token or "", self._login_nonce(session)
        stated = stated_claims(text)
        if stated is not None:
            require_same_end_user(stated, self._rules, session, nonce)
        try:
            jwt = parse_jwt(text, algs=self._rules.algs, accept_typ=ID_TOKEN_TYP)
            verified = await self._keys.verify(jwt)
            return verify_refreshed_id_token(
                verified,
                self._rules,
                session=session,
                nonce=nonce,
                access_token=tokens.access_token,
                now=self._clock.now(),
            )
        except OpError as error:
            log.warning("refreshed_id_token_left_out", reason=error.code, detail=error.log_detail)
        except JwtRefused as refused:
            log.warning("refreshed_id_token_left_out", reason=refused.check, detail=refused.detail)
        except IdTokenInvalid as invalid:
            if invalid.check not in CHECKS_OF_USE:
                raise
            log.warning(
                "refreshed_id_token_left_out", reason=invalid.check, detail=invalid.log_detail
            )
        return None

    def _parsed(self, id_token: str | None) -> UnverifiedJwt:
        if id_token is None:
            raise IdTokenInvalid("missing")
        try:
            return parse_jwt(id_token, algs=self._rules.algs, accept_typ=ID_TOKEN_TYP)
        except JwtRefused as refused:
            raise IdTokenInvalid(refused.check, refused.detail) from None

    def _login_nonce(self, session: Session) -> str | None:
        """The nonce in the ID token the session holds, which was verified when it came."""
        try:
            held = parse_jwt(
                session.tokens.id_token or "", algs=KEY_OF_ALG.keys(), accept_typ=ID_TOKEN_TYP
            )
        except JwtRefused:
            return None
        nonce = held.claims.get("nonce")
        return nonce if isinstance(nonce, str) else None
