"""The one shell around the gate: waits for what a decision needs, then asks again."""

from collections.abc import Callable, Mapping

import structlog

from bff.errors import BffError, RateLimited, SessionEnded
from bff.gate.decision import Gate
from bff.gate.head import RequestHead
from bff.gate.outcome import Answer, Decision, Forward, Known, Local, Needs, Wait
from bff.limits.limiter import retry_after
from bff.model import Session, Tokens, TokenTarget
from bff.sessions.sessions import Sessions
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.coordinator import RefreshCoordinator
from bff.tokens.exchanged_tokens import ExchangedTokens
from bff.tokens.introspected_tokens import IntrospectedTokens

log = structlog.get_logger("bff.gate")


class Admission:
    """Shared by everything that lets requests pass. `client_tokens` are by provider.

    `over_limit` is asked once for each call of a session: None lets it pass, else it is how many
    seconds to wait. It must do no I/O.
    """

    def __init__(
        self,
        gate: Gate,
        sessions: Sessions,
        coordinator: RefreshCoordinator,
        client_tokens: Mapping[str, ClientTokens],
        exchanged_tokens: ExchangedTokens,
        introspected_tokens: IntrospectedTokens,
        over_limit: Callable[[str], float | None] | None = None,
    ) -> None:
        self._gate = gate
        self._sessions = sessions
        self._coordinator = coordinator
        self._client_tokens = client_tokens
        self._exchanged = exchanged_tokens
        self._introspected = introspected_tokens
        self._over_limit = over_limit

    def route_of(self, head: RequestHead) -> str:
        """As `Gate.route_of`, for logs."""
        return self._gate.route_of(head)

    async def admit(self, head: RequestHead) -> Forward | Local | Answer:
        """The final decision. A forwarded request counts as activity of its session."""
        decision = self.decide(head)
        return await self.settle(head, decision) if isinstance(decision, Wait) else decision

    def decide(self, head: RequestHead) -> Decision:
        """The decision, as far as it can be made at once: `settle` what has to wait."""
        decision = self._gate.decide(head)
        return self._admitted(decision) if isinstance(decision, Forward) else decision

    async def settle(self, head: RequestHead, wait: Wait) -> Forward | Local | Answer:
        """Wait for what is needed and ask again, until the decision is final."""
        decision: Decision = wait
        while isinstance(decision, Wait):
            try:
                known = await self._find(decision)
            except SessionEnded as error:
                return Answer(error, decision.identity, clear_cookie=decision.may_clear_cookie)
            except BffError as error:
                return Answer(error, decision.identity)
            decision = self._gate.decide(head, known)
        return self._admitted(decision) if isinstance(decision, Forward) else decision

    async def with_another_token(
        self, head: RequestHead, session: Session, refused: str
    ) -> Forward | None:
        """The decision for a request of which an API has refused the access token `refused`, with a
        newer token.

        None when there is none to be had. Raises: as `RefreshCoordinator.replaced` and
        `ExchangedTokens.replaced`.
        """
        # What the OP has said of the refused one does not count any more.
        decision = self._gate.decide(head, Known(session=session, refreshed=True, is_active=True))
        known: Known | None = None
        if isinstance(decision, Forward):
            newer = await self._coordinator.replaced(session, decision.route.target)
            known = _with_new(newer)
        elif isinstance(decision, Wait) and decision.needs is Needs.EXCHANGED_TOKEN:
            token = await self._exchanged.replaced(
                session, decision.target or TokenTarget(), refused
            )
            known = _with_new(session if token is not None else None, token)
        if known is None:
            return None
        decision = self._gate.decide(head, known)
        return decision if isinstance(decision, Forward) else None

    def _admitted(self, decision: Forward) -> Forward | Answer:
        if decision.stripped:
            _tell_stripped(decision)
        session = decision.session
        if session is None:
            return decision
        if self._over_limit is not None:
            wait = self._over_limit(session.key)
            if wait is not None:
                error = RateLimited("api_call", retry_after=retry_after(wait))
                return Answer(error, decision.identity)
        self._sessions.touch(session)
        if decision.refresh_due:
            self._coordinator.refresh_soon(session, decision.route.target)
        return decision

    async def _find(self, wait: Wait) -> Known:
        if wait.needs is Needs.SESSION:
            return Known(session=await self._sessions.load(wait.key))
        if wait.needs is Needs.CLIENT_TOKEN:
            target = wait.target or TokenTarget()
            token = await self._client_tokens[wait.provider].get(target)
            if wait.session is not None and self._sessions.end_reason(wait.session.key) is not None:
                raise SessionEnded("a logout came before the gateway's own token")
            return Known(session=wait.session, token=token)
        if wait.session is None:
            raise AssertionError("a user's token is only had for a session")
        if wait.needs is Needs.VERDICT:
            return await self._judged(wait, wait.session)
        if wait.needs is Needs.EXCHANGED_TOKEN:
            token = await self._exchanged.get(wait.session, wait.target or TokenTarget())
            return Known(session=wait.session, token=token)
        refreshed = await self._coordinator.refreshed(wait.session, wait.target)
        return Known(session=refreshed, refreshed=True)

    async def _judged(self, wait: Wait, session: Session) -> Known:
        """What the OP says of the token; where that is dead, another one in its place, if there is
        one."""
        token, rule = wait.token, wait.introspect
        if token is None or rule is None:
            raise AssertionError("a verdict is on a token, at a route that wants one")
        is_active = await self._introspected.is_active(
            session.provider,
            token.access_token,
            rule.cache_seconds,
            allow_when_down=rule.allow_when_down,
        )
        if self._sessions.end_reason(session.key) is not None:
            raise SessionEnded("a logout came before the verdict on the token")
        known: Known | None = None
        if not is_active and session.tokens_for(wait.target) == token:
            known = _with_new(await self._coordinator.replaced(session, wait.target))
        elif not is_active:
            target = wait.target or TokenTarget()
            another = await self._exchanged.replaced(session, target, token.access_token)
            known = _with_new(session if another is not None else None, another)
        return known or Known(session=session, token=token, refreshed=True, is_active=is_active)


def _with_new(session: Session | None, token: Tokens | None = None) -> Known | None:
    """A session, or a token of its own, that the OP gave just now: it is not asked about that."""
    if session is None:
        return None
    return Known(session=session, token=token, refreshed=True, is_active=True)


def _tell_stripped(decision: Forward) -> None:
    # Names only, cut: a value may be a secret, and a name as long as the browser likes.
    names = [name[:_LONGEST_NAME].decode("latin-1") for name in decision.stripped[:_MOST_NAMES]]
    log.debug("fields_stripped", names=names, request_id=decision.identity.request_id)


_LONGEST_NAME = 64
_MOST_NAMES = 32
