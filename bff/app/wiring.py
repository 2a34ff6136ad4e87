"""From settings to what the parts of a gateway are built from."""

import dataclasses
import hashlib
from collections.abc import Sequence

from bff.admin.sessions import AdminSessionSettings
from bff.app.limited_server import ServerLimits
from bff.app.listening import UNIX, host_and_port
from bff.clock import Clock
from bff.config.frontends import Frontend
from bff.config.settings import Settings
from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.op_logout import FrontchannelOp
from bff.gate.endpoints import (
    DEVICE_RULES,
    FRONTCHANNEL_RULE,
    JWKS_RULE,
    LOGGED_OUT_RULE,
    PROVIDER_CALLBACK_RULE,
    RULES,
    SPA_RULE,
    EndpointTable,
)
from bff.gate.forwarding import Forwarding
from bff.gate.frontend import FrontendRules
from bff.gate.peers import TrustedProxies
from bff.gate.problem import OwnResponses
from bff.gate.routes import Route, RouteTable, TokenKind
from bff.model import DEFAULT_PROVIDER
from bff.observability.metrics import Metrics
from bff.oidc.provider.client_tls import SharedTls
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.step_up import StepUpRules
from bff.proxy.context import ProxyLimits
from bff.sessions import engines
from bff.sessions.sealing.keyring import Keyring, RecordOwner
from bff.sessions.sessions import SessionPolicy
from bff.sessions.store import SessionStore
from bff.tokens.policy import ClaimFilter, RefreshPolicy

ADMIN_CONNECTIONS = 256

# Open files of a process: the browser's connection, and the API's or the two ends of a socket pair.
PER_CONNECTION = 3
BESIDES = 1024  # the store, the OP, listeners, administrators, refusals on their way


def session_store(settings: Settings, clock: Clock, metrics: Metrics | None = None) -> SessionStore:
    """The engine that `session.store` names; nothing is opened yet."""
    session = settings.session
    return engines.session_store(
        session.store.get_secret_value(),
        clock,
        namespace=session.namespace,
        observe=metrics.asked_store if metrics is not None else lambda *_: None,
    )


def record_owners(frontend: Frontend) -> list[RecordOwner]:
    """The clients that a frontend's records in the store belong to, one for each provider."""
    return [
        RecordOwner(provider.issuer, provider.client_id, frontend.name, name)
        for name, provider in frontend.settings.providers.items()
    ]


def keyring(settings: Settings, frontends: Sequence[Frontend]) -> Keyring:
    """What seals every record in the store."""
    owners = [owner for frontend in frontends for owner in record_owners(frontend)]
    return Keyring(secrets(settings), *owners)


def session_policy(settings: Settings, frontends: Sequence[Frontend]) -> SessionPolicy:
    """How long sessions live at each frontend, and how many are held in memory."""
    of_frontends = {one.name: one.settings.session.policy() for one in frontends}
    return dataclasses.replace(settings.session.policy(), of_frontends=of_frontends)


def refresh_policy(settings: Settings, frontends: Sequence[Frontend]) -> RefreshPolicy:
    """When tokens are due for a refresh, at each frontend."""
    of_frontends = {one.name: one.settings.session.refresh_before for one in frontends}
    return RefreshPolicy(settings.session.refresh_before, of_frontends)


def claim_filter(settings: Settings, frontends: Sequence[Frontend]) -> ClaimFilter:
    """Which claims the browsers of each frontend may see."""
    of_frontends = {one.name: one.settings.user.shown() for one in frontends}
    return ClaimFilter(settings.user.shown(), of_frontends)


def secrets(settings: Settings) -> list[str]:
    """Those that sign and seal, the newest first."""
    return [secret.get_secret_value() for secret in settings.session.secrets]


def relying_parties(settings: Settings, clock: Clock, metrics: Metrics) -> RelyingParties:
    """The clients of the OPs; nothing is fetched yet."""
    tls = SharedTls()
    return RelyingParties(
        [RelyingParty(one, clock, tls, metrics.asked_op) for one in settings.relying_parties()]
    )


def admin_session_settings(settings: Settings) -> AdminSessionSettings:
    address = settings.server.admin_listen
    return AdminSessionSettings(
        issuers=tuple(
            dict.fromkeys(
                issuer for one in settings.providers.values() for issuer in one.issuers.known
            )
        ),
        own_name="localhost" if address.startswith(UNIX) else host_and_port(address)[0],
    )


def relying_parties_at(frontend: Frontend, shared: RelyingParties) -> RelyingParties:
    """The clients that a frontend's users log in by, as far as they are its own: the rest is
    `shared`, which is opened and closed."""
    parties = []
    resources = api_resources(frontend)
    for name, provider in frontend.settings.providers.items():
        returning = frontend.post_logout_uri_of(name)
        parties.append(
            shared[name].at(
                frontend.redirect_uri_of(name), returning, provider.email_domains, resources
            )
        )
    return RelyingParties(parties)


def api_resources(frontend: Frontend) -> tuple[str, ...]:
    """What a login must be granted, so that its refresh token brings tokens for single routes."""
    routes = (route.as_route() for route in frontend.settings.routes)
    named = (one.resource for one in routes if one.token is TokenKind.USER and one.resource)
    return tuple(dict.fromkeys(named))


def browser_cookies(frontend: Frontend) -> BrowserCookies:
    settings, session = frontend.settings, frontend.settings.session
    return BrowserCookies(
        session_name=frontend.session_cookie,
        binder_name=frontend.binder_cookie,
        logout_name=frontend.logout_cookie,
        secure=settings.server.is_https,
        same_site=session.same_site,
        login_seconds=int(session.login_timeout),
        path=frontend.base_path or "/",
        session_seconds=int(session.absolute_timeout) if session.persistent else None,
    )


def frontchannel_ops(settings: Settings) -> list[FrontchannelOp]:
    """Those whose OP tells of logouts in a frame."""
    return [
        FrontchannelOp(name, provider.issuers, provider.allow_frontchannel_logout_without_iss)
        for name, provider in settings.providers.items()
        if provider.frontchannel_logout
    ]


def clients_known_by_keys(settings: Settings) -> list[RelyingPartySettings]:
    """Those whose public keys their OP has to know."""
    return [one for one in settings.relying_parties() if one.is_known_by_keys]


def login_params(settings: Settings) -> list[str]:
    """Those of the OPs' own that a login may pass on, at any provider."""
    named = (name for one in settings.providers.values() for name in one.login_params)
    return list(dict.fromkeys(named))


def step_up_rules(frontend: Frontend) -> dict[str, StepUpRules]:
    """What may be asked of a login at each provider of a frontend, and what meets it."""
    settings = frontend.settings
    required = frozenset(acr for route in settings.routes for acr in route.require_acr or ())
    return {
        name: StepUpRules(provider.acr_order, required, provider.leeway)
        for name, provider in settings.providers.items()
    }


def public_rules(frontend: Frontend) -> FrontendRules:
    """Of a frontend at the public listener."""
    settings = frontend.settings
    rules = [*RULES]
    if frontchannel_ops(settings):
        rules.append(FRONTCHANNEL_RULE)
    if settings.session.logout_return_paths:
        rules.append(LOGGED_OUT_RULE)
    if clients_known_by_keys(settings):
        rules.append(JWKS_RULE)
    if any(provider.device_login for provider in settings.providers.values()):
        rules.extend(DEVICE_RULES)
    if set(settings.providers) != {DEFAULT_PROVIDER}:
        rules.append(PROVIDER_CALLBACK_RULE)
    return FrontendRules(
        name=frontend.name,
        provider=next(iter(settings.providers)),
        hosts=settings.server.hosts,
        base_path=frontend.base_path.encode(),
        session_cookie=frontend.session_cookie.encode(),
        binder_cookie=frontend.binder_cookie.encode(),
        endpoints=EndpointTable(frontend.prefix, rules),
        spa=SPA_RULE if settings.spa.root is not None else None,
        step_up=step_up_rules(frontend),
    )


def auth_rules(frontend: Frontend) -> FrontendRules:
    """For proxies that carry the bytes themselves: the routes to APIs, and no own endpoint."""
    own = EndpointTable(frontend.prefix, ())
    return dataclasses.replace(public_rules(frontend), endpoints=own, spa=None)


def own_responses(settings: Settings) -> OwnResponses:
    server = settings.server
    return OwnResponses(hsts=server.is_https and not server.is_loopback)


def trusted_proxies(settings: Settings) -> TrustedProxies:
    return TrustedProxies(settings.server.trusted_proxies)


def forwarding(frontend: Frontend) -> Forwarding:
    server = frontend.settings.server
    pseudonym = hashlib.sha256(frontend.url.encode()).hexdigest()[:12]
    return Forwarding(
        public_scheme="https" if server.is_https else "http",
        public_host=server.authority,
        via_name=f"bff-{pseudonym}",
    )


def route_table(frontend: Frontend) -> RouteTable:
    settings, base = frontend.settings, frontend.base_path
    routes = [_below(base, route.as_route()) for route in settings.routes]
    dev_server = settings.spa.dev_server_route(settings.server.authority)
    if dev_server is not None:  # which serves what a browser asks for, by its whole path
        routes.append(dataclasses.replace(dev_server, prefix=base))
    return RouteTable(routes)


def _below(base: str, route: Route) -> Route:
    if not base:
        return route
    return dataclasses.replace(route, prefix=base + route.prefix, base_path=base)


def proxy_limits(settings: Settings) -> ProxyLimits:
    server = settings.server
    return ProxyLimits(
        max_body_bytes=server.max_body,
        head_seconds=server.head_timeout,
        body_seconds=server.body_timeout,
        keepalive_seconds=server.keepalive_timeout,
        max_connections=server.max_connections,
    )


def open_files_wanted(settings: Settings) -> int:
    """How many files a process has open that serves all its connections."""
    return settings.server.max_connections * PER_CONNECTION + BESIDES


def auth_limits(settings: Settings) -> ServerLimits:
    return _server_limits(settings, settings.server.max_connections)


def admin_limits(settings: Settings) -> ServerLimits:
    return _server_limits(settings, min(ADMIN_CONNECTIONS, settings.server.max_connections))


def _server_limits(settings: Settings, max_connections: int) -> ServerLimits:
    server = settings.server
    return ServerLimits(
        head_seconds=server.head_timeout,
        body_seconds=server.body_timeout,
        keepalive_seconds=server.keepalive_timeout,
        max_connections=max_connections,
    )
