"""Refreshing at the OP: one request, and what each answer to it means for the session.

What the OP rotated is written, by compare-and-set on the record's version, before any caller goes
on. Only a dead grant and a contradicting identity end a session.

RFC 6749 sections 5.2 and 6, OIDC Core section 12.
"""

import dataclasses
from collections.abc import Mapping

import structlog

from bff.audit.audit import Audit
from bff.audit.event import Actor, Event, EventName
from bff.clock import Clock
from bff.errors import (
    AccessTokenUnusable,
    ApiTokenRefused,
    ClientRejected,
    GrantRejected,
    IdTokenInvalid,
    NothingToRefresh,
    OpError,
    RefreshRefused,
    SessionEnded,
)
from bff.model import Session, Tokens, TokenTarget, public_id
from bff.observability.metrics import Metrics
from bff.oidc.identity import Refreshed
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.sessions import Sessions
from bff.tokens.attempts import Attempts
from bff.tokens.backoff import Attempt
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.policy import ClaimFilter, RefreshPolicy
from bff.tokens.rotations import Rotations

log = structlog.get_logger("bff.tokens")


class RefreshRequests:
    """Sends one when the coordinator has found that it may be sent."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        sessions: Sessions,
        ender: SessionEnder,
        clock: Clock,
        policy: RefreshPolicy,
        claims: ClaimFilter,
        metrics: Metrics,
        rotations: Rotations,
        audit: Audit,
    ) -> None:
        self._relying_parties = relying_parties
        self._sessions = sessions
        self._ender = ender
        self._clock = clock
        self._policy = policy
        self._claims = claims
        self._metrics = metrics
        self._rotations = rotations
        self._audit = audit

    async def send(
        self,
        session: Session,
        attempts: Attempts,
        attempt: Attempt,
        target: TokenTarget | None = None,
    ) -> Session:
        """Spend the session's refresh token, for the access token of the login or for one that is
        for `target`. The session as the store has it then. `attempts` are those at this provider
        for this target; how `attempt`, one of them, has ended is reported to them.

        Raises:
            ApiTokenRefused: the OP gives no token for this target; the session stays.
            SessionEnded: the grant is dead, another identity came back, or a logout was faster.
            OpError: it may be tried again; the session stays.
            StoreUnavailable: the session stays, unless it has expired meanwhile.
        """
        started = self._clock.now()
        try:
            refreshed = await self._relying_parties[session.provider].refresh(session, target)
        except (GrantRejected, NothingToRefresh):
            attempts.answered(session.key)
            return await self._after_rejection(session)
        except IdTokenInvalid as error:
            attempts.answered(session.key)
            await self._after_contradiction(session, error)
            raise SessionEnded("the refreshed ID token is not valid") from error
        except ApiTokenRefused as error:
            attempts.refused_for_api(session.key, error)
            raise
        except RefreshRefused as error:
            if target is None:
                return await self._after_refusal(session, attempts, error)
            refused = ApiTokenRefused(error.log_detail)
            attempts.refused_for_api(session.key, refused)
            raise refused from None
        except AccessTokenUnusable as error:
            attempts.failed(session.key, attempt, error)
            await self._keep(dataclasses.replace(session, tokens=error.tokens))
            raise
        except OpError as error:
            attempts.failed(session.key, attempt, error)
            if isinstance(error, ClientRejected):
                self._tell_refused(session, error)
            raise
        attempts.answered(session.key)
        written = await self._keep(self._updated(session, refreshed, target))
        seconds = self._clock.now() - started
        self._metrics.refreshed("ok", session.provider, seconds=seconds)
        return written

    async def _keep(self, updated: Session) -> Session:
        written = await self._rotations.keep(updated)
        if written is None:
            await self._logout_won(updated)
            raise SessionEnded("a logout came first")
        return written

    async def _after_rejection(self, session: Session) -> Session:
        # Unless the token we spent has been replaced meanwhile by a process whose lease had lapsed.
        ended = await self._ender.end(
            session, "grant_rejected", revoke=False, only_version=session.version
        )
        if ended is None:
            newer = await self._rotations.load(session.key)
            self._metrics.refreshed("reuse_suspected", session.provider)
            return newer
        self._metrics.refreshed("rejected", session.provider)
        log.info("refresh_rejected", provider=session.provider, session=public_id(session.key))
        raise SessionEnded("invalid_grant")

    async def _after_refusal(
        self, session: Session, attempts: Attempts, error: RefreshRefused
    ) -> Session:
        """The OP is there and has said no, but not that the grant is dead. While the access token
        is good nothing is lost by asking again; after that, what is said for good ends the session.
        """
        attempts.answered(session.key)
        is_meant = attempts.is_meant(session, error)
        if is_meant and self._policy.is_expired(session.tokens, self._clock.now()):
            return await self._after_rejection(session)
        attempts.refused(session.key, error)
        self._tell_refused(session, error)
        raise error

    def _tell_refused(self, session: Session, error: OpError) -> None:
        event = EventName.REFRESH_REFUSED
        self._audit.report(Event.about(event, Actor.OP, session, reason=error.code))

    async def _after_contradiction(self, session: Session, error: IdTokenInvalid) -> None:
        """OIDC Core section 12.2: another identity came back. Nothing of it is used."""
        self._metrics.refreshed("identity_mismatch", session.provider)
        log.error(
            "refresh_identity_mismatch",
            check=error.check,
            detail=error.detail,
            provider=session.provider,
            session=public_id(session.key),
        )
        await self._ender.end(session, "identity_mismatch", rotated=error.tokens)

    def _updated(
        self, session: Session, refreshed: Refreshed, target: TokenTarget | None
    ) -> Session:
        session = dataclasses.replace(session, acr=refreshed.acr, auth_time=refreshed.auth_time)
        now = self._clock.now()
        held = {key: one for key, one in session.api_tokens.items() if now < one.expires_at}
        if target is not None:
            return _with_api_token(session, held, target, refreshed.tokens)
        return dataclasses.replace(
            session,
            tokens=refreshed.tokens,
            api_tokens=held,
            claims=self._claims.kept(
                refreshed.claims or {},
                access_token=refreshed.tokens.access_token,
                frontend=session.frontend,
                before=session.claims,
            ),
        )

    async def _logout_won(self, obtained: Session) -> None:
        # Not when a new login came first, or may have: at many OPs it lives on the same grant, and
        # a revocation of these tokens would end that as well.
        if self._sessions.end_reason(obtained.key) not in (None, "replaced"):
            await self._ender.revoke(obtained, obtained.tokens)


def _with_api_token(
    session: Session, held: Mapping[str, Tokens], target: TokenTarget, obtained: Tokens
) -> Session:
    """The session with an access token for `target` beside those that it holds. A new refresh token
    is that of the login as well: its scope is that of the old one (RFC 6749 section 6)."""
    tokens = dataclasses.replace(
        session.tokens,
        refresh_token=obtained.refresh_token,
        refresh_expires_at=obtained.refresh_expires_at,
    )
    api_token = dataclasses.replace(
        obtained, refresh_token=None, refresh_expires_at=None, id_token=None
    )
    return dataclasses.replace(session, tokens=tokens, api_tokens={**held, target.key: api_token})
