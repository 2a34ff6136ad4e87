"""What every listener works on: store, sessions, tokens, the OP. Built once, opened and closed in
order.
"""

import asyncio
from dataclasses import dataclass
from typing import Self

from bff.app import wiring
from bff.clock import Clock
from bff.config.settings import Settings
from bff.endpoints.browser_cookies import BrowserCookies
from bff.gate.admission import Admission
from bff.gate.decision import Gate, GateSettings
from bff.limits.calls import CallLimit
from bff.limits.limiter import Limiter, Rate
from bff.observability.metrics import Metrics
from bff.oidc.relying_party import RelyingParty
from bff.sessions.bound_streams import BoundStreams
from bff.sessions.cookie import Binder, LogoutSid, SessionCookie
from bff.sessions.sealing.keyring import Keyring, RecordOwner
from bff.sessions.sessions import Sessions
from bff.sessions.single_use import LoginTransactions, ReplayCache
from bff.sessions.store import SessionStore
from bff.tasks import SingleFlight
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.coordinator import RefreshCoordinator
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.op_logout import OpLogout
from bff.tokens.policy import ClaimFilter, RefreshPolicy


class OwnBuckets:
    """The buckets of one client: gateways of others on the same store count by themselves. The
    store sees a digest of each name, not the address or session that is in it."""

    def __init__(self, store: SessionStore, owner: RecordOwner) -> None:
        self._store = store
        self._owner = owner

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        return await self._store.fill(
            self._owner.name_for_client("bucket", key),
            seconds=seconds,
            size_seconds=size_seconds,
            to_the_brim=to_the_brim,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The first three count by client address, the others by session. `calls` None: no limit."""

    logins: Limiter
    failed_callbacks: Limiter
    failed_logout_tokens: Limiter
    refreshes: Limiter
    calls: CallLimit | None

    @classmethod
    def build(
        cls,
        settings: Settings,
        store: SessionStore,
        owner: RecordOwner,
        clock: Clock,
        metrics: Metrics,
    ) -> Self:
        """Nothing is opened: they work on the store's connections."""
        limits = settings.limits
        buckets = OwnBuckets(store, owner)
        strict = limits.when_store_down == "refuse"

        def limiter(kind: str, rate: Rate | None) -> Limiter:
            return Limiter(kind, rate, buckets, clock, metrics, strict=strict)

        return cls(
            logins=limiter("login", limits.logins),
            failed_callbacks=limiter("failed_callback", limits.failed_callbacks),
            failed_logout_tokens=limiter("failed_logout_token", limits.failed_logout_tokens),
            refreshes=limiter("refresh", limits.refreshes),
            calls=(
                CallLimit(limits.api_calls, buckets, clock, metrics)
                if limits.api_calls is not None
                else None
            ),
        )

    def start(self) -> None:
        if self.calls is not None:
            self.calls.start()

    async def close(self) -> None:
        if self.calls is not None:
            await self.calls.close()


LEAST_CLOSING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class BrowserState:
    """What a browser holds of us: two cookies, and the `sid` of its logout link."""

    session_cookie: SessionCookie
    binder: Binder
    logout_sid: LogoutSid
    cookies: BrowserCookies


@dataclass(frozen=True, slots=True)
class Core:
    """One of each."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    store: SessionStore
    sessions: Sessions
    transactions: LoginTransactions
    browser: BrowserState
    relying_party: RelyingParty
    ender: SessionEnder
    logins: SingleFlight[str]
    op_logout: OpLogout
    claims: ClaimFilter
    bound_streams: BoundStreams
    refresh_policy: RefreshPolicy
    coordinator: RefreshCoordinator
    client_tokens: ClientTokens
    limits: Limits

    @classmethod
    def build(cls, settings: Settings, clock: Clock, metrics: Metrics) -> Self:
        """Nothing is opened yet."""
        secrets = [secret.get_secret_value() for secret in settings.session.secrets]
        owner = wiring.record_owner(settings)
        keyring = Keyring(secrets, owner)
        store = wiring.session_store(settings, clock)
        sessions = Sessions(store, keyring, clock, settings.session.policy())
        sessions.observe(on_watch=metrics.store_watching)
        relying_party = wiring.relying_party(settings, clock)
        ender = SessionEnder(
            sessions, relying_party, metrics, revoke=settings.oidc.revoke_on_logout
        )
        claims = ClaimFilter(settings.user.claims)
        policy = RefreshPolicy(settings.session.refresh_before)
        limits = Limits.build(settings, store, owner, clock, metrics)
        return cls(
            settings=settings,
            clock=clock,
            metrics=metrics,
            store=store,
            sessions=sessions,
            transactions=LoginTransactions(
                store,
                keyring,
                clock,
                ttl_seconds=settings.session.login_timeout,
                cap=settings.session.logins_per_browser,
            ),
            browser=BrowserState(
                SessionCookie(
                    settings.cookie_name, secrets, entries=settings.session.cache_entries
                ),
                Binder(secrets),
                LogoutSid(secrets),
                wiring.browser_cookies(settings),
            ),
            relying_party=relying_party,
            ender=ender,
            logins=SingleFlight(),
            op_logout=OpLogout(
                relying_party, sessions, ender, ReplayCache(store, owner, clock), metrics
            ),
            claims=claims,
            bound_streams=BoundStreams(sessions, clock),
            refresh_policy=policy,
            coordinator=RefreshCoordinator(
                relying_party, sessions, ender, clock, policy, claims, metrics, limits.refreshes
            ),
            client_tokens=ClientTokens(relying_party, clock),
            limits=limits,
        )

    def admission(self, settings: GateSettings) -> Admission:
        """A gate with every rule of this gateway, and what it waits for. `settings` say which own
        endpoints there are."""
        gate = Gate(
            settings,
            wiring.route_table(self.settings),
            self.settings.csrf.guard(self.settings.server.public_url),
            wiring.forwarding(self.settings),
            session_key_of=self.browser.session_cookie.key_of,
            cached=self.sessions.cached,
            refresh_policy=self.refresh_policy,
            clock=self.clock,
        )
        return Admission(
            gate, self.sessions, self.coordinator, self.client_tokens, self.limits.calls
        )

    async def open(self) -> None:
        """Does not fail when the store or the OP is down."""
        await self.sessions.start()
        self.bound_streams.start()
        self.limits.start()
        await self.relying_party.start()

    async def close(self, seconds: float) -> None:
        """Let what must finish do so, for about `seconds` in all, then close."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        # In this order: what one of them still does may give work to the next.
        await self.logins.drain(max(LEAST_CLOSING_SECONDS, deadline - loop.time()))
        for part in (self.op_logout, self.coordinator, self.ender):
            await part.close(max(LEAST_CLOSING_SECONDS, deadline - loop.time()))
        await self.limits.close()
        await self.bound_streams.close()
        await self.relying_party.close()
        await self.sessions.close()
