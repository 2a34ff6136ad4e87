"""`GET, POST /bff/login`: start a login transaction and send the browser to the OP.

OIDC Core section 3.1.2.1; the parameters a browser may set are the ones listed here and no others.
"""

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from bff.audit.audit import Audit
from bff.audit.event import STEP_UP, Actor, Event, EventName, Origin
from bff.clock import Clock
from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.clients import origin_of
from bff.endpoints.parameters import (
    acr_values_of,
    idp_of,
    issuer_of,
    login_hint_of,
    max_age_of,
    organization_of,
    parse_parameters,
    passed_on_value,
    prompt_of,
    read_form,
    ui_locales_of,
)
from bff.endpoints.return_url import ReturnRules
from bff.errors import BadRequest, UnknownProvider
from bff.gate.outcome import Local
from bff.gate.paths import MAX_TARGET_BYTES
from bff.limits.limiter import Limiter, client_of
from bff.model import LoginTransaction, Session
from bff.observability.metrics import Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.step_up import StepUp, StepUpRules
from bff.oidc.steps.authorization import LoginRequest
from bff.oidc.steps.authorization_details import (
    Details,
    as_text,
    details_in,
    is_allowed,
    read_details,
)
from bff.sessions.cookie import Binder
from bff.sessions.single_use import LoginTransactions


def login_request_of(parameters: dict[str, str]) -> LoginRequest:
    """What a browser may ask of the OP. Raises: BadRequest."""
    return LoginRequest(
        prompt=prompt_of(parameters),
        login_hint=login_hint_of(parameters),
        acr_values=acr_values_of(parameters),
        max_age=max_age_of(parameters),
        ui_locales=ui_locales_of(parameters),
    )


def require_well_formed(parameters: dict[str, str]) -> None:
    """What a login reads of them it can read. Raises: BadRequest."""
    login_request_of(parameters)
    for read in (idp_of, issuer_of, organization_of):
        read(parameters)


def passed_on_of(parameters: dict[str, str], settings: RelyingPartySettings) -> dict[str, str]:
    """Parameters of the OP's own that the configuration allows. Raises: BadRequest."""
    return {
        name: passed_on_value(parameters, name)
        for name in settings.login_params
        if name in parameters
    }


def details_of(
    parameters: dict[str, str], settings: RelyingPartySettings, stepped_up: Session | None
) -> Details:
    """What this login is to be good for beside what every login is (RFC 9396), as far as the
    configuration allows it. A step-up that names nothing is for what the login of its session has
    asked for. Raises: BadRequest."""
    allowed = settings.login_authorization_details
    text = parameters.get("authorization_details")
    if text is None:
        before = details_in(stepped_up.asked_details) if stepped_up is not None else ()
        return tuple(one for one in before if is_allowed(one, allowed))
    try:
        details = read_details(text)
    except ValueError:
        raise BadRequest("authorization_details") from None
    if not all(is_allowed(one, allowed) for one in details):
        raise BadRequest("authorization_details that the configuration does not allow")
    return details


def parameters_again(transaction: LoginTransaction) -> dict[str, str]:
    """With which a browser begins the same login once more. Its provider is named beside it."""
    parameters = {
        "returnUrl": transaction.return_url,
        "org": transaction.organization,
        "prompt": transaction.prompt,
        "acr_values": " ".join(transaction.acr_values),
        "max_age": None if transaction.max_age is None else f"{transaction.max_age}",
        "authorization_details": transaction.authorization_details,
        **transaction.passed_on,
    }
    return {name: value for name, value in parameters.items() if value}


class Login:
    """Starts logins; also what `resume` does when no session has come up meanwhile."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        transactions: LoginTransactions,
        binder: Binder,
        cookies: BrowserCookies,
        return_rules: ReturnRules,
        clock: Clock,
        limiter: Limiter,
        metrics: Metrics,
        audit: Audit,
        step_up: Mapping[str, StepUpRules],
        *,
        frontend: str,
    ) -> None:
        self._relying_parties = relying_parties
        self._transactions = transactions
        self._binder = binder
        self._cookies = cookies
        self._return_rules = return_rules
        self._clock = clock
        self._limiter = limiter
        self._metrics = metrics
        self._audit = audit
        self._step_up = step_up
        self._frontend = frontend

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        if local.by_form:
            parameters = await read_form(request, max_bytes=MAX_TARGET_BYTES)
        else:
            parameters = parse_parameters(local.target.query or b"")
        return await self.start(request, local, parameters, login_request_of(parameters))

    async def start(
        self,
        request: web.BaseRequest,
        local: Local,
        parameters: dict[str, str],
        wanted: LoginRequest,
    ) -> web.StreamResponse:
        """Store a transaction and redirect. `parameters` say where to, and where to return.

        Raises:
            BadRequest: a parameter asks for what the provider is not configured for.
            UnknownProvider: `idp` names none.
            OpError: the OP's metadata can't be had.
            StoreUnavailable: the transaction can't be kept.
            RateLimited: there were too many logins from this client's address.
        """
        relying_party = self._chosen(parameters, local)
        await self._limiter.take(client_of(local.identity.client_address))
        if not self._step_up[relying_party.name].may_be_asked(wanted.acr_values):
            raise BadRequest("acr_values that the configuration does not name")
        passed_on = passed_on_of(parameters, relying_party.settings)
        about = self._stepped_up(wanted, relying_party, local)
        details = details_of(parameters, relying_party.settings, about)
        organization = self._organization(parameters, about)
        of_op = self._organization_at(relying_party.settings, organization)
        outgoing = await relying_party.authorization_request(
            replace(wanted, passed_on=passed_on | of_op, authorization_details=details)
        )
        # One binder for all tabs: the browser's own, if we signed it.
        binder = self._cookies.held_binder(self._binder, local.fields) or self._binder.issue()
        transaction = LoginTransaction(
            issuer=relying_party.settings.issuer,
            code_verifier=outgoing.code_verifier,
            nonce=outgoing.nonce,
            binder_hash=binder.key,
            return_url=self._return_rules.offered_in(parameters),
            created_at=self._clock.now(),
            prompt=wanted.prompt,
            acr_values=wanted.acr_values,
            max_age=wanted.max_age,
            previous_session=local.session_key,
            organization=organization,
            resources=outgoing.resources,
            passed_on=passed_on,
            authorization_details=as_text(details),
            user_issuer=about.issuer if about is not None else None,
            user_sub=about.sub if about is not None else None,
            dpop_key=outgoing.dpop_key,
            provider=relying_party.name,
        )
        await self._transactions.put(outgoing.state, transaction)
        self._tell_of_beginning(transaction, origin_of(request, local))
        # RFC 9700 section 4.12: after a form only 303 makes sure of a GET.
        status = 303 if local.by_form else 302
        response = web.Response(status=status, headers={"Location": outgoing.url})
        response.headers.add("Set-Cookie", self._cookies.set_binder(binder.value))
        return response

    def _tell_of_beginning(self, transaction: LoginTransaction, origin: Origin) -> None:
        self._metrics.login_started(self._frontend, transaction.provider)
        event = Event(
            EventName.LOGIN_BEGUN,
            Actor.USER,
            STEP_UP if transaction.is_step_up else "",
            origin=origin,
            frontend=self._frontend,
            provider=transaction.provider,
        )
        self._audit.report(event)

    def is_met(self, wanted: LoginRequest, session: Session) -> bool:
        """Whether the login of a session is as strong and recent as one is to be."""
        asked = StepUp(wanted.acr_values, wanted.max_age)
        rules = self._step_up[session.provider]
        now = self._clock.now()
        return rules.why_unmet(asked, session.acr, session.auth_time, now) is None

    @staticmethod
    def _organization(parameters: dict[str, str], about: Session | None) -> str | None:
        """The one that the login is for: in a step-up that of the session. Raises: BadRequest."""
        named = organization_of(parameters)
        if about is None:
            return named
        if named not in (None, about.organization):
            raise BadRequest("org, in a step-up for another one")
        return about.organization

    @staticmethod
    def _organization_at(
        settings: RelyingPartySettings, organization: str | None
    ) -> dict[str, str]:
        """What the OP is told of it. Raises: BadRequest."""
        if organization is None:
            return {}
        if settings.organization is None:
            raise BadRequest("org, at a provider without organizations")
        return {settings.organization.parameter: organization}

    @staticmethod
    def _stepped_up(
        wanted: LoginRequest, relying_party: RelyingParty, local: Local
    ) -> Session | None:
        """The session that the login is to go on with: of its user, and at its provider."""
        session = local.session
        if session is None or session.provider != relying_party.name:
            return None
        is_asked = bool(wanted.acr_values) or wanted.max_age is not None
        return session if is_asked else None

    def _chosen(self, parameters: dict[str, str], local: Local) -> RelyingParty:
        """The provider that `idp` names, or `iss` (OIDC Core section 4), or the domain of
        `login_hint`; without them that of the browser's session, which a step-up or a silent login
        is about, or else the default."""
        parties = self._relying_parties
        name, issuer = idp_of(parameters), issuer_of(parameters)
        if name is not None:
            found = parties.get(name)
        elif issuer is not None:
            found = next((party for party in parties if party.issuers.includes(issuer)), None)
        else:
            return parties.of_domain(login_hint_of(parameters) or "") or (
                parties[local.session.provider] if local.session is not None else parties.default
            )
        if found is None:
            raise UnknownProvider
        return found


class Providers:
    """`GET /bff/providers`: what a page may offer to log in with."""

    def __init__(self, relying_parties: RelyingParties, *, login_path: str) -> None:
        self._document = [
            {
                "name": party.name,
                "label": party.settings.label,
                "login_url": f"{login_path}?idp={party.name}",
            }
            for party in relying_parties
        ]

    async def __call__(self, _request: web.BaseRequest, _local: Local) -> web.StreamResponse:
        return web.json_response(self._document)


class Resume:
    """`GET /bff/resume`: where a late tab lands. Another tab's session serves it as well, unless a
    stronger or more recent login was asked for than that session had, or one that is good for
    something of its own."""

    def __init__(self, login: Login, return_rules: ReturnRules) -> None:
        self._login = login
        self._return_rules = return_rules

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        parameters = parse_parameters(local.target.query or b"")
        wanted = login_request_of(parameters)
        # What the session was granted may be for something else than what is asked for now.
        session = None if "authorization_details" in parameters else local.session
        if session is not None and self._login.is_met(wanted, session):
            return_url = self._return_rules.offered_in(parameters)
            return web.Response(status=302, headers={"Location": return_url})
        return await self._login.start(request, local, parameters, wanted)
