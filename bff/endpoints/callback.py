"""`GET /bff/callback`, and `/bff/callback/NAME` of each named provider: the OP's answer becomes a
session.

The order is the defence: shape, then the transaction of this `state` (taken once), then the browser
that started it, then the redirect URI and the issuer, and only then is the code redeemed, at the
provider that the transaction names.

RFC 6749 section 4.1.2, RFC 9207, RFC 9700 sections 2.1, 4.4 and 4.7, OIDC Core section 3.1.3.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from hmac import compare_digest

import structlog
from aiohttp import web

from bff.audit.audit import Audit
from bff.audit.event import ABANDONED, STEP_UP, Actor, Event, EventName, Origin
from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.clients import Device, client_name, origin_of
from bff.endpoints.login import parameters_again
from bff.endpoints.return_url import with_error
from bff.errors import (
    BffError,
    BrowserMismatch,
    IssuerMismatch,
    LoginExpired,
    StoreUnavailable,
)
from bff.gate.outcome import Local
from bff.limits.limiter import Limiter, client_of
from bff.model import DEFAULT_PROVIDER, LoginTransaction, Session, public_id
from bff.observability.metrics import NO_PROVIDER, Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import Identity
from bff.oidc.steps.callback import AuthorizationResponse, process_callback, require_code
from bff.sessions.cookie import Binder, SessionCookie
from bff.sessions.sessions import Sessions
from bff.sessions.single_use import LoginTransactions
from bff.tasks import SingleFlight
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.policy import ClaimFilter

log = structlog.get_logger("bff.endpoints")

# Answers to `prompt=none` that only say "ask the user" (OIDC Core section 3.1.2.6).
SILENT_REFUSALS = frozenset(
    {
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)


@dataclass(slots=True)
class _Caller:
    """The browser that waits for the end of its login."""

    is_gone: bool = False


class Callback:
    """Verifies the answer, redeems the code, creates the session.

    A login that has begun to redeem its code is one of `logins`: it goes on when its browser hangs
    up, and is undone then, for its cookie would reach no browser; as is one that the store fails.

    `path` is that of the default redirect URI. `max_per_user`: past that many sessions of one user
    at this `frontend` the oldest ends; 0 means no limit.
    `keep_address`: the client's address at the login becomes part of the session.
    """

    def __init__(
        self,
        relying_parties: RelyingParties,
        transactions: LoginTransactions,
        sessions: Sessions,
        ender: SessionEnder,
        session_cookie: SessionCookie,
        binder: Binder,
        cookies: BrowserCookies,
        metrics: Metrics,
        failures: Limiter,
        logins: SingleFlight[str],
        audit: Audit,
        *,
        path: str,
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
        self._binder = binder
        self._cookies = cookies
        self._metrics = metrics
        self._failures = failures
        self._logins = logins
        self._audit = audit
        self._path = path
        self._claims = claims
        self._max_per_user = max_per_user
        self._keep_address = keep_address
        self._frontend = frontend

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        client = client_of(local.identity.client_address)
        await self._failures.require_room(client)
        origin = origin_of(request, local)
        transaction: LoginTransaction | None = None
        try:
            response = process_callback((local.target.query or b"").decode("ascii"))
            transaction = await self._transaction(response, local)
            return await self._finish(response, transaction, request, local, origin)
        except BffError as error:
            await self._tell(error, self._provider_of(local.target.path), origin, client)
            if transaction is not None and transaction.prompt == "none":
                return _back_with(error.code, transaction)
            raise

    async def _transaction(self, response: AuthorizationResponse, local: Local) -> LoginTransaction:
        came_to = self._provider_of(local.target.path)
        transaction = await self._transactions.take(response.state)
        if transaction is None:
            raise LoginExpired(again=self._named(came_to))
        binder = self._binder.key_of(self._cookies.binder_of(local.fields) or "")
        if binder is None or not compare_digest(binder, transaction.binder_hash):
            raise BrowserMismatch
        # RFC 9700 section 4.4.2.2: each provider has a redirect URI of its own, so that an answer
        # that another OP was made to give is known for one, also where no OP sends `iss`.
        if came_to != transaction.provider:
            raise IssuerMismatch(f"an answer to {transaction.provider} came to {came_to}")
        await self._relying_parties[transaction.provider].require_response_issuer(response)
        return transaction

    def _provider_of(self, path: bytes) -> str:
        """The provider whose redirect URI has this path."""
        name = path.decode("ascii").removeprefix(self._path)
        return name.removeprefix("/") or DEFAULT_PROVIDER

    async def _finish(
        self,
        response: AuthorizationResponse,
        transaction: LoginTransaction,
        request: web.BaseRequest,
        local: Local,
        origin: Origin,
    ) -> web.StreamResponse:
        try:
            require_code(response)
        except BffError as error:
            if transaction.prompt == "none":
                return self._silently_refused(response, transaction, error, origin)
            if isinstance(error, LoginExpired):
                error.again = parameters_again(transaction) | self._named(transaction.provider)
            raise
        device = Device(
            client=client_name(request.headers.get("User-Agent", "")),
            address=local.identity.client_address if self._keep_address else "",
        )
        caller = _Caller()
        login = self._logins.start(
            response.state,  # which is taken once
            lambda: self._told_of(
                self._establish(response, transaction, device, caller, origin),
                transaction.provider,
                caller,
                origin,
                client_of(local.identity.client_address),
            ),
        )
        try:
            cookie = await asyncio.shield(login)
        except asyncio.CancelledError:
            caller.is_gone = True
            raise
        answer = web.Response(status=302, headers={"Location": transaction.return_url})
        answer.headers.add("Set-Cookie", self._cookies.set_session(cookie))
        return answer

    def _named(self, provider: str) -> dict[str, str]:
        """Where there is a choice, the parameter for a login at the same provider."""
        parties = self._relying_parties
        return {"idp": provider} if len(parties) > 1 and provider in parties else {}

    def _silently_refused(
        self,
        response: AuthorizationResponse,
        transaction: LoginTransaction,
        error: BffError,
        origin: Origin,
    ) -> web.StreamResponse:
        """The application, not the user, has asked, and is told: by a code of OpenID Connect's own
        or one of ours, never by a text of the OP."""
        said = response.error
        if said is None or said not in SILENT_REFUSALS:
            said = error.code
            self._metrics.login(said, self._frontend, transaction.provider)
        self._tell_failed(said, transaction.provider, origin)
        return _back_with(said, transaction)

    async def _told_of(
        self,
        login: Coroutine[None, None, str],
        provider: str,
        caller: _Caller,
        origin: Origin,
        client: str,
    ) -> str:
        """Where the browser hangs up, no request is left that tells and counts a failure."""
        try:
            return await login
        except BffError as error:
            if caller.is_gone:
                await self._tell(error, provider, origin, client)
            raise

    async def _tell(self, error: BffError, provider: str, origin: Origin, client: str) -> None:
        known = provider if provider in self._relying_parties else NO_PROVIDER
        self._metrics.login(error.code, self._frontend, known)
        log.warning("login_failed", code=error.code, request_id=origin.request_id)
        self._tell_failed(error.code, provider, origin)
        if error.status < 500:  # what a browser can bring about, and no trouble of the OP's
            await self._failures.count(client)

    async def _establish(
        self,
        response: AuthorizationResponse,
        transaction: LoginTransaction,
        device: Device,
        caller: _Caller,
        origin: Origin,
    ) -> str:
        identity = await self._relying_parties[transaction.provider].redeem(
            require_code(response), transaction, iss=response.iss
        )
        new_id = self._session_cookie.issue()
        try:
            session = await self._create(new_id.key, identity, device)
            is_settled = await self._settle(session, transaction, caller, origin)
        except StoreUnavailable:
            # It may exist, and no browser gets its cookie. The sessions before it live on.
            with suppress(StoreUnavailable):
                await self._ender.end(new_id.key, ABANDONED, revoke=False)
            raise
        if not is_settled:
            return ""
        self._metrics.login("ok", self._frontend, session.provider)
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
        self, session: Session, transaction: LoginTransaction, caller: _Caller, origin: Origin
    ) -> bool:
        """End the sessions in whose place it comes. False: its browser has gone, and it is undone.

        Raises:
            StoreUnavailable: some of it may have been done.
        """
        # Only now, so that a login which learns of this one finds a session to end.
        of_other_tab = await self._transactions.replace_outcome(
            transaction.binder_hash, session.key
        )
        before = {key for key in (transaction.previous_session, of_other_tab) if key is not None}
        if caller.is_gone:
            if of_other_tab is not None:
                await self._transactions.replace_outcome(transaction.binder_hash, of_other_tab)
            # The sessions before it live on, maybe on the same grant: that is not revoked then.
            await self._undo(session, origin, revoke=not before)
            return False
        for replaced in before:
            await self._ender.end(replaced, "replaced", revoke=False, origin=origin)
        await self._keep_to_limit(session, origin)
        if caller.is_gone:
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

    def _tell_failed(self, reason: str, provider: str, origin: Origin) -> None:
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
            provider=identity.provider,
            frontend=self._frontend,
        )


def _back_with(code: str, transaction: LoginTransaction) -> web.StreamResponse:
    """To the application, which has asked for a silent login, and is told why there is none."""
    location = with_error(transaction.return_url, code)
    return web.Response(status=302, headers={"Location": location})
