"""`GET /bff/callback`, and `/bff/callback/NAME` of each named provider: the OP's answer becomes a
session.

The order is the defence: shape, and the OP's signature where its answers are signed (JARM), then
the transaction of this `state` (taken once), then the browser that started it, then the redirect
URI and the issuer, and only then is the code redeemed, at the provider that the transaction names.

RFC 6749 section 4.1.2, RFC 9207, RFC 9700 sections 2.1, 4.4 and 4.7, OIDC Core section 3.1.3.
"""

from hmac import compare_digest

from aiohttp import web

from bff.audit.event import Origin
from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.clients import origin_of
from bff.endpoints.finished_logins import FinishedLogins
from bff.endpoints.login import parameters_again
from bff.endpoints.return_url import with_error
from bff.errors import (
    BffError,
    BrowserMismatch,
    IssuerMismatch,
    LoginExpired,
)
from bff.gate.outcome import Local
from bff.limits.limiter import Limiter, client_of
from bff.model import DEFAULT_PROVIDER, LoginTransaction
from bff.observability.metrics import Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.steps.callback import AuthorizationResponse, process_callback, require_code
from bff.sessions.cookie import Binder
from bff.sessions.single_use import LoginTransactions

# Answers to `prompt=none` that only say "ask the user" (OIDC Core section 3.1.2.6).
SILENT_REFUSALS = frozenset(
    {
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)


class Callback:
    """Verifies the answer and redeems the code. `path` is that of the default redirect URI."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        transactions: LoginTransactions,
        finished: FinishedLogins,
        binder: Binder,
        cookies: BrowserCookies,
        metrics: Metrics,
        failures: Limiter,
        *,
        path: str,
        frontend: str,
    ) -> None:
        self._relying_parties = relying_parties
        self._transactions = transactions
        self._finished = finished
        self._binder = binder
        self._cookies = cookies
        self._metrics = metrics
        self._failures = failures
        self._path = path
        self._frontend = frontend

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        client = client_of(local.identity.client_address)
        await self._failures.require_room(client)
        origin = origin_of(request, local)
        transaction: LoginTransaction | None = None
        try:
            response = await self._response(local)
            transaction = await self._transaction(response, local)
            return await self._finish(response, transaction, request, local, origin)
        except BffError as error:
            provider = self._provider_of(local.target.path)
            await self._finished.tell(error, provider, origin, client)
            if transaction is not None and transaction.prompt == "none":
                return _back_with(error.code, transaction)
            raise

    async def _response(self, local: Local) -> AuthorizationResponse:
        """Of the provider whose redirect URI it came to: that one says whether it is signed."""
        query = (local.target.query or b"").decode("ascii")
        party = self._relying_parties.get(self._provider_of(local.target.path))
        return (
            process_callback(query) if party is None else await party.authorization_response(query)
        )

    async def _transaction(self, response: AuthorizationResponse, local: Local) -> LoginTransaction:
        came_to = self._provider_of(local.target.path)
        transaction = await self._transactions.take(response.state)
        if transaction is None:
            raise LoginExpired(again=self._named(came_to))
        binder = self._cookies.held_binder(self._binder, local.fields)
        if binder is None or not compare_digest(binder.key, transaction.binder_hash):
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
        relying_party = self._relying_parties[transaction.provider]
        cookie = await self._finished.cookie(
            response.state,  # which is taken once
            lambda: relying_party.redeem(require_code(response), transaction, iss=response.iss),
            transaction,
            request,
            local,
        )
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
        self._finished.tell_audit(said, transaction.provider, origin)
        return _back_with(said, transaction)


def _back_with(code: str, transaction: LoginTransaction) -> web.StreamResponse:
    """To the application, which has asked for a silent login, and is told why there is none."""
    location = with_error(transaction.return_url, code)
    return web.Response(status=302, headers={"Location": location})
