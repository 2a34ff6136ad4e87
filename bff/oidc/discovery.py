"""The OP's metadata over the wire: fetched from the issuer's own .well-known address, kept an hour.

Redirects are not followed (RFC 8414 section 6.2: the address is what proves the issuer).
"""

from bff.clock import Clock
from bff.oidc.cached import Cached
from bff.oidc.http import OpHttp
from bff.oidc.metadata import ProviderMetadata, discovery_url, process_metadata


class Discovery:
    """Provider metadata of one issuer."""

    def __init__(
        self, http: OpHttp, clock: Clock, issuer: str, *, allow_insecure_http: bool = False
    ) -> None:
        self._http = http
        self._issuer = issuer
        self._allow_insecure_http = allow_insecure_http
        self._cached = Cached("metadata", self._fetch, clock)

    async def metadata(self) -> ProviderMetadata:
        """Raises: OpError when there is none and none can be had."""
        return await self._cached.get()

    async def close(self) -> None:
        await self._cached.close()

    async def _fetch(self) -> ProviderMetadata:
        answer = await self._http.get("discovery", discovery_url(self._issuer))
        return process_metadata(
            answer.status,
            answer.document,
            issuer=self._issuer,
            allow_insecure_http=self._allow_insecure_http,
        )
