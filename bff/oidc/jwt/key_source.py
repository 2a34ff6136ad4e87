"""The OP's keys over the wire: kept an hour, renewed once when a signature does not fit any of them
(OIDC Core section 10.1.1), at most every ten seconds whatever arrives.

Some OPs make a new key under the `kid` of the old one, so a bad signature of a known key is a
reason to look again, as an unknown `kid` is.
"""

from bff.clock import Clock
from bff.oidc.jwt.jwks import ProviderKeys, process_jwks
from bff.oidc.jwt.signed_jwt import JwtRefused, UnverifiedJwt, VerifiedJwt, verify_signature
from bff.oidc.provider.cached import Cached
from bff.oidc.provider.http import OpHttp
from bff.oidc.provider.metadata import Discovery

RENEWAL_INTERVAL_SECONDS = 10.0


class KeySource:
    """Verifies signatures with the keys of one OP."""

    def __init__(self, http: OpHttp, discovery: Discovery, clock: Clock) -> None:
        self._http = http
        self._discovery = discovery
        self._clock = clock
        self._cached = Cached("jwks", self._fetch, clock, provider=discovery.provider)
        self._renewable_at = 0.0

    @property
    def fetched_at(self) -> float | None:
        """When the keys came, in epoch seconds; None: there are none yet."""
        return self._cached.fetched_at

    async def keys(self) -> ProviderKeys:
        """Raises: OpError when there are none and none can be had."""
        return await self._cached.get()

    async def verify(self, jwt: UnverifiedJwt) -> VerifiedJwt:
        """Verify with the keys we have and, where none of them fits, with those of today.

        Raises:
            JwtRefused: the signature is not one of the OP's.
            OpError: no keys can be had, so that nothing is known about the signature.
        """
        try:
            return verify_signature(jwt, await self._cached.get())
        except JwtRefused:
            return verify_signature(jwt, await self._renewed())

    async def close(self) -> None:
        await self._cached.close()

    async def _renewed(self) -> ProviderKeys:
        """Keys fetched from now on, or what the last fetch brought when it is too early to ask."""
        if not self._cached.in_flight:
            if self._clock.now() < self._renewable_at:
                return self._cached.settled()
            self._renewable_at = self._clock.now() + RENEWAL_INTERVAL_SECONDS
        return await self._cached.renew()

    async def _fetch(self) -> ProviderKeys:
        metadata = await self._discovery.metadata()
        answer = await self._http.get("jwks", metadata.jwks_uri)
        return process_jwks(answer.status, answer.document)
