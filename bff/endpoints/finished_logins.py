"""What every login ends with, whichever way the user took: a session in the place of those before
it, or a failure that the log, the metrics and the audit log are told of.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import structlog
from aiohttp import web

from bff.audit.audit import Audit
from bff.audit.event import ABANDONED, STEP_UP, Actor, Event, EventName, Origin
from bff.endpoints.clients import Device, client_name, origin_of
from bff.errors import BffError, StoreUnavailable
from bff.gate.outcome import Local
from bff.limits.limiter import Limiter, client_of
from bff.model import LoginTransaction, Session, public_id
from bff.observability.metrics import NO_PROVIDER, Metrics
from bff.oidc.identity import Identity
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.cookie import SessionCookie
from bff.sessions.sessions import Sessions
from bff.sessions.single_use import LoginTransactions
from bff.tasks import SingleFlight
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.policy import ClaimFilter

log = structlog.get_logger("bff.endpoints")


@dataclass(slots=True, weakref_slot=True)
class _Callers:
    """The requests that wait for the end of one login: a browser whose connection broke may have
    asked again."""

    waiting: int = 0

    @property
    def are_gone(self) -> bool:
        return self.waiting == 0


class FinishedLogins:
    """Creates the sessions of one frontend.

    A login that has begun to redeem its grant is one of `logins`: it goes on when its browser hangs
    up, and is undone if no request waits for it at its end, for its cookie would reach no browser;
    as is one that the store fails.

    `failures` counts those that a browser can bring about. `max_per_user`: past that many sessions
    of one user at this `frontend` the oldest ends; 0 means no limit.
    `keep_address`: the client's address at the login becomes part of the session.
    """

    def __init__(
        self,
        relying_parties: RelyingParties,
        transactions: LoginTransactions,
        sessions: Sessions,
        ender: SessionEnder,
        session_cookie: SessionCookie,
        metrics: Metrics,
        failures: Limiter,
        logins: SingleFlight[str],
        audit: Audit,
        *,
        claims: ClaimFilter,
        max_per_user: int,
        keep_address: bool,
        frontend: str,
    ) -> None:
        self._relying_parties = relying_parties
        self._transactions = transactions
        self._sessions = sessions
        self._ender = ender
        self._session_cookie = session_cookie
        self._metrics = metrics
        self._failures = failures
        self._logins = logins
        # Those of a login exist for as long as it runs or a request waits for it.
        self._callers: WeakValueDictionary[str, _Callers] = WeakValueDictionary()
        self._audit = audit
        self._claims = claims
        self._max_per_user = max_per_user
        self._keep_address = keep_address
        self._frontend = frontend

    async def cookie(
        self,
        name: str,
        redeem: Callable[[], Coroutine[Any, Any, Identity]],
        transaction: LoginTransaction,
        request: web.BaseRequest,
        local: Local,
    ) -> str:
        """The cookie's value of the session that begins with what `redeem` returns. `name` is that
        of this one login. Requests that come while it runs get the same. Empty where the login was
        undone, for all of them had hung up.

        Raises what `redeem` does, and

        Raises:
            StoreUnavailable: there is no session.
        """
        address = local.identity.client_address
        device = Device(
            client=client_name(request.headers.get("User-Agent", "")),
            address=address if self._keep_address else "",
        )
        callers, origin = self._callers.get(name), origin_of(request, local)
        if callers is None:
            callers = self._callers[name] = _Callers()
        login = self._logins.start(
            name,
            lambda: self._told_of(
                self._establish(redeem, transaction, device, callers, origin),
                transaction.provider,
                callers,
                origin,
                client_of(address),
            ),
        )
        callers.waiting += 1
        try:
            return await asyncio.shield(login)
        finally:
            callers.waiting -= 1

    async def tell(self, error: BffError, provider: str, origin: Origin, client: str) -> None:
        """A login has failed. `provider` may be no provider's name."""
        known = provider if provider in self._relying_parties else NO_PROVIDER
        self._metrics.login(error.code, self._frontend, known)
        log.warning("login_failed", code=error.code, request_id=origin.request_id)
        self.tell_audit(error.code, provider, origin)
        if error.status < 500:  # what a browser can bring about, and no trouble of the OP's
            await self._failures.count(client)

    def tell_audit(self, reason: str, provider: str, origin: Origin) -> None:
        """The same, of the audit log alone."""
        event = Event(
            EventName.LOGIN_FAILED,
            Actor.USER,
            reason,
            origin,
            frontend=self._frontend,
            # What a browser has put in the path may be no provider's name.
            provider=provider if provider in self._relying_parties else "",
        )
        self._audit.report(event)

    async def _told_of(
        self,
        login: Coroutine[None, None, str],
        provider: str,
        callers: _Callers,
        origin: Origin,
        client: str,
    ) -> str:
        """Where the browser hangs up, no request is left that tells and counts a failure."""
        try:
            return await login
        except BffError as error:
            if callers.are_gone:
                await self.tell(error, provider, origin, client)
            raise

    async def _establish(
        self,
        redeem: Callable[[], Coroutine[Any, Any, Identity]],
        transaction: LoginTransaction,
        device: Device,
        callers: _Callers,
        origin: Origin,
    ) -> str:
        identity = await redeem()
        new_id = self._session_cookie.issue()
        try:
            session = await self._create(new_id.key, identity, device)
            self._metrics.session_created(self._frontend, session.provider)
            is_settled = await self._settle(session, transaction, callers, origin)
        except StoreUnavailable:
            # It may exist, and no browser gets its cookie. The sessions before it live on.
            with suppress(StoreUnavailable):
                await self._ender.end(new_id.key, ABANDONED, revoke=False)
            raise
        if not is_settled:
            return ""
        seconds = session.created_at - transaction.created_at
        self._metrics.login("ok", self._frontend, session.provider, seconds=seconds)
        log.info(
            "login_succeeded",
            provider=session.provider,
            sub=session.sub,
            session=public_id(session.key),
            request_id=origin.request_id,
        )
        event, reason = EventName.LOGIN_SUCCEEDED, STEP_UP if transaction.is_step_up else ""
        self._audit.report(Event.about(event, Actor.USER, session, reason=reason, origin=origin))
        return new_id.value

    async def _settle(
        self, session: Session, transaction: LoginTransaction, callers: _Callers, origin: Origin
    ) -> bool:
        """End the sessions in whose place it comes. False: it is undone, for no
        request waits for it.

        Raises:
            StoreUnavailable: some of it may have been done.
        """
        # Only now, so that a login which learns of this one finds a session to end.
        of_other_tab = await self._transactions.replace_outcome(
            transaction.binder_hash, session.key
        )
        before = {key for key in (transaction.previous_session, of_other_tab) if key is not None}
        if callers.are_gone:
            if of_other_tab is not None:
                await self._transactions.replace_outcome(transaction.binder_hash, of_other_tab)
            # The sessions before it live on, maybe on the same grant: that is not revoked then.
            await self._undo(session, origin, revoke=not before)
            return False
        for replaced in before:
            await self._ender.end(replaced, "replaced", revoke=False, origin=origin)
        await self._keep_to_limit(session, origin)
        if callers.are_gone:
            await self._undo(session, origin, revoke=True)
            return False
        return True

    async def _undo(self, session: Session, origin: Origin, *, revoke: bool) -> None:
        self._metrics.login(ABANDONED, self._frontend, session.provider)
        event = EventName.LOGIN_FAILED
        self._audit.report(Event.about(event, Actor.USER, session, reason=ABANDONED, origin=origin))
        await self._ender.end(session, ABANDONED, revoke=revoke)

    async def _keep_to_limit(self, session: Session, origin: Origin) -> None:
        if self._max_per_user == 0:
            return
        owned = await self._sessions.of_subject(
            session.issuer, session.sub, provider=session.provider, frontend=self._frontend
        )
        for oldest in owned[: -self._max_per_user]:
            await self._ender.end(oldest, "limit", origin=origin)

    async def _create(self, key: str, identity: Identity, device: Device) -> Session:
        return await self._sessions.create(
            key,
            issuer=identity.issuer,
            sub=identity.sub,
            sid=identity.sid,
            tokens=identity.tokens,
            claims=self._claims.kept(
                identity.claims,
                access_token=identity.tokens.access_token,
                frontend=self._frontend,
            ),
            acr=identity.acr,
            auth_time=identity.auth_time,
            client=device.client,
            address=device.address,
            organization=identity.organization,
            resources=identity.resources,
            asked_details=identity.asked_details,
            provider=identity.provider,
            frontend=self._frontend,
        )
