"""What may be used once only: the transaction of a login, and a logout token.

Both are kept in the store under a digest. A transaction is sealed and short-lived; it is keyed by
`state`, or by the id of a login by device code, and the frontend's first owner, so that the store
never holds a usable one (RFC 6749 section 10.12, RFC 9700 section 4.7) and no other client's
gateway can take it. Its seal tells the provider that the login was begun at. Of a logout token only
its `jti` is kept, for as long as the token could be accepted again (OpenID Connect Back-Channel
Logout 1.0 section 2.6, step 8).
"""

from collections.abc import Iterable

import structlog

from bff.clock import Clock
from bff.model import DEFAULT_FRONTEND, LoginTransaction
from bff.sessions.sealing.keyring import Keyring, RecordOwner
from bff.sessions.sealing.records import UnreadableRecord, decode_login, encode_login
from bff.sessions.store import Lease, SessionStore

log = structlog.get_logger("bff.sessions")

LOGIN = "login"
DEVICE = "device-login"
OUTCOME = "login-outcome"

# By how much the clocks of two replicas may differ.
MARGIN_SECONDS = 60.0


class LoginTransactions:
    """What the beginning of a login leaves for its end at the same frontend.

    `purpose` tells the ways that logins take apart: what is kept for one is unknown to the other.
    `cap`: how many logins of all ways one browser may have open; starting another drops the oldest.
    """

    def __init__(
        self,
        store: SessionStore,
        keyring: Keyring,
        clock: Clock,
        *,
        ttl_seconds: float,
        cap: int,
        frontend: str = DEFAULT_FRONTEND,
        purpose: str = LOGIN,
    ) -> None:
        self._purpose = purpose
        self._store = store
        self._keyring = keyring
        self._owner = keyring.first_of(frontend)
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._cap = cap

    async def put(self, state: str, transaction: LoginTransaction) -> None:
        """Keep a transaction, in the place of what is kept for this state. Raises
        `StoreUnavailable`."""
        state_key = self._state_key(state)
        await self._store.put_login(
            state_key,
            self._keyring.seal(
                self._purpose,
                state_key,
                encode_login(transaction),
                provider=transaction.provider,
                frontend=self._owner.frontend,
            ),
            browser_key=transaction.binder_hash,
            ttl_seconds=self.expires_at(transaction) - self._clock.now(),
            cap=self._cap,
        )

    async def take(self, state: str) -> LoginTransaction | None:
        """The transaction, once; None when unknown, used or too old. Raises `StoreUnavailable`."""
        state_key = self._state_key(state)
        return self._opened(state_key, await self._store.take_login(state_key))

    async def load(self, state: str) -> LoginTransaction | None:
        """The transaction, which stays; None when unknown, used or too old. Raises
        `StoreUnavailable`."""
        state_key = self._state_key(state)
        return self._opened(state_key, await self._store.load_login(state_key))

    async def acquire(self, state: str, *, seconds: float) -> Lease | None:
        """The right to work on a transaction for so long, which one process has at a time; None
        where it is taken. Raises `StoreUnavailable`."""
        return await self._store.acquire_lease(self._state_key(state), ttl_seconds=seconds)

    async def keep(self, lease: Lease, *, seconds: float) -> None:
        """No process gets the right for so long from now on. Raises `StoreUnavailable`."""
        await self._store.renew_lease(lease, ttl_seconds=seconds)

    def _opened(self, state_key: str, sealed: bytes | None) -> LoginTransaction | None:
        if sealed is None:
            return None
        owner = self._keyring.owner_of(sealed)
        plaintext = self._keyring.open(self._purpose, state_key, sealed)
        if plaintext is None or owner is None or owner.frontend != self._owner.frontend:
            log.warning("login_does_not_open", login=state_key[:16])
            return None
        try:
            transaction = decode_login(plaintext, provider=owner.provider)
        except UnreadableRecord as error:
            log.warning("login_unreadable", login=state_key[:16], detail=str(error))
            return None
        return transaction if self._clock.now() < self.expires_at(transaction) else None

    def expires_at(self, transaction: LoginTransaction) -> float:
        """How long it is open, in epoch seconds."""
        ours = transaction.created_at + self._ttl_seconds
        return ours if transaction.device is None else min(ours, transaction.device.expires_at)

    async def replace_outcome(self, binder_hash: str, session_key: str) -> str | None:
        """Note which session a login of this browser makes, and return the one noted before.

        None when no login of the browser succeeded for as long as one may be open. A login that
        was begun before that one ended knows of no session (`previous_session`), and the callback
        gets no Strict cookie. Of logins that succeed at the same moment each gets the one before.
        Raises `StoreUnavailable`.
        """
        owner = self._owner
        place = owner.name_for_frontend(OUTCOME, binder_hash)
        sealed = self._keyring.seal(
            OUTCOME,
            place,
            session_key.encode(),
            provider=owner.provider,
            frontend=owner.frontend,
        )
        before = await self._store.put_login(
            place,
            sealed,
            browser_key=place,
            ttl_seconds=self._ttl_seconds,
            cap=1,
        )
        known = self._keyring.open(OUTCOME, place, before) if before is not None else None
        # Its own key: the answer to the first try of the write was lost.
        return known.decode() if known not in (None, session_key.encode()) else None

    def _state_key(self, state: str) -> str:
        return self._owner.name_for_frontend(self._purpose, state)


class ReplayCache:
    """Logout tokens that have done their work, known by all processes.

    A token is added after its effect, not before: one whose effect failed half-way can be sent
    again. Keyed by owner, issuer and `jti`, of which the store sees a digest only. A token for
    several clients (`aud`) does its work at each.
    """

    def __init__(self, store: SessionStore, owners: Iterable[RecordOwner], clock: Clock) -> None:
        self._store = store
        self._owners = {owner.provider: owner for owner in owners}
        self._clock = clock

    async def has(self, issuer: str, jti: str, *, provider: str) -> bool:
        """Raises: StoreUnavailable."""
        return await self._store.is_remembered(self._key(provider, issuer, jti))

    async def add(self, issuer: str, jti: str, *, provider: str, expires_at: float) -> None:
        """Know the token until it would be refused as too old. Raises: StoreUnavailable."""
        ttl_seconds = expires_at - self._clock.now() + MARGIN_SECONDS
        await self._store.remember(self._key(provider, issuer, jti), ttl_seconds=ttl_seconds)

    def _key(self, provider: str, issuer: str, jti: str) -> str:
        return self._owners[provider].name_for_client("logout-token", issuer, jti)
