"""Token revocation (RFC 7009) at logout: the best that can be done in a few seconds. It never
stands in the way of the logout itself, so it reports instead of raising."""

import asyncio

import structlog

from bff.errors import OpError
from bff.model import Tokens
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.provider.metadata import Discovery
from bff.oidc.provider.op_text import error_code

MAX_RETRIES = 2
RETRY_PAUSE_SECONDS = 0.2
UNSUPPORTED = "unsupported_token_type"

log = structlog.get_logger("bff.oidc")


class Revocation:
    """Revokes at one OP; `patience_seconds` bounds a whole call, retries included."""

    def __init__(
        self, requests: ClientRequests, discovery: Discovery, patience_seconds: float
    ) -> None:
        self._requests = requests
        self._discovery = discovery
        self._patience_seconds = patience_seconds

    async def revoke(self, tokens: Tokens) -> str | None:
        """Revoke the refresh token, if there is one, and the access token.

        None when the OP has confirmed the first of them: with it the grant is gone (RFC 7009
        section 2.1). Also when it has no revocation endpoint, where there is nothing to be done.
        Or none for this type of token (`unsupported_token_type`, section 2.2.1). Otherwise the
        reason, for the log.
        """
        reasons: list[str | None] = []
        try:
            async with asyncio.timeout(self._patience_seconds):
                endpoint = (await self._discovery.metadata()).revocation_endpoint
                if endpoint is None:
                    return None
                if tokens.refresh_token is not None:
                    reasons.append(
                        await self._revoke(endpoint, tokens.refresh_token, "refresh_token")
                    )
                reasons.append(await self._revoke(endpoint, tokens.access_token, "access_token"))
        except OpError as error:
            reasons.append(error.log_detail)
        except TimeoutError:
            reasons.append("revocation: no answer in time")
        return reasons[0]

    async def _revoke(self, endpoint: str, token: str, hint: str) -> str | None:
        form = {"token": token, "token_type_hint": hint}
        retries = 0
        while True:
            try:
                answer = await self._requests.post("revocation", endpoint, form)
                break
            except OpError:  # RFC 7009 section 2.2.1: a 503 may be tried again
                if retries == MAX_RETRIES:
                    raise
            retries += 1
            await asyncio.sleep(RETRY_PAUSE_SECONDS * retries)
        if answer.status == 200:  # a token the OP does not know is a 200 too (section 2.2)
            return None
        code = error_code(answer.document)
        reason = f"revocation: status {answer.status}, error {code}"
        log.debug("revocation_refused", hint=hint, reason=reason)
        # Many OPs can't revoke an access token that is a JWT: nothing is wrong.
        return None if code == UNSUPPORTED else reason
