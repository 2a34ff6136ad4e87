"""The token endpoint over the wire. Always authenticated, never retried here: after a lost answer
nobody knows whether the code or the refresh token was spent."""

from collections.abc import Mapping

from bff.clock import Clock
from bff.model import Tokens
from bff.oidc.client_auth import ClientAuth, require_supported
from bff.oidc.discovery import Discovery
from bff.oidc.http import OpHttp
from bff.oidc.token_response import Grant, process_token_response


class TokenEndpoint:
    """Where grants become tokens."""

    def __init__(
        self,
        http: OpHttp,
        discovery: Discovery,
        auth: ClientAuth,
        clock: Clock,
        *,
        refresh_timeout_seconds: float,
    ) -> None:
        self._http = http
        self._discovery = discovery
        self._auth = auth
        self._clock = clock
        self._refresh_timeout_seconds = refresh_timeout_seconds

    async def request(
        self,
        grant: Grant,
        form: Mapping[str, str],
        *,
        scope: str,
        previous: Tokens | None = None,
    ) -> Tokens:
        """Present `grant` with the fields of `form`. Raises as `process_token_response`."""
        metadata = await self._discovery.metadata()
        require_supported(self._auth, metadata)
        sent_at = self._clock.now()
        answer = await self._http.post(
            "token",
            metadata.token_endpoint,
            {"grant_type": grant.value, **form, **self._auth.form},
            self._auth.headers,
            at_least_seconds=self._refresh_timeout_seconds if grant is Grant.REFRESH else 0.0,
        )
        return process_token_response(
            answer.status, answer.document, grant=grant, now=sent_at, scope=scope, previous=previous
        )
