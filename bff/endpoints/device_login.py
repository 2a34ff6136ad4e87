"""`POST /bff/device` and `GET /bff/device/{id}`: a login by device code (RFC 8628), for a browser
without a keyboard. The user decides at another device; the browser asks here, and this endpoint
asks the OP, as often as the OP allows and from one process at a time.

The device code stays in the transaction, sealed. What the browser has is an id, which is of use
with the binder cookie of the browser that began. All of it is in the store, so that any process,
and one that has just been started, can go on.
"""

import math
from dataclasses import replace
from hmac import compare_digest
from secrets import token_urlsafe

import structlog
from aiohttp import web

from bff.audit.audit import Audit
from bff.audit.event import Actor, Event, EventName
from bff.clock import Clock
from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.clients import origin_of
from bff.endpoints.finished_logins import FinishedLogins
from bff.endpoints.parameters import idp_of, parse_parameters
from bff.errors import (
    BffError,
    BrowserMismatch,
    LoginError,
    LoginExpired,
    OpError,
    StoreUnavailable,
    UnknownProvider,
)
from bff.gate.outcome import Local
from bff.limits.limiter import Limiter, client_of
from bff.model import DeviceGrant, LoginTransaction
from bff.observability.metrics import Metrics
from bff.oidc.identity import Identity
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.device import SLOW_DOWN_SECONDS
from bff.oidc.steps.token_endpoint import AuthorizationPending
from bff.sessions.cookie import ID_BYTES, Binder
from bff.sessions.single_use import LoginTransactions

log = structlog.get_logger("bff.endpoints")

# Requests to the OP in one poll, at most: metadata, keys, and the token endpoint, which is asked
# with either of two secrets of the client, and each time again with a nonce that it wants in the
# DPoP proof. Each takes the provider's timeout at most.
REQUESTS_IN_A_POLL = 6
MAX_WAIT_SECONDS = 60.0  # while the OP is in trouble


class _Undecided(Exception):
    """The browser is to ask about the transaction again, in about so many seconds."""

    def __init__(self, transaction: LoginTransaction, wait_seconds: float) -> None:
        super().__init__()
        self.transaction = transaction
        self.wait_seconds = wait_seconds


class DeviceLogin:
    """`transactions` are those of logins by device code. `logins` limits how many begin, as it does
    those by redirect, and `failures` how many fail."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        transactions: LoginTransactions,
        finished: FinishedLogins,
        binder: Binder,
        cookies: BrowserCookies,
        clock: Clock,
        logins: Limiter,
        failures: Limiter,
        metrics: Metrics,
        audit: Audit,
        *,
        path: str,
        frontend: str,
    ) -> None:
        self._relying_parties = relying_parties
        self._transactions = transactions
        self._finished = finished
        self._binder = binder
        self._cookies = cookies
        self._clock = clock
        self._logins = logins
        self._failures = failures
        self._metrics = metrics
        self._audit = audit
        self._path = path
        self._frontend = frontend

    async def begin(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        """Ask the OP for codes, and tell the browser those that are for the user.

        Raises:
            UnknownProvider: `idp` names none that allows it.
            RateLimited: there were too many logins from this client's address.
            LoginRefused, OpError: the OP gives no codes.
            StoreUnavailable: the transaction can't be kept.
        """
        relying_party = self._chosen(parse_parameters(local.target.query or b""))
        await self._logins.take(client_of(local.identity.client_address))
        binder = self._cookies.held_binder(self._binder, local.fields) or self._binder.issue()
        asked = await relying_party.device_authorization()
        now, name = self._clock.now(), token_urlsafe(ID_BYTES)
        transaction = LoginTransaction(
            issuer=relying_party.settings.issuer,
            code_verifier="",
            nonce="",
            binder_hash=binder.key,
            return_url="",
            created_at=now,
            previous_session=local.session_key,
            resources=asked.resources,
            device=DeviceGrant(
                asked.device_code,
                expires_at=now + asked.expires_in_seconds,
                interval_seconds=asked.interval_seconds,
                wait_seconds=asked.interval_seconds,
            ),
            provider=relying_party.name,
        )
        await self._transactions.put(name, transaction)
        # The first time that the OP may be asked is an interval from now as well.
        await self._transactions.acquire(name, seconds=asked.interval_seconds)
        self._metrics.login_started(self._frontend, relying_party.name)
        event = Event(
            EventName.LOGIN_BEGUN,
            Actor.USER,
            origin=origin_of(request, local),
            frontend=self._frontend,
            provider=relying_party.name,
        )
        self._audit.report(event)
        document = {
            "status_url": f"{self._path}/{name}",
            "user_code": asked.user_code,
            "verification_uri": asked.verification_uri,
            "verification_uri_complete": asked.verification_uri_complete,
            **self._times(transaction, asked.interval_seconds),
        }
        response = web.json_response(document)
        response.headers.add("Set-Cookie", self._cookies.set_binder(binder.value))
        return response

    async def poll(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        """Whether the user has decided. With a decision for it comes the session's cookie.

        Raises:
            LoginDenied: against it.
            LoginExpired: it is too late, or the session has been had already.
            BrowserMismatch: the login is another browser's.
            StoreUnavailable: nothing is known; the login may still be open.
        """
        client = client_of(local.identity.client_address)
        await self._failures.require_room(client)
        name = local.target.path.rpartition(b"/")[2].decode("ascii")
        transaction: LoginTransaction | None = None
        try:
            transaction = await self._begun_here(name, local)
            cookie = await self._finished.cookie(
                name, lambda: self._redeem(name), transaction, request, local
            )
            if not cookie:
                raise LoginExpired("all earlier requests for it had hung up")
        except _Undecided as undecided:
            times = self._times(undecided.transaction, undecided.wait_seconds)
            return web.json_response({"status": "pending", **times})
        except StoreUnavailable:
            raise
        except BffError as error:
            provider = transaction.provider if transaction is not None else ""
            await self._finished.tell(error, provider, origin_of(request, local), client)
            raise
        response = web.json_response({"status": "complete"})
        response.headers.add("Set-Cookie", self._cookies.set_session(cookie))
        return response

    async def _begun_here(self, name: str, local: Local) -> LoginTransaction:
        """The transaction, if it is this browser's. Another browser does not end it."""
        transaction = await self._transactions.load(name)
        if transaction is None:
            raise LoginExpired
        binder = self._cookies.held_binder(self._binder, local.fields)
        if binder is None or not compare_digest(binder.key, transaction.binder_hash):
            raise BrowserMismatch
        return transaction

    async def _redeem(self, name: str) -> Identity:
        """Ask the OP, if it may be asked now.

        Raises:
            _Undecided: the browser is to ask again.
            LoginError: the login is over.
            OpError: it is over, for its tokens could not be verified.
            StoreUnavailable: nothing is known; it may still be open.
        """
        transaction, device = await self._open(name)
        relying_party = self._relying_parties[transaction.provider]
        most = REQUESTS_IN_A_POLL * relying_party.settings.timeout_seconds
        lease = await self._transactions.acquire(name, seconds=most)
        if lease is None:
            raise _Undecided(transaction, device.wait_seconds)
        # Another process may have finished it, or have been told to slow down, just before.
        transaction, device = await self._open(name)
        after = await self._asked(name, relying_party, transaction, device)
        if isinstance(after, Identity):
            return after
        if self._clock.now() >= self._transactions.expires_at(transaction):
            raise LoginExpired("its time ended while the OP was asked")
        if after != device:
            await self._transactions.put(name, replace(transaction, device=after))
        await self._transactions.keep(lease, seconds=after.wait_seconds)
        raise _Undecided(transaction, after.wait_seconds)

    async def _open(self, name: str) -> tuple[LoginTransaction, DeviceGrant]:
        """Raises: LoginExpired: it is over, or its provider allows none any more."""
        transaction = await self._transactions.load(name)
        if transaction is None or transaction.device is None:
            raise LoginExpired
        if not self._relying_parties[transaction.provider].settings.device_login:
            raise LoginExpired("device_login is off")
        return transaction, transaction.device

    async def _asked(
        self,
        name: str,
        relying_party: RelyingParty,
        transaction: LoginTransaction,
        device: DeviceGrant,
    ) -> Identity | DeviceGrant:
        """The identity, or how the OP is to be asked from now on."""
        try:
            tokens = await relying_party.poll_device(transaction)
        except AuthorizationPending as pending:
            interval = device.interval_seconds + (SLOW_DOWN_SECONDS if pending.slow_down else 0.0)
            return replace(device, interval_seconds=interval, wait_seconds=interval)
        except OpError as error:
            log.log(
                error.log_level,
                "device_login_delayed",
                code=error.code,
                provider=relying_party.name,
                detail=error.log_detail,
            )
            # None of these is the user's fault. RFC 8628 section 3.5: twice as long after each.
            wait = min(2 * device.wait_seconds, MAX_WAIT_SECONDS)
            least = max(device.interval_seconds, error.asked_seconds)
            return replace(device, wait_seconds=max(wait, least))
        except LoginError:
            await self._transactions.take(name)
            raise
        # Taken before it is of any effect: whatever the OP answers, one login makes one session.
        if await self._transactions.take(name) is None:
            await relying_party.revoke(tokens)
            raise LoginExpired("it was ended while the OP was asked")
        return await relying_party.identity(tokens, transaction)

    def _times(self, transaction: LoginTransaction, wait_seconds: float) -> dict[str, int]:
        left = self._transactions.expires_at(transaction) - self._clock.now()
        return {"expires_in": max(0, int(left)), "interval": math.ceil(wait_seconds)}

    def _chosen(self, parameters: dict[str, str]) -> RelyingParty:
        """The provider that `idp` names, or the first that allows it, the default before others."""
        wanted = idp_of(parameters)
        parties = (self._relying_parties.default, *self._relying_parties)
        allowing = (party for party in parties if party.settings.device_login)
        found: RelyingParty | None = next(
            (party for party in allowing if wanted in (None, party.name)), None
        )
        if found is None:
            raise UnknownProvider
        return found
