"""What every listener and every frontend work on: store, sessions, tokens, the OP. Built once,
opened and closed in order.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from bff.app import wiring
from bff.app.auditing import audit_of
from bff.app.limits import Limits
from bff.audit.audit import Audit
from bff.clock import Clock
from bff.config.frontends import Frontend, frontends_of
from bff.config.settings import Settings
from bff.gate.admission import Admission
from bff.gate.decision import Gate
from bff.gate.frontend import Frontend as FrontendAtGate
from bff.observability.metrics import Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.arrival_tickets import ArrivalTickets
from bff.sessions.bound_streams import BoundStreams
from bff.sessions.counting import SessionCount
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import Sessions
from bff.sessions.single_use import ReplayCache
from bff.sessions.store import SessionStore
from bff.tasks import SingleFlight
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.coordinator import RefreshCoordinator
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.exchanged_tokens import ExchangedTokens
from bff.tokens.introspected_tokens import IntrospectedTokens
from bff.tokens.op_logout import OpLogout
from bff.tokens.policy import ClaimFilter, RefreshPolicy

LEAST_CLOSING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Core:
    """One of each."""

    settings: Settings
    frontends: tuple[Frontend, ...]
    clock: Clock
    metrics: Metrics
    audit: Audit
    store: SessionStore
    keyring: Keyring
    sessions: Sessions
    relying_parties: RelyingParties
    ender: SessionEnder
    logins: SingleFlight[str]
    op_logout: OpLogout
    claims: ClaimFilter
    bound_streams: BoundStreams
    session_count: SessionCount
    refresh_policy: RefreshPolicy
    coordinator: RefreshCoordinator
    client_tokens: Mapping[str, ClientTokens]
    exchanged_tokens: ExchangedTokens
    introspected_tokens: IntrospectedTokens
    limits: Limits
    arrival_tickets: ArrivalTickets

    @classmethod
    def build(cls, settings: Settings, clock: Clock, metrics: Metrics) -> Self:
        """Nothing is opened yet."""
        frontends = frontends_of(settings)
        keyring = wiring.keyring(settings, frontends)
        store = wiring.session_store(settings, clock, metrics)
        sessions = Sessions(store, keyring, clock, wiring.session_policy(settings, frontends))
        sessions.observe(on_watch=metrics.store_watching)
        relying_parties = wiring.relying_parties(settings, clock, metrics)
        audit = audit_of(settings, store, clock, metrics)
        ender = SessionEnder(sessions, relying_parties, metrics, audit)
        replay_cache = ReplayCache(store, keyring.owners, clock)
        claims = wiring.claim_filter(settings, frontends)
        policy = wiring.refresh_policy(settings, frontends)
        limits = Limits.build(settings, store, keyring.owner, clock, metrics, audit)
        coordinator = RefreshCoordinator(
            relying_parties,
            sessions,
            ender,
            clock,
            policy,
            claims,
            metrics,
            limits.refreshes,
            audit=audit,
        )
        return cls(
            settings=settings,
            frontends=frontends,
            clock=clock,
            metrics=metrics,
            audit=audit,
            store=store,
            keyring=keyring,
            sessions=sessions,
            relying_parties=relying_parties,
            ender=ender,
            logins=SingleFlight(),
            op_logout=OpLogout(relying_parties, sessions, ender, replay_cache, metrics, audit),
            claims=claims,
            bound_streams=BoundStreams(sessions, clock),
            session_count=SessionCount(store, metrics.sampled.sessions_alive),
            refresh_policy=policy,
            coordinator=coordinator,
            client_tokens={one.name: ClientTokens(one, clock) for one in relying_parties},
            exchanged_tokens=ExchangedTokens(relying_parties, sessions, coordinator, policy, clock),
            introspected_tokens=IntrospectedTokens(relying_parties, clock),
            limits=limits,
            arrival_tickets=ArrivalTickets(store, keyring.owner, wiring.secrets(settings), clock),
        )

    def admission(
        self, frontends: Iterable[FrontendAtGate], *, max_body_bytes: int | None
    ) -> Admission:
        """A gate in front of these, with every rule of this gateway, and what it waits for."""
        gate = self.gate(frontends, max_body_bytes=max_body_bytes)
        return Admission(
            gate,
            self.sessions,
            self.coordinator,
            self.client_tokens,
            self.exchanged_tokens,
            self.introspected_tokens,
            self.limits.calls,
        )

    def gate(self, frontends: Iterable[FrontendAtGate], *, max_body_bytes: int | None) -> Gate:
        """What decides, without what a decision waits for."""
        proxies = wiring.trusted_proxies(self.settings)
        return Gate(frontends, proxies, max_body_bytes=max_body_bytes)

    async def open(self) -> None:
        """Does not fail when the store or the OP is down.

        Raises:
            OSError: a sink of the audit log can't be opened.
        """
        await self.audit.open()
        await self.sessions.start()
        self.bound_streams.start()
        self.session_count.start()
        self.limits.start()
        await self.relying_parties.start()

    async def close(self, seconds: float) -> None:
        """Let what must finish do so, for about `seconds` in all, then close."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        # In this order: what one of them still does may give work to the next.
        await self.logins.drain(max(LEAST_CLOSING_SECONDS, deadline - loop.time()))
        for part in (
            self.op_logout,
            self.introspected_tokens,
            self.exchanged_tokens,
            self.coordinator,
            self.ender,
        ):
            await part.close(max(LEAST_CLOSING_SECONDS, deadline - loop.time()))
        await self.audit.close(max(LEAST_CLOSING_SECONDS, deadline - loop.time()))
        await self.limits.close()
        await self.session_count.close()
        await self.bound_streams.close()
        await self.relying_parties.close()
        await self.sessions.close()
