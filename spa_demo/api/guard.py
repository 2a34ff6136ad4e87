"""Admits calls with a bearer token in the Authorization header (RFC 6750 section 2.1) only."""

import logging

from aiohttp import web

from bff.clock import Clock
from spa_demo.api.access_token import AccessToken, TokenRefused, read_kid, verify_access_token
from spa_demo.api.op_keys import KeysUnavailable, OpKeys
from spa_demo.api.problems import (
    Problem,
    insufficient_scope,
    insufficient_user_authentication,
    invalid_token,
    token_missing,
)
from spa_demo.api.settings import ApiSettings

log = logging.getLogger("spa_demo.api")


class Guard:
    """Asked by every protected handler before it does anything."""

    def __init__(self, settings: ApiSettings, keys: OpKeys, clock: Clock) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock

    async def require_token(self, request: web.Request) -> AccessToken:
        """The verified token of the request.

        Raises: Problem: 401 without a good token, 503 while the OP's keys cannot be had.
        """
        value = _bearer(request)
        try:
            key = await self._keys.find(read_kid(value))
            if key is None:
                raise TokenRefused("kid")
            return verify_access_token(value, key, self._settings, self._clock.now())
        except TokenRefused as refused:
            log.info("access token refused: %s", refused)
            raise invalid_token() from None
        except KeysUnavailable:
            title = "Access tokens cannot be verified at the moment."
            raise Problem(503, "keys_unavailable", title, {"Retry-After": "2"}) from None

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


def _bearer(request: web.Request) -> str:
    headers = request.headers.getall("Authorization", [])
    if not headers:
        raise token_missing()
    scheme, _, value = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not value.strip():
        raise invalid_token()
    return value.strip()
