"""Logout tokens that have done their work: known by all processes for as long as one could be
accepted again (OpenID Connect Back-Channel Logout 1.0 section 2.6, step 8).

A token is added after its effect, not before: one whose effect failed half-way can be sent again.
"""

from bff.clock import Clock
from bff.sessions.keyring import RecordOwner
from bff.sessions.store import SessionStore

# By how much the clocks of two replicas may differ.
MARGIN_SECONDS = 60.0


class SeenLogoutTokens:
    """Keyed by owner, issuer and `jti`, of which the store sees a digest only. A token for several
    clients (`aud`) does its work at each."""

    def __init__(self, store: SessionStore, owner: RecordOwner, clock: Clock) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock

    async def has(self, issuer: str, jti: str) -> bool:
        """Raises: StoreUnavailable."""
        return await self._store.is_remembered(self._key(issuer, jti))

    async def add(self, issuer: str, jti: str, *, expires_at: float) -> None:
        """Know the token until it would be refused as too old. Raises: StoreUnavailable."""
        ttl_seconds = expires_at - self._clock.now() + MARGIN_SECONDS
        await self._store.remember(self._key(issuer, jti), ttl_seconds=ttl_seconds)

    def _key(self, issuer: str, jti: str) -> str:
        return self._owner.name_for_client("logout-token", issuer, jti)
