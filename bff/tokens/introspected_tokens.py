"""What the OP says of access tokens, where a route wants to know before it forwards a call
(RFC 7662): in memory for as long as the route allows, one question at a time for each token.

A token is kept by a digest over its provider and itself. Never ends a session, and never renews a
token.
"""

import asyncio
import hashlib
from dataclasses import dataclass

import structlog

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import (
    ClientRejected,
    IntrospectionRefused,
    OpAnswerMalformed,
    OpError,
    OpMetadataRefused,
    OpUnavailable,
)
from bff.oidc.relying_parties import RelyingParties
from bff.tasks import SingleFlight
from bff.tokens.backoff import Breaker, RememberedRefusals
from bff.tokens.target_requests import WAIT_SECONDS

MAX_TOKENS = 20_000

log = structlog.get_logger("bff.tokens")


@dataclass(frozen=True, slots=True)
class _Verdict:
    is_active: bool
    asked_at: float


class IntrospectedTokens:
    """Of one process, at all providers. The verdicts of the tokens that were asked about longest
    ago are dropped past `MAX_TOKENS`. A caller waits for the OP for at most `wait_seconds`."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        clock: Clock,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._relying_parties = relying_parties
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._verdicts: BoundedMap[str, _Verdict] = BoundedMap(MAX_TOKENS)
        self._flights: SingleFlight[bool] = SingleFlight()
        self._refusals = RememberedRefusals(clock)
        self._breakers = {party.name: Breaker(clock, threshold=1) for party in relying_parties}
        self._troubles: dict[str, OpError] = {}  # the latest of each provider

    def known(self, provider: str, access_token: str, most_seconds: float) -> bool | None:
        """Whether the OP of that name let it count when it was asked, at most so long ago. A look
        into memory: None where it has to be asked."""
        verdict = self._verdicts.get(_key(provider, access_token))
        if verdict is None or self._clock.now() - verdict.asked_at >= most_seconds:
            return None
        return verdict.is_active

    async def is_active(
        self, provider: str, access_token: str, most_seconds: float, *, allow_when_down: bool
    ) -> bool:
        """What the OP says, or has said at most so long ago. `allow_when_down`: true where it can't
        be asked.

        Raises:
            OpUnavailable, OpAnswerMalformed: it can't be asked, or was not a moment ago.
            OpMetadataRefused, ClientRejected: it does not answer questions of this client.
            IntrospectionRefused: it does not about this token, as it said just now or before.
        """
        known = self.known(provider, access_token, most_seconds)
        if known is not None:
            return known
        self._refusals.require_not(_key(provider, access_token))
        try:
            return await self._asked(provider, access_token)
        except (OpUnavailable, OpAnswerMalformed):
            if not allow_when_down:
                raise
            return True

    async def close(self, seconds: float) -> None:
        """Let running questions finish, for at most `seconds`."""
        await self._flights.drain(seconds)

    async def _asked(self, provider: str, access_token: str) -> bool:
        key = _key(provider, access_token)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._flights.join(key, lambda: self._ask(provider, access_token, key))
        except TimeoutError:
            raise OpUnavailable("introspection still under way", retry_after=1) from None

    async def _ask(self, provider: str, access_token: str, key: str) -> bool:
        breaker = self._breakers[provider]
        attempt = breaker.begin()
        if attempt is None:
            raise _again(self._troubles[provider], breaker.pause_seconds())
        try:
            is_active = await self._relying_parties[provider].is_active(access_token)
        except OpError as error:
            log.warning("introspection_failed", provider=provider, detail=error.log_detail)
            if isinstance(error, IntrospectionRefused):
                breaker.succeeded()  # it is there, and may answer about other tokens
                self._refusals.remember(key, error)
            else:
                self._troubles[provider] = error
                breaker.failed(attempt, asked_seconds=error.asked_seconds)
            raise
        breaker.succeeded()
        self._verdicts[key] = _Verdict(is_active, self._clock.now())
        return is_active


def _again(error: OpError, pause: float) -> OpError:
    """While the OP is left alone: what is wrong stays what it was, so that a client that may not
    ask is not taken for an OP that is down."""
    kinds = (OpUnavailable, OpAnswerMalformed, OpMetadataRefused, ClientRejected)
    kind = next((kind for kind in kinds if isinstance(error, kind)), OpUnavailable)
    return kind(f"a moment ago: {error.log_detail}", retry_after=max(1, round(pause)))


def _key(provider: str, access_token: str) -> str:
    """Two OPs may give the same string, and each speaks for its own tokens only."""
    return hashlib.sha256(f"{provider}\n{access_token}".encode()).hexdigest()
