"""`GET /bff/jwks`: the public keys of the gateway as a client, for OPs that know it by them
(RFC 7517 section 5, RFC 7591 section 2). The same for every caller, so that it may be cached.
"""

import json
from collections.abc import Sequence

from aiohttp import web

from bff.errors import OpUnavailable
from bff.gate.outcome import Local
from bff.oidc.settings import RelyingPartySettings, jwk_set

CONTENT_TYPE = "application/jwk-set+json"  # RFC 7517 section 8.5.2
# Short enough that a new key is known soon, without a request of the OP for each assertion.
MAX_AGE_SECONDS = 300


class Jwks:
    """Those of all providers of one application."""

    def __init__(self, clients: Sequence[RelyingPartySettings]) -> None:
        self._clients = clients

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        try:
            document = jwk_set(self._clients)
        except (OSError, ValueError):  # of a certificate that is being replaced
            raise OpUnavailable("jwks: the client certificate can't be read") from None
        return web.Response(
            body=json.dumps(document).encode("ascii"),
            content_type=CONTENT_TYPE,
            headers={"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}"},
        )
