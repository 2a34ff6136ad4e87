"""One refresh per session, whoever asks: tabs, requests, processes, replicas.

Within a process all callers join one task. Between processes a lease in the store lets one of
them call the OP; its holder renews it for as long as the OP takes. Whoever gets the lease reads the
record again before spending anything, and what the OP rotated is written, by compare-and-set on
the record's version, before anybody is released.

RFC 6749 section 6, RFC 9700 section 4.14.2, OIDC Core section 12.
"""

import asyncio
import dataclasses
from dataclasses import dataclass

import structlog

from bff.clock import Clock
from bff.errors import GrantRejected, IdTokenInvalid, OpError, OpUnavailable, StoreUnavailable
from bff.model import Session
from bff.observability.metrics import Metrics
from bff.oidc.identity import Refreshed
from bff.oidc.relying_party import RelyingParty
from bff.sessions.sessions import Sessions
from bff.sessions.store import Lease
from bff.tokens.backoff import Backoff
from bff.tokens.claims import ClaimAllowList
from bff.tokens.due import RefreshPolicy
from bff.tokens.ending import SessionEnder
from bff.tokens.lease import ChangeWaiters, held
from bff.tokens.single_flight import SingleFlight

log = structlog.get_logger("bff.tokens")

LONGEST_PERSIST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CoordinatorSettings:
    """`wait_seconds`: how long a request without a usable token waits for one. The lease is
    renewed every third of `lease_seconds`; a crashed holder blocks others for at most that."""

    wait_seconds: float = 10.0
    lease_seconds: float = 6.0


class RefreshCoordinator:
    """Refreshes sessions; see the module's text for the rules it keeps."""

    def __init__(
        self,
        relying_party: RelyingParty,
        sessions: Sessions,
        ender: SessionEnder,
        clock: Clock,
        policy: RefreshPolicy,
        claims: ClaimAllowList,
        metrics: Metrics,
        settings: CoordinatorSettings | None = None,
    ) -> None:
        self._relying_party = relying_party
        self._sessions = sessions
        self._ender = ender
        self._clock = clock
        self._policy = policy
        self._claims = claims
        self._metrics = metrics
        self._settings = settings or CoordinatorSettings()
        self._flights: SingleFlight[Session] = SingleFlight()
        self._session_backoff = Backoff(clock)
        self._op_breaker = Backoff(clock, threshold=5)
        self._waiters = ChangeWaiters()
        sessions.observe(on_changed=self._waiters.wake, on_ended=self._on_ended)

    def refresh_soon(self, session: Session) -> None:
        """Refresh in the background, unless the OP is being left alone after failures."""
        if self._pause_seconds(session.key) == 0:
            self._start(session.key)

    async def refreshed(self, session: Session) -> Session:
        """The session with a token that is good.

        Raises:
            GrantRejected: the session has ended.
            OpError: the OP can't be asked now; the session stays.
            StoreUnavailable: the store can't; the session stays.
        """
        pause = self._pause_seconds(session.key)
        if pause > 0:
            raise OpUnavailable("backing off", retry_after=max(1, round(pause)))
        task = self._start(session.key)
        try:
            async with asyncio.timeout(self._settings.wait_seconds):
                return await asyncio.shield(task)
        except TimeoutError:
            raise OpUnavailable("refresh still under way", retry_after=1) from None

    async def close(self, seconds: float) -> None:
        """Let running refreshes finish, for at most `seconds`."""
        await self._flights.drain(seconds)

    def _start(self, key: str) -> asyncio.Task[Session]:
        return self._flights.start(key, lambda: self._refresh(key))

    def _on_ended(self, key: str, _reason: str) -> None:
        self._session_backoff.succeeded(key)
        self._waiters.wake(key)

    def _pause_seconds(self, key: str) -> float:
        return max(
            self._session_backoff.remaining_seconds(key), self._op_breaker.remaining_seconds("op")
        )

    async def _refresh(self, key: str) -> Session:
        while True:
            with self._waiters.armed(key) as change:
                lease = await self._sessions.acquire_lease(
                    key, ttl_seconds=self._settings.lease_seconds
                )
                if lease is None:
                    # Another process is at it: woken by its write, its release or its end. The
                    # timeout is for a holder that died; then the lease has lapsed.
                    await change.wait(self._settings.lease_seconds / 3)
                    session = await self._load(key)
                    if not self._is_due(session):
                        return session
                    continue
            async with held(self._sessions, lease, self._settings.lease_seconds):
                session = await self._load(key)
                if not self._is_due(session):
                    return session
                return await self._spend(session, lease)

    async def _load(self, key: str) -> Session:
        session = await self._sessions.load_fresh(key)
        if session is None:
            raise GrantRejected("the session is gone")
        return session

    def _is_due(self, session: Session) -> bool:
        now = self._clock.now()
        return self._policy.is_due(session, now) or self._policy.is_expired(session.tokens, now)

    async def _spend(self, session: Session, lease: Lease) -> Session:
        if session.tokens.refresh_token is None:
            await self._ender.end(session, "token_expired", revoke=False)
            raise GrantRejected("the access token expired and there is no refresh token")
        self._op_breaker.claim_probe("op")
        started = self._clock.now()
        try:
            refreshed = await self._relying_party.refresh(session)
        except GrantRejected:
            return await self._after_rejection(session)
        except IdTokenInvalid as error:
            # OIDC Core section 12.2: another identity came back. Nothing of it is used.
            self._metrics.refreshed("identity_mismatch")
            log.error("refresh_identity_mismatch", check=error.check, session=session.key[:16])
            await self._ender.end(session, "identity_mismatch")
            raise GrantRejected("the refreshed ID token is not valid") from error
        except OpError as error:
            self._count_failure(session.key, error)
            raise
        self._session_backoff.succeeded(session.key)
        self._op_breaker.succeeded("op")
        written = await self._persist(session, refreshed, lease)
        self._metrics.refreshed("ok", seconds=self._clock.now() - started)
        return written

    async def _after_rejection(self, session: Session) -> Session:
        # The token we spent may have been replaced meanwhile by a process whose lease had lapsed.
        current = await self._load(session.key)
        if current.version != session.version:
            return current
        self._metrics.refreshed("rejected")
        log.info("refresh_rejected", session=session.key[:16])
        await self._ender.end(session, "grant_rejected", revoke=False)
        raise GrantRejected("invalid_grant")

    def _count_failure(self, key: str, error: OpError) -> None:
        self._metrics.refreshed("failed")
        self._session_backoff.failed(key, retry_after=error.retry_after or 0)
        self._op_breaker.failed("op")
        log.warning("refresh_failed", code=error.code, detail=error.log_detail, session=key[:16])

    async def _persist(self, session: Session, refreshed: Refreshed, lease: Lease) -> Session:
        """Write what the OP gave: it exists nowhere else, so a store that is down is waited for."""
        updated = dataclasses.replace(
            session,
            tokens=refreshed.tokens,
            claims=self._claims.kept(refreshed.claims or {}, before=session.claims),
            acr=refreshed.acr,
            auth_time=refreshed.auth_time,
        )
        guard: Lease | None = lease
        pause = 0.05
        while True:
            try:
                written = await self._sessions.replace(updated, lease=guard)
                if written is not None:
                    return written
                current = await self._sessions.load_fresh(session.key)
            except StoreUnavailable:
                if self._clock.now() >= session.expires_at:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PERSIST_PAUSE_SECONDS)
                continue
            if current is None:
                return await self._logout_won(session.key, refreshed)
            if current.version != session.version:
                return current  # our own write whose answer was lost, or a newer one
            guard = None  # the lease lapsed but nobody wrote: the version alone decides

    async def _logout_won(self, key: str, refreshed: Refreshed) -> Session:
        # Not when a new login came first, or may have: at many OPs it lives on the same grant, and
        # a revocation of these tokens would end that as well.
        if self._sessions.end_reason(key) not in (None, "replaced"):
            await self._relying_party.revoke(refreshed.tokens)
        raise GrantRejected("a logout came first")
