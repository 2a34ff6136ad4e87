"""Logouts that the OP tells of: which sessions each is about, and that they end.

What has begun is finished, also when the caller hangs up: an OP need not wait for our answer, and
the frame of a front-channel logout is gone in a moment.

OpenID Connect Back-Channel Logout 1.0 sections 2.6 and 2.7, Front-Channel Logout 1.0 section 3.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bff.audit.audit import OFF, Audit
from bff.audit.event import Actor, Event, EventName, Origin
from bff.errors import BffError, LogoutTokenInvalid
from bff.model import Session
from bff.observability.metrics import Metrics
from bff.oidc.jwt.logout_token import LogoutNotice
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.sessions import Sessions
from bff.sessions.single_use import ReplayCache
from bff.tasks import SingleFlight
from bff.tokens.ending_sessions import SessionEnder

BACK_CHANNEL = "backchannel_logout"
FRONT_CHANNEL = "frontchannel_logout"

Work = Callable[[], Awaitable[list[Session]]]

log = structlog.get_logger("bff.tokens")


class OpLogout:
    """Both methods return how many sessions they ended; none is a success as well (section 2.7)."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        sessions: Sessions,
        ender: SessionEnder,
        replay_cache: ReplayCache,
        metrics: Metrics,
        audit: Audit = OFF,
    ) -> None:
        self._relying_parties = relying_parties
        self._sessions = sessions
        self._ender = ender
        self._replay_cache = replay_cache
        self._metrics = metrics
        self._audit = audit
        self._flights: SingleFlight[int] = SingleFlight()

    async def back_channel(self, logout_token: str, origin: Origin) -> int:
        """End what a logout token names.

        Raises:
            LogoutTokenInvalid: a check failed, or the token has done its work before.
            OpError, StoreUnavailable: it could not be done; the same token may be sent again.
        """
        key = hashlib.sha256(logout_token.encode("utf-8", "surrogatepass")).hexdigest()
        return await self._finished(
            key, BACK_CHANNEL, origin, lambda: self._by_token(logout_token, origin)
        )

    async def front_channel(
        self, meant: Sequence[tuple[str, str]], sid: str, origin: Origin
    ) -> int:
        """End the sessions of one session at the OP; `meant` are pairs of a provider and one of its
        issuers. Their tokens are left to the OP.

        Raises:
            StoreUnavailable: it could not be done.
        """
        return await self._finished(
            f"sid {' '.join(f'{provider} {issuer}' for provider, issuer in meant)} {sid}",
            FRONT_CHANNEL,
            origin,
            lambda: self._by_sid(meant, sid, origin),
        )

    async def close(self, seconds: float) -> None:
        """Let what has begun finish, for at most `seconds`."""
        await self._flights.drain(seconds)

    async def _by_token(self, logout_token: str, origin: Origin) -> list[Session]:
        notices = await self._relying_parties.logout_token(logout_token)
        results = [await self._obeyed(notice, origin) for notice in notices]
        if all(ended is None for ended in results):
            raise LogoutTokenInvalid("jti_replayed")  # section 2.6 (8)
        return [session for ended in results for session in ended or ()]

    async def _obeyed(self, notice: LogoutNotice, origin: Origin) -> list[Session] | None:
        """The sessions that it has ended; None when the token has done its work before."""
        issuer, jti, provider = notice.issuer, notice.jti, notice.provider
        if await self._replay_cache.has(issuer, jti, provider=provider):
            return None
        ended = await self._end(await self._named_by(notice), BACK_CHANNEL, origin)
        # Only now: after a failure on the way here the OP's next try must not count as a replay.
        await self._replay_cache.add(issuer, jti, provider=provider, expires_at=notice.expires_at)
        return ended

    async def _by_sid(
        self, meant: Sequence[tuple[str, str]], sid: str, origin: Origin
    ) -> list[Session]:
        found = []
        for name, issuer in meant:
            found += await self._sessions.of_sid(issuer, sid, provider=name)
        return await self._end(found, FRONT_CHANNEL, origin)

    async def _named_by(self, notice: LogoutNotice) -> list[Session]:
        """Section 2.4: `sid` is one session at the OP; `sub` alone is all of the user's. With both,
        both must fit; a session that came without `sid` may be the one meant, and is taken."""
        issuer, provider = notice.issuer, notice.provider
        if notice.sub is None:
            return await self._sessions.of_sid(issuer, notice.sid or "", provider=provider)
        of_user = await self._sessions.of_subject(issuer, notice.sub, provider=provider)
        return [s for s in of_user if notice.sid is None or s.sid in (None, notice.sid)]

    async def _end(self, sessions: list[Session], reason: str, origin: Origin) -> list[Session]:
        ended = []
        for session in sessions:
            revoke = reason == BACK_CHANNEL and not _is_offline(session)
            ended.append(await self._ender.end(session, reason, revoke=revoke, origin=origin))
        return [session for session in ended if session is not None]

    async def _finished(self, key: str, channel: str, origin: Origin, work: Work) -> int:
        return await self._flights.join(key, lambda: self._recorded(channel, origin, work))

    async def _recorded(self, channel: str, origin: Origin, work: Work) -> int:
        request_id = origin.request_id
        try:
            ended = await work()
        except BffError as error:
            self._metrics.op_logout(channel, error.code)
            event = EventName.OP_LOGOUT_FAILED
            self._audit.report(Event(event, Actor.OP, error.code, origin, frontend=""))
            log.warning(channel, outcome=error.code, detail=error.log_detail, request_id=request_id)
            raise
        outcome = "ended" if ended else "no_session"
        subs = sorted({session.sub for session in ended})
        self._metrics.op_logout(channel, outcome)
        log.info(channel, outcome=outcome, sessions=len(ended), subs=subs, request_id=request_id)
        return len(ended)


def _is_offline(session: Session) -> bool:
    """Section 2.7: a refresh token with `offline_access` should outlive the session at the OP."""
    return "offline_access" in session.tokens.scope.split()
