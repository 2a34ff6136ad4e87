"""Admits calls with an access token in the Authorization header only: a bearer token (RFC 6750
section 2.1), or one with a proof of the key that it is bound to (RFC 9449 section 7.1).
"""

import logging

from aiohttp import web

from bff.clock import Clock
from spa_demo.api.access_token import AccessToken, TokenRefused, read_kid, verify_access_token
from spa_demo.api.op_keys import KeysUnavailable, OpKeys
from spa_demo.api.problems import (
    Problem,
    insufficient_scope,
    insufficient_user_authentication,
    invalid_proof,
    invalid_token,
    nonce_wanted,
    token_missing,
)
from spa_demo.api.settings import ApiSettings
from spa_demo.dpop import FIELD, NonceWanted, ProofJudge, ProofRefused

log = logging.getLogger("spa_demo.api")


class Guard:
    """Asked by every protected handler before it does anything."""

    def __init__(self, settings: ApiSettings, keys: OpKeys, clock: Clock) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._proofs = ProofJudge(clock, wants_nonces=settings.dpop_nonces)

    async def offer_nonce(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Of every answer (an `on_response_prepare` handler)."""
        response.headers.update(self._proofs.headers())

    async def require_token(self, request: web.Request) -> AccessToken:
        """The verified token of the request.

        Raises: Problem: 401 without a good token, 503 while the OP's keys cannot be had.
        """
        scheme, value = _credentials(request)
        try:
            key = await self._keys.find(read_kid(value))
            if key is None:
                raise TokenRefused("kid")
            token = verify_access_token(value, key, self._settings, self._clock.now())
            self._require_holder(request, token, scheme, value)
            return token
        except TokenRefused as refused:
            log.info("access token refused: %s", refused)
            raise invalid_token() from None
        except KeysUnavailable:
            title = "Access tokens cannot be verified at the moment."
            raise Problem(503, "keys_unavailable", title, {"Retry-After": "2"}) from None

    def _require_holder(
        self, request: web.Request, token: AccessToken, scheme: str, value: str
    ) -> None:
        """The request is made with the key that the token is bound to.

        Raises:
            TokenRefused, Problem.
        """
        is_bound = bool(token.jkt)
        if is_bound != (scheme == "dpop") or (self._settings.requires_dpop and not is_bound):
            raise TokenRefused("scheme")
        if not is_bound:
            return
        url = f"{request.scheme}://{request.host}{request.rel_url.raw_path}"
        try:
            proofs = request.headers.getall(FIELD, [])
            jkt = self._proofs.thumbprint(proofs, request.method, url, value)
        except NonceWanted:
            raise nonce_wanted() from None
        except ProofRefused as refused:
            log.info("proof refused: %s", refused)
            raise invalid_proof() from None
        if jkt != token.jkt:
            raise TokenRefused("jkt")

    async def require_scope(self, request: web.Request, scope: str) -> AccessToken:
        """The verified token, which carries the scope.

        Raises: Problem: as `require_token`, and 403 without the scope.
        """
        token = await self.require_token(request)
        if scope not in token.scope:
            raise insufficient_scope(scope)
        return token

    async def require_strong_login(self, request: web.Request) -> AccessToken:
        """The verified token of a user whose login was strong and recent.

        Raises: Problem: as `require_token`, and 401 with what is wanted (RFC 9470).
        """
        token, settings = await self.require_token(request), self._settings
        oldest = self._clock.now() - settings.strong_login_seconds - settings.leeway_seconds
        if token.acr != settings.strong_acr or token.auth_time < oldest:
            raise insufficient_user_authentication(
                settings.strong_acr, settings.strong_login_seconds
            )
        return token


def _credentials(request: web.Request) -> tuple[str, str]:
    """The scheme, in lower case, and the token."""
    headers = request.headers.getall("Authorization", [])
    if not headers:
        raise token_missing()
    scheme, _, value = headers[0].partition(" ")
    is_known = scheme.lower() in ("bearer", "dpop")
    if len(headers) > 1 or not is_known or not value.strip():
        raise invalid_token()
    return scheme.lower(), value.strip()
