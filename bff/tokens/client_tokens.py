"""Tokens of the gateway itself (client credentials, RFC 6749 section 4.4), one for each target."""

import asyncio

from bff.clock import Clock
from bff.errors import ApiTokenRefused, OpUnavailable
from bff.model import Tokens, TokenTarget
from bff.oidc.relying_party import RelyingParty
from bff.tasks import SingleFlight
from bff.tokens.attempts import backing_off
from bff.tokens.backoff import Backoff, RefusedTargets

WAIT_SECONDS = 10.0


class ClientTokens:
    """A cache keyed by all that a token was asked for: no route can get one for another API or
    scope. A caller waits for the OP for at most `wait_seconds`."""

    def __init__(
        self, relying_party: RelyingParty, clock: Clock, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._relying_party = relying_party
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._tokens: dict[str, Tokens] = {}
        self._flights: SingleFlight[Tokens] = SingleFlight()
        self._backoff = Backoff(clock)
        self._refused = RefusedTargets(clock)

    async def get(self, target: TokenTarget) -> Tokens:
        """A token for `target`, good for at least a tenth of its lifetime.

        Raises:
            ApiTokenRefused: the OP gives none for this target, as it said a moment ago or just now.
            OpError: the OP did not give one.
        """
        key = target.key
        tokens = self._tokens.get(key)
        if tokens is not None and self._is_good(tokens):
            return tokens
        self._refused.require_not(key)
        pause = self._backoff.remaining_seconds(key)
        if pause > 0:
            raise backing_off(pause)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._flights.join(key, lambda: self._fetch(target))
        except TimeoutError:
            raise OpUnavailable("client credentials still under way", retry_after=1) from None

    def _is_good(self, tokens: Tokens) -> bool:
        return self._clock.now() < tokens.expires_at - tokens.lifetime_seconds / 10

    async def _fetch(self, target: TokenTarget) -> Tokens:
        try:
            tokens = await self._relying_party.client_credentials(target)
        except ApiTokenRefused as error:
            self._refused.remember(target.key, error)
            raise
        except Exception:
            self._backoff.failed(target.key)
            raise
        self._backoff.succeeded(target.key)
        self._tokens[target.key] = tokens
        return tokens
