"""ID tokens from the two places they come from, the code exchange and the refresh: shape, cheap
checks, signature, claims, in that order.
"""

import structlog

from bff.clock import Clock
from bff.errors import IdTokenInvalid, OpError
from bff.model import LoginTransaction, Session, Tokens
from bff.oidc.id_token import (
    CHECKS_OF_USE,
    ID_TOKEN_TYP,
    EndUser,
    IdTokenRules,
    require_same_end_user,
    require_step_up,
    verify_login_id_token,
    verify_refreshed_id_token,
)
from bff.oidc.jwks import KEY_OF_ALG
from bff.oidc.key_source import KeySource
from bff.oidc.signed_jwt import JwtRefused, UnverifiedJwt, parse_jwt, stated_claims

log = structlog.get_logger("bff.oidc")


class IdTokenVerifier:
    """Applies one set of rules with the keys of one OP."""

    def __init__(self, keys: KeySource, rules: IdTokenRules, clock: Clock) -> None:
        self._keys = keys
        self._rules = rules
        self._clock = clock

    async def login(self, tokens: Tokens, transaction: LoginTransaction) -> EndUser:
        """The user who has just logged in, as `transaction` asked.

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
            nonce=transaction.nonce,
            access_token=tokens.access_token,
            now=now,
        )
        require_step_up(
            user,
            acr_values=transaction.acr_values,
            max_age=transaction.max_age,
            now=now,
            leeway=self._rules.leeway_seconds,
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
