"""The gate of a configuration, asked about one request without serving it.

Nothing is listened on, no OP and no API is asked, and the store is only read: one session, if the
decision waits for it.
"""

from dataclasses import dataclass
from enum import StrEnum

from bff.app import wiring
from bff.app.core import Core
from bff.app.frontends import ServedFrontend
from bff.clock import Clock
from bff.config.frontends import Frontend, paths_below
from bff.config.settings import Settings
from bff.errors import MisdirectedHost, NotFound
from bff.gate.explained import Step
from bff.gate.head import RequestHead
from bff.gate.outcome import Answer, Decision, Known
from bff.model import Session
from bff.observability.metrics import Metrics
from bff.sessions.sealing.records import SealedSessions


class SessionState(StrEnum):
    """What the store says of the session of a cookie."""

    FOUND = "found"
    NONE = "none"
    EXPIRED = "expired"
    FOREIGN = "foreign"  # of another gateway, client or secret
    UNREADABLE = "unreadable"
    IN_MEMORY = "in memory"  # of the gateway that runs, and of no other process


@dataclass(frozen=True, slots=True)
class FoundSession:
    """`session` is set for `FOUND` and `EXPIRED`."""

    state: SessionState
    session: Session | None = None


class ExplainedGateway:
    """The parts of a gateway that decide. The steps of a decision are told with it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._core = core = Core.build(settings, clock, Metrics())
        below = paths_below(core.frontends)
        served = [ServedFrontend.build(core, one, below[one.name]) for one in core.frontends]
        self._served = {one.frontend.name: one for one in served}
        self._at_gate = {
            name: one.explained_at_gate(wiring.public_rules(one.frontend))
            for name, one in self._served.items()
        }
        self._gate = core.gate(self._at_gate.values(), max_body_bytes=settings.server.max_body)
        self._records = SealedSessions(core.keyring)

    @property
    def frontends(self) -> tuple[Frontend, ...]:
        return self._core.frontends

    def binds_tokens(self, provider: str) -> bool:
        """Whether new tokens of a provider are bound to a key (RFC 9449)."""
        return self._core.relying_parties[provider].settings.dpop

    def decide(self, head: RequestHead, known: Known | None = None) -> tuple[Decision, list[Step]]:
        """As `Gate.decide`, with the rules that were asked."""
        decision = self._gate.decide(head, known)
        name = decision.identity.frontend
        if name:
            found = Step("frontend", f"{name}, by Host and path")
            return decision, [Step("head", "is sound"), found, *self._at_gate[name].steps]
        if not isinstance(decision, Answer):
            raise AssertionError("what passes has come for a frontend")
        error = decision.error
        if decision.ends_connection:
            rule = "head"
        elif isinstance(error, MisdirectedHost | NotFound):
            rule = "frontend"
        else:
            rule = "address"  # Host, or the target, can't be read
        return decision, [Step(rule, error.title, error)]

    def route_of(self, head: RequestHead) -> str:
        """As `Gate.route_of`."""
        return self._gate.route_of(head)

    def signed_by(self, value: str) -> str | None:
        """The frontend that has signed the value of a session cookie."""
        for name, one in self._served.items():
            if one.browser.session_cookie.key_of(value) is not None:
                return name
        return None

    async def find(self, key: str) -> FoundSession:
        """The session of a cookie, read once and left as it is. Raises: StoreUnavailable."""
        if self._core.settings.session.is_in_memory:
            return FoundSession(SessionState.IN_MEMORY)
        stored = await self._core.store.load(key)
        if stored is None:
            return FoundSession(SessionState.NONE)
        if self._records.is_foreign(stored):
            return FoundSession(SessionState.FOREIGN)
        session = self._records.open(key, stored)
        if session is None:
            return FoundSession(SessionState.UNREADABLE)
        is_live = session.is_live(self._core.clock.now())
        return FoundSession(SessionState.FOUND if is_live else SessionState.EXPIRED, session)

    async def close(self) -> None:
        """Let go of the store."""
        await self._core.store.close()
