"""The OP's public keys, fetched when first needed and again, throttled, for an unknown `kid`.

A failing fetch keeps the keys already known. OIDC Discovery section 4, OIDC Core section 10.1.1.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from bff.clock import Clock
from spa_demo.api.settings import ApiSettings

FETCH_TIMEOUT_SECONDS = 5
MAX_DOCUMENT_BYTES = 256 * 1024


class KeysUnavailable(Exception):
    """The OP's keys are not known and cannot be had right now."""


class OpKeys:
    """Looks signing keys up by `kid`."""

    def __init__(self, settings: ApiSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._fetch_allowed_at = 0.0
        self._fetching = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Open the connection pool for the application's life (a `cleanup_ctx`)."""
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=jar) as self._http:
            yield

    async def find(self, kid: str) -> Key | None:
        """The key, or None when the OP does not publish it.

        Raises: KeysUnavailable when nothing at all is known.
        """
        if kid not in self._keys:
            async with self._fetching:
                if kid not in self._keys:
                    await self._refresh()
        if not self._keys:
            raise KeysUnavailable
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        now = self._clock.now()
        if now < self._fetch_allowed_at:
            return
        try:
            keys = KeySet.import_key_set(await self._fetch_jwks())
        except (aiohttp.ClientError, TimeoutError, JoseError, ValueError, KeyError, TypeError):
            # With no key at all every request waits for the OP: try again soon.
            self._fetch_allowed_at = now + (
                self._settings.jwks_cooldown_seconds if self._keys else 1
            )
            return
        self._fetch_allowed_at = now + self._settings.jwks_cooldown_seconds
        self._keys = {str(key.kid): key for key in keys if _is_for_signatures(key)}

    async def _fetch_jwks(self) -> Any:
        issuer = self._settings.issuer
        usual = f"{issuer}/.well-known/openid-configuration"
        metadata = await self._fetch(self._settings.discovery_url or usual)
        if metadata["issuer"] != issuer:  # OIDC Discovery section 4.3
            raise ValueError("issuer")
        return await self._fetch(metadata["jwks_uri"])

    async def _fetch(self, url: str) -> Any:
        if self._http is None:
            raise RuntimeError("the application is not running")
        async with self._http.get(url, allow_redirects=False) as response:
            response.raise_for_status()
            body = await response.content.read(MAX_DOCUMENT_BYTES + 1)
            while not response.content.at_eof() and len(body) <= MAX_DOCUMENT_BYTES:
                body += await response.content.read(MAX_DOCUMENT_BYTES + 1)
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ValueError("size")
        return json.loads(body)


def _is_for_signatures(key: Key) -> bool:
    return key.key_type == "RSA" and key.get("use", "sig") == "sig"
