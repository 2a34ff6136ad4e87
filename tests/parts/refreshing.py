"""A gateway process as far as refreshes go: its sessions, its relying party, its coordinator."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bff.audit.audit import OFF, Audit
from bff.clock import Clock
from bff.limits.limiter import Limiter
from bff.model import Session
from bff.observability.metrics import Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.store import SessionStore
from bff.tokens.coordinator import CoordinatorSettings, RefreshCoordinator
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.policy import ClaimFilter, RefreshPolicy, ShownClaims
from tests.parts.record_owner import OWNER
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET
from tests.polling import until

SECRET = "a secret of at least 32 bytes, or some more"
POLICY = SessionPolicy(idle_seconds=3000, absolute_seconds=3600, cache_seconds=900)


@dataclass(frozen=True, slots=True)
class Process:
    """What one gateway process would hold."""

    sessions: Sessions
    ender: SessionEnder
    coordinator: RefreshCoordinator
    metrics: Metrics

    def figure(self, name: str, **labels: str) -> float | None:
        """A sample of the metrics, if there is one."""
        return self.metrics.registry.get_sample_value(name, labels)

    async def log_in(
        self, op: RotatingOp, name: str, *, resources: tuple[str, ...] = ()
    ) -> Session:
        """A session whose tokens come from a new grant of that name, and may be for `resources`."""
        key = secrets.token_hex(32)
        return await self.sessions.create(
            key,
            issuer=op.issuer,
            sub=op.sub,
            sid=f"sid-{name}",
            tokens=op.grant(name),
            resources=resources,
        )

    async def refreshing(self, session: Session, op: RotatingOp) -> asyncio.Task[Session]:
        """A refresh that has reached the OP, where it has rotated; the answer is held back."""
        before = op.count("token")
        op.deliver.clear()
        task = asyncio.create_task(self.coordinator.refreshed(session))
        await until(lambda: op.count("token") == before + 1)
        return task


@asynccontextmanager
async def a_process(
    store: SessionStore,
    op: RotatingOp,
    clock: Clock,
    *,
    settings: CoordinatorSettings | None = None,
    timeout_seconds: float = 20.0,
    revoke: bool = True,
    audit: Audit = OFF,
) -> AsyncIterator[Process]:
    """Started and following the store's changes."""
    relying_party = RelyingParty(
        RelyingPartySettings(
            issuer=op.issuer,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            redirect_uri="http://localhost/bff/callback",
            timeout_seconds=timeout_seconds,
            revoke_on_logout=revoke,
        ),
        clock,
    )
    metrics = Metrics()
    sessions = Sessions(store, Keyring([SECRET], OWNER), clock, POLICY)
    relying_parties = RelyingParties([relying_party])
    ender = SessionEnder(sessions, relying_parties, metrics, audit)
    coordinator = RefreshCoordinator(
        relying_parties,
        sessions,
        ender,
        clock,
        RefreshPolicy(20),
        ClaimFilter(ShownClaims(["name"])),
        metrics,
        Limiter("refresh", None, store, clock, metrics),
        settings,
        audit,
    )
    await relying_party.start()
    await sessions.start()
    try:
        await until(lambda: sessions.watching)
        await relying_party.check()
        yield Process(sessions, ender, coordinator, metrics)
    finally:
        await coordinator.close(1)
        await ender.close(1)
        await relying_party.close()
        await sessions.close()
