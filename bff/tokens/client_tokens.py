"""Tokens of the gateway itself (client credentials, RFC 6749 section 4.4), one per scope."""

import asyncio

from bff.clock import Clock
from bff.errors import OpUnavailable
from bff.model import Tokens
from bff.oidc.relying_party import RelyingParty
from bff.tasks import SingleFlight
from bff.tokens.attempts import backing_off
from bff.tokens.backoff import Backoff

WAIT_SECONDS = 10.0


class ClientTokens:
    """A cache keyed by scope: no route can get a token that was asked for another scope. A caller
    waits for the OP for at most `wait_seconds`."""

    def __init__(
        self, relying_party: RelyingParty, clock: Clock, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._relying_party = relying_party
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._tokens: dict[str, Tokens] = {}
        self._flights: SingleFlight[Tokens] = SingleFlight()
        self._backoff = Backoff(clock)

    async def get(self, scope: str) -> Tokens:
        """A token for `scope`, good for at least a tenth of its lifetime.

        Raises:
            OpError: the OP did not give one.
        """
        tokens = self._tokens.get(scope)
        if tokens is not None and self._is_good(tokens):
            return tokens
        pause = self._backoff.remaining_seconds(scope)
        if pause > 0:
            raise backing_off(pause)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._flights.join(scope, lambda: self._fetch(scope))
        except TimeoutError:
            raise OpUnavailable("client credentials still under way", retry_after=1) from None

    def _is_good(self, tokens: Tokens) -> bool:
        return self._clock.now() < tokens.expires_at - tokens.lifetime_seconds / 10

    async def _fetch(self, scope: str) -> Tokens:
        try:
            tokens = await self._relying_party.client_credentials(scope)
        except Exception:
            self._backoff.failed(scope)
            raise
        self._backoff.succeeded(scope)
        self._tokens[scope] = tokens
        return tokens
