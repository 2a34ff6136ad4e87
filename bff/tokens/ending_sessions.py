"""Ending a session on purpose: gone here at once, then revoked at the OP in the background."""

import asyncio

import structlog

from bff.audit.audit import OFF, Audit
from bff.audit.event import NO_REQUEST, Event, Origin
from bff.model import Session, Tokens, public_id
from bff.observability.logs import frontend_in_logs
from bff.observability.metrics import Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.sessions import Sessions
from bff.tasks import TaskSet

log = structlog.get_logger("bff.tokens")

# When all sessions are ended at once, the OP is not overrun, and memory is not filled by waiting.
REVOCATIONS_AT_ONCE = 32
REVOCATIONS_WAITING = 10_000


class SessionEnder:
    """Local first, independent of the OP (OpenID RP-Initiated Logout section 2, RFC 7009).

    At most `revocations_waiting` are kept for the OP; what is beyond that is left to expire.
    """

    def __init__(
        self,
        sessions: Sessions,
        relying_parties: RelyingParties,
        metrics: Metrics,
        audit: Audit = OFF,
        *,
        revocations_waiting: int = REVOCATIONS_WAITING,
    ) -> None:
        self._sessions = sessions
        self._relying_parties = relying_parties
        self._metrics = metrics
        self._audit = audit
        self._endings: TaskSet[Session | None] = TaskSet()
        self._revocations: TaskSet[None] = TaskSet()
        self._revocations_waiting = revocations_waiting
        self._slots = asyncio.Semaphore(REVOCATIONS_AT_ONCE)
        sessions.observe(on_expired=self._on_expired)

    async def end(
        self,
        session_or_key: Session | str,
        reason: str,
        *,
        revoke: bool = True,
        rotated: Tokens | None = None,
        only_version: int | None = None,
        origin: Origin = NO_REQUEST,
    ) -> Session | None:
        """End a session; the ended one is returned to exactly one caller. With `only_version` not
        if its record has been written meanwhile. What has begun is finished, also when the caller
        is cancelled: a tab that is closed right after its logout must not leave tokens unrevoked.

        `rotated` are tokens that the OP has put in the place of the session's, which are spent:
        they are revoked instead.

        `origin` is the request that ends it, for the audit log.

        `revoke=False` is for tokens that are dead already, and for a session that a new login has
        replaced: many OPs revoke the whole grant, which the new session lives on.

        Raises:
            StoreUnavailable: it could not be ended; it still exists.
        """
        work = self._end(
            session_or_key,
            reason,
            revoke=revoke,
            rotated=rotated,
            only_version=only_version,
            origin=origin,
        )
        return await asyncio.shield(self._endings.start(work))

    def _on_expired(self, key: str, reason: str) -> None:
        self._tell(key, reason)
        self._audit.report(Event.expired(key, reason))

    def _tell(self, key: str, reason: str, **where: str) -> None:
        self._metrics.session_ended(reason)
        log.info("session_ended", reason=reason, session=public_id(key), **where)

    async def _end(
        self,
        session_or_key: Session | str,
        reason: str,
        *,
        revoke: bool,
        rotated: Tokens | None,
        only_version: int | None,
        origin: Origin,
    ) -> Session | None:
        ended = await self._sessions.end(session_or_key, reason, only_version=only_version)
        if ended is None:
            return None
        self._tell(ended.key, reason, **frontend_in_logs(ended.frontend))
        self._audit.report(Event.ended(ended, reason, origin))
        if revoke and self._relying_parties[ended.provider].settings.revoke_on_logout:
            self._start_revocation(ended, rotated or ended.tokens)
        return ended

    async def revoke(self, session: Session, tokens: Tokens) -> None:
        """Revoke tokens of a session that has ended, where logouts revoke. A failure is counted and
        logged."""
        relying_party = self._relying_parties[session.provider]
        if not relying_party.settings.revoke_on_logout:
            return
        reason = await relying_party.revoke(tokens)
        if reason is not None:
            self._failed(session, reason)

    async def close(self, seconds: float) -> None:
        """Let what has begun finish, revocations included, for at most `seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        await self._endings.drain(seconds)  # which may give work to the next
        await self._revocations.drain(deadline - loop.time())

    def _start_revocation(self, session: Session, tokens: Tokens) -> None:
        if len(self._revocations) >= self._revocations_waiting:
            self._failed(session, "too many are waiting for the OP")
            return
        self._revocations.start(self._revoke_in_turn(session, tokens))

    async def _revoke_in_turn(self, session: Session, tokens: Tokens) -> None:
        async with self._slots:
            try:
                await self.revoke(session, tokens)
            except Exception:  # no caller waits for it
                self._metrics.revocation_failed()
                log.exception("revocation_aborted", session=public_id(session.key))

    def _failed(self, session: Session, reason: str) -> None:
        self._metrics.revocation_failed()
        log.warning(
            "revocation_failed",
            reason=reason,
            provider=session.provider,
            session=public_id(session.key),
        )
