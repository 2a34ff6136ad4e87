"""One refresh per session, for all tabs, requests, processes and replicas.

Within a process all callers join one task. Between processes a lease in the store lets one of
them call the OP; its holder renews it for as long as the OP takes. A process that gets the lease
reads the record again before spending anything (`refresh_request`).

An access token for one API comes by the same refresh token. Each target has a task of its own, and
within a process these wait for one another, so that one at a time contends for the lease.

RFC 9700 section 4.14.2.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import structlog

from bff.audit.audit import OFF, Audit
from bff.clock import Clock
from bff.errors import (
    ApiTokenRefused,
    BffError,
    OpUnavailable,
    SessionEnded,
    StoreUnavailable,
)
from bff.limits.limiter import Limiter
from bff.model import Session, TokenTarget, public_id
from bff.observability.metrics import OTHER_PROCESS, SAME_PROCESS, Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.sessions import Sessions
from bff.sessions.store import Lease
from bff.tasks import KeyedLock, SingleFlight
from bff.tokens.attempts import Attempts
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.lease import ChangeWaiters, held, renewal_seconds
from bff.tokens.policy import ClaimFilter, RefreshPolicy
from bff.tokens.refresh_hold import RefreshHold
from bff.tokens.refresh_request import RefreshRequests
from bff.tokens.rotations import Rotations
from bff.tokens.target_requests import name_of

log = structlog.get_logger("bff.tokens")


@dataclass(frozen=True, slots=True)
class CoordinatorSettings:
    """`wait_seconds`: how long a request without a usable token waits for one; where a refresh has
    been running for longer already, `late_wait_seconds`. A process may stand still for
    `lease_seconds` while the OP answers it, and no other process spends the same token; one that
    crashes in a refresh holds up the others for that long. A token that an API refuses is replaced
    unless it was obtained within `forced_after_seconds`."""

    wait_seconds: float = 10.0
    late_wait_seconds: float = 1.0
    lease_seconds: float = 12.0
    forced_after_seconds: float = 30.0


class RefreshCoordinator:
    """Refreshes sessions; see the module's text for the rules it keeps."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        sessions: Sessions,
        ender: SessionEnder,
        clock: Clock,
        policy: RefreshPolicy,
        claims: ClaimFilter,
        metrics: Metrics,
        limiter: Limiter,
        settings: CoordinatorSettings | None = None,
        audit: Audit = OFF,
    ) -> None:
        self._sessions = sessions
        self._leases = sessions.leases
        self._ender = ender
        self._clock = clock
        self._policy = policy
        self._settings = settings or CoordinatorSettings()
        self._flights: SingleFlight[Session] = SingleFlight()
        self._one_of_session = KeyedLock()
        self._metrics = metrics
        self._limiter = limiter
        # At most one for each provider and target of the configuration.
        self._attempts: dict[tuple[str, str], Attempts] = {}
        self._waiters = ChangeWaiters()
        self._hold = RefreshHold(self._waiters)
        self._rotations = Rotations(sessions, clock)
        self._requests = RefreshRequests(
            relying_parties,
            sessions,
            ender,
            clock,
            policy,
            claims,
            metrics,
            self._rotations,
            audit,
        )
        sessions.observe(
            on_changed=self._waiters.wake,
            on_ended=self._on_ended,
            on_watch=self._hold.on_watch,
            on_heartbeat=self._hold.on_heartbeat,
            on_proven=self._hold.on_proven,
        )

    def refresh_soon(self, session: Session, target: TokenTarget | None = None) -> None:
        """Refresh in the background, unless the OP is being left alone: after failures, because
        the session was refreshed too often, or because it gives no token for this target."""
        job = _Job(session.key, target)
        if self._attempts_of(session.provider, target).may_begin(session.key):
            self._start(job)

    async def refreshed(self, session: Session, target: TokenTarget | None = None) -> Session:
        """The session with a token that is good: that of the login, or the one for `target`.

        Raises:
            ApiTokenRefused: the OP gives none for this target; the session stays.
            SessionEnded: it has.
            OpError: the OP can't be asked now; the session stays.
            StoreUnavailable: the store can't; the session stays.
            RateLimited: it was refreshed too often; the session stays.
        """
        job = _Job(session.key, target)
        found = await self._join(session, job)
        tokens = found.tokens_for(target)
        if tokens is None or self._policy.is_expired(tokens, self._clock.now()):
            # It took longer than the token lives: at a slow OP, or to get it into the store.
            found = await self._join(session, job)
        if found.tokens_for(target) is None:
            raise OpUnavailable("no token for this target was kept", retry_after=1)
        return found

    async def replaced(self, session: Session, target: TokenTarget | None = None) -> Session | None:
        """The session with another access token, because an API has refused this one.

        None when there is none to be had. For one that was obtained only just now the OP is not
        asked anew: an API that refuses whatever it gets must not make the OP rotate with every
        call. But a refresh that began before the call came back may have replaced the token, and
        then some OPs revoke the old one at once.

        Raises: as `refreshed`.
        """
        refused = session.tokens_for(target)
        if refused is None or session.tokens.refresh_token is None:
            return None
        job = _Job(session.key, target)
        found: Session | None
        if self._clock.now() - refused.obtained_at >= self._settings.forced_after_seconds:
            found = await self._join(session, _Job(session.key, target, refused.access_token))
        elif self._flights.is_running(job.name):
            found = await self._join(session, job)
        else:
            found = await self._sessions.load(session.key)
        newer = None if found is None else found.tokens_for(target)
        return None if newer is None or newer.access_token == refused.access_token else found

    async def close(self, seconds: float) -> None:
        """Let running refreshes finish, for at most `seconds`."""
        await self._flights.drain(seconds)
        await self._rotations.close()

    async def _join(self, session: Session, job: "_Job") -> Session:
        if not self._flights.is_running(job.name):
            self._attempts_of(session.provider, job.target).require_begin(job.key)
        else:
            self._metrics.refresh_avoided(SAME_PROCESS)
        task = self._start(job)
        waited = self._flights.age_seconds(job.name)
        patience = max(self._settings.wait_seconds - waited, self._settings.late_wait_seconds)
        try:
            async with asyncio.timeout(patience):
                return await asyncio.shield(task)
        except TimeoutError:
            raise OpUnavailable("refresh still under way", retry_after=1) from None

    def _start(self, job: "_Job") -> asyncio.Task[Session]:
        return self._flights.start(job.name, lambda: self._run(job))

    def _attempts_of(self, provider: str, target: TokenTarget | None) -> Attempts:
        """Apart for each target: an OP that fails for one API still refreshes the logins."""
        place = provider, "" if target is None else target.key
        found = self._attempts.get(place)
        if found is None:
            found = Attempts(self._clock, self._limiter, self._metrics, provider)
            self._attempts[place] = found
        return found

    def _on_ended(self, key: str, _reason: str) -> None:
        for attempts in self._attempts.values():
            attempts.forget(key)
        self._waiters.wake(key)

    async def _run(self, job: "_Job") -> Session:
        try:
            async with self._one_of_session.held(job.key):
                return await self._refresh(job)
        except StoreUnavailable:
            self._hold.session_failed(job.key)
            raise
        except BffError:
            raise
        except Exception:  # a refresh in the background has no caller to report it
            log.exception("refresh_aborted", session=public_id(job.key))
            raise

    async def _refresh(self, job: "_Job") -> Session:
        key = job.key
        began_at = _loop_time()
        has_waited = False
        while True:
            with self._waiters.armed(key) as waiter:
                pause = self._hold.remaining_seconds(key)
                asked_at = _loop_time()
                lease = await self._lease(key) if pause == 0 else None
                if lease is not None:
                    if has_waited:
                        self._metrics.refresh_waited(_loop_time() - began_at)
                        has_waited = False
                    found = await self._refresh_under(lease, asked_at, job)
                    if found is not None:
                        return found
                    continue
                # Another process is at it: woken by its write, its release or its end. The timeout
                # is for a holder that died; then the lease has lapsed.
                has_waited = True
                await waiter.wait(pause or renewal_seconds(self._settings.lease_seconds))
                session = await self._rotations.load(key)
                if not self._is_due(session, job):
                    self._metrics.refresh_waited(_loop_time() - began_at)
                    self._metrics.refresh_avoided(OTHER_PROCESS)
                    return session

    async def _refresh_under(self, lease: Lease, asked_at: float, job: "_Job") -> Session | None:
        """With a lease that was asked for at that time. None: it is to be begun anew, for there was
        trouble with the store meanwhile."""
        key = job.key
        in_doubt = partial(self._on_lease_in_doubt, key)
        async with held(self._leases, lease, self._settings.lease_seconds, in_doubt):
            session = await self._rotations.load(key)
            if not self._is_due(session, job):
                self._metrics.refresh_avoided(OTHER_PROCESS)
                return session
            attempts = self._attempts_of(session.provider, job.target)
            try:
                require_refreshable(session, job.target)
            except SessionEnded:
                await self._ender.end(session, "token_expired", revoke=False)
                raise
            except ApiTokenRefused as error:
                attempts.has_none_for_api(key, error)
                raise
            is_safe = partial(self._is_undisturbed_since, key, asked_at)
            attempt = await attempts.spend(key, is_safe)
            if attempt is None:
                return None
            try:
                with self._rotations.under_way():
                    return await self._requests.send(session, attempts, attempt, job.target)
            except ApiTokenRefused:
                if self._policy.is_expired(session.tokens, self._clock.now()):
                    # Some OPs refuse a dead grant in other words, and only the login's own refresh
                    # tells whether it is dead: no route but this one may be in use.
                    self.refresh_soon(session)
                raise

    def _on_lease_in_doubt(self, key: str) -> None:
        """Another process may get the lease while this one waits for the OP."""
        self._hold.session_failed(key)
        self._rotations.store_failed()

    async def _lease(self, key: str) -> Lease | None:
        return await self._leases.acquire_lease(key, ttl_seconds=self._settings.lease_seconds)

    def _is_undisturbed_since(self, key: str, asked_at: float) -> bool:
        """False with a lease that may have lapsed while this process or the store stood still."""
        age = _loop_time() - asked_at
        return self._hold.remaining_seconds(key) == 0 and age < self._settings.lease_seconds / 2

    def _is_due(self, session: Session, job: "_Job") -> bool:
        now = self._clock.now()
        tokens = session.tokens_for(job.target)
        if tokens is None or tokens.access_token == job.refused:
            return True
        return self._policy.is_due(session, now, tokens) or self._policy.is_expired(tokens, now)


@dataclass(frozen=True, slots=True)
class _Job:
    """One refresh of the session `key`: for the access token of the login, or for one that is for
    `target`. `refused` is an access token that will not do, good as it may look. Callers of jobs
    with the same `name` share one."""

    key: str
    target: TokenTarget | None = None
    refused: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        return self.key if self.target is None else name_of(self.key, self.target)


def require_refreshable(session: Session, target: TokenTarget | None) -> None:
    """Nothing is sent for a token that can't be had: some OPs spend the refresh token, and give no
    new one, before they refuse a resource that the login was not granted. `target` None is the
    login's own token, without which the session is over.

    Raises:
        ApiTokenRefused: a token for the target can't be had, with the reason.
        SessionEnded: the login's own can't.
    """
    if target is None:
        if session.tokens.refresh_token is None:
            raise SessionEnded("expired, without a refresh token")
        return
    if session.tokens.refresh_token is None:
        raise ApiTokenRefused("the session has no refresh token")
    if target.resource and target.resource not in session.resources:
        raise ApiTokenRefused("the login did not ask for this resource: it was begun without")


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
