"""Tokens of the gateway itself (client credentials, RFC 6749 section 4.4), one for each target."""

from bff.clock import Clock
from bff.model import Tokens, TokenTarget
from bff.oidc.relying_party import RelyingParty
from bff.tokens.target_requests import WAIT_SECONDS, TargetRequests


class ClientTokens:
    """A cache keyed by all that a token was asked for: no route can get one for another API or
    scope. A caller waits for the OP for at most `wait_seconds`."""

    def __init__(
        self, relying_party: RelyingParty, clock: Clock, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._relying_party = relying_party
        self._clock = clock
        self._tokens: dict[str, Tokens] = {}
        self._requests = TargetRequests(clock, "client credentials", wait_seconds=wait_seconds)

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
        return await self._requests.join(key, lambda: self._fetch(target))

    def _is_good(self, tokens: Tokens) -> bool:
        return self._clock.now() < tokens.expires_at - tokens.lifetime_seconds / 10

    async def _fetch(self, target: TokenTarget) -> Tokens:
        with self._requests.asking(target.key):
            tokens = await self._relying_party.client_credentials(target)
        self._tokens[target.key] = tokens
        return tokens
