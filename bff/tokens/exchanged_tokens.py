"""Tokens for one API in exchange for the access token of a login (RFC 8693), one for each session
and target.

They can be had again, so that they lie in memory only: a process that starts exchanges anew. They
go with their session. Never touches the refresh token, and never ends a session by itself.
"""

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import SessionEnded
from bff.model import Session, Tokens, TokenTarget
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.sessions import Sessions
from bff.tokens.coordinator import RefreshCoordinator
from bff.tokens.policy import RefreshPolicy
from bff.tokens.target_requests import WAIT_SECONDS, TargetRequests, name_of

MAX_SESSIONS = 10_000
REPLACED_AFTER_SECONDS = 30.0


class ExchangedTokens:
    """Of one process, at all providers. The sessions that are used least recently are dropped past
    `MAX_SESSIONS`. A caller waits for the OP for at most `wait_seconds`."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        sessions: Sessions,
        coordinator: RefreshCoordinator,
        policy: RefreshPolicy,
        clock: Clock,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._relying_parties = relying_parties
        self._sessions = sessions
        self._coordinator = coordinator
        self._policy = policy
        self._clock = clock
        self._tokens: BoundedMap[str, dict[str, Tokens]] = BoundedMap(MAX_SESSIONS)
        self._requests = TargetRequests(clock, "token exchange", wait_seconds=wait_seconds)
        sessions.observe(on_ended=self._on_ended)

    async def get(self, session: Session, target: TokenTarget) -> Tokens:
        """The session's token for `target`. One that is due is replaced while it is still used.

        Raises:
            ApiTokenRefused: the OP gives none for this target, as it said a moment ago or just now.
            OpError: the OP did not give one.
            SessionEnded: it has, while the OP was asked or before.
            StoreUnavailable: the session can't be loaded, or not kept after a refresh.
            RateLimited: the login's own token has expired, and was refreshed too often.
        """
        held = self._held(session, target)
        now = self._clock.now()
        if held is None or self._policy.is_expired(held, now):
            return await self._exchanged(session, target)
        if self._policy.is_due(session, now, held):
            name = name_of(session.key, target)
            self._requests.begin(name, lambda: self._exchange(session, target))
        return held

    async def replaced(self, session: Session, target: TokenTarget, refused: str) -> Tokens | None:
        """Another one, because an API has refused the access token `refused`: the one that is held,
        if that came meanwhile. None for one that was obtained only just now. Raises: as `get`."""
        held = self._held(session, target)
        if held is None:
            return None
        now = self._clock.now()
        if held.access_token != refused and not self._policy.is_expired(held, now):
            return held
        if now - held.obtained_at < REPLACED_AFTER_SECONDS:
            return None
        return await self._exchanged(session, target)

    async def close(self, seconds: float) -> None:
        """Let running exchanges finish, for at most `seconds`."""
        await self._requests.drain(seconds)

    def _on_ended(self, key: str, _reason: str) -> None:
        self._tokens.pop(key, None)

    def _held(self, session: Session, target: TokenTarget) -> Tokens | None:
        of_session = self._tokens.get(session.key)
        if of_session is None:
            return None
        self._tokens.move_to_end(session.key)
        return of_session.get(target.key)

    async def _exchanged(self, session: Session, target: TokenTarget) -> Tokens:
        name = name_of(session.key, target)
        return await self._requests.join(name, lambda: self._exchange(session, target))

    async def _exchange(self, session: Session, target: TokenTarget) -> Tokens:
        # The caller's may be older, and some OPs revoke an access token that was refreshed.
        current = await self._sessions.load(session.key)
        if current is None:
            raise SessionEnded("gone before the exchange")
        if self._policy.is_expired(current.tokens, self._clock.now()):
            current = await self._coordinator.refreshed(current)
        with self._requests.asking(name_of(session.key, target)):
            tokens = await self._relying_parties[current.provider].exchange(current, target)
        if self._sessions.end_reason(session.key) is not None:
            raise SessionEnded("a logout came before the exchanged token")
        of_session = self._tokens.get(session.key) or self._tokens.keep(session.key, {})
        of_session[target.key] = tokens
        return tokens
