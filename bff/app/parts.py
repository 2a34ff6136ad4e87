"""From settings to the parts of a gateway. The only code that knows both."""

import dataclasses
import hashlib
import ipaddress
from urllib.parse import urlsplit

from bff.admin.sessions import AdminSessionSettings
from bff.app.limited_server import ServerLimits
from bff.app.listening import UNIX, host_and_port
from bff.clock import Clock
from bff.config.routes import RouteSettings
from bff.config.settings import Settings
from bff.config.urls import host_spellings
from bff.endpoints.browser_cookies import BrowserCookies
from bff.gate.csrf import CsrfGuard
from bff.gate.decision import GateSettings
from bff.gate.endpoints import FRONTCHANNEL_RULE, RULES, SPA_RULE, EndpointTable
from bff.gate.forwarding import Forwarding
from bff.gate.head import fold
from bff.gate.peers import TrustedProxies
from bff.gate.problem import OwnResponses
from bff.gate.routes import CsrfMode, Route, RouteTable, Spelling, TokenKind, Upstream
from bff.oidc.endpoint_url import is_loopback
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.proxy.shared import ProxyLimits
from bff.sessions.keyring import RecordOwner
from bff.sessions.memory import MemoryStore
from bff.sessions.redis_store import RedisStore
from bff.sessions.sessions import SessionPolicy
from bff.sessions.store import SessionStore

ADMIN_CONNECTIONS = 256


def session_store(settings: Settings, clock: Clock) -> SessionStore:
    """The engine that `session.store` names; nothing is opened yet."""
    if settings.session.is_in_memory:
        return MemoryStore(clock)
    session = settings.session
    return RedisStore(session.store.get_secret_value(), clock, namespace=session.namespace)


def record_owner(settings: Settings) -> RecordOwner:
    """To whom everything in the store belongs."""
    return RecordOwner(settings.oidc.issuer, settings.oidc.client_id)


def relying_party(settings: Settings, clock: Clock) -> RelyingParty:
    """The OP's client; nothing is fetched yet."""
    oidc, server = settings.oidc, settings.server
    return RelyingParty(
        RelyingPartySettings(
            issuer=oidc.issuer,
            client_id=oidc.client_id,
            client_secret=oidc.client_secret.get_secret_value(),
            redirect_uri=f"{server.public_url}{server.prefix}/callback",
            post_logout_redirect_uri=f"{server.public_url}{oidc.post_logout_path}",
            scope=oidc.scope,
            client_auth=oidc.client_auth,
            id_token_algs=oidc.id_token_algs,
            trusted_audiences=oidc.trusted_audiences,
            authorization_params=oidc.authorization_params,
            end_session_params=oidc.end_session_params,
            userinfo=oidc.userinfo,
            send_id_token_hint=oidc.send_id_token_hint,
            backchannel_logout_session_required=oidc.backchannel_logout_session_required,
            allow_logout_tokens_without_exp=oidc.allow_logout_tokens_without_exp,
            leeway_seconds=oidc.leeway,
            timeout_seconds=oidc.timeout,
            ca_file=str(oidc.ca_file) if oidc.ca_file else None,
        ),
        clock,
    )


def session_policy(settings: Settings) -> SessionPolicy:
    session = settings.session
    return SessionPolicy(
        idle_seconds=session.idle_timeout,
        absolute_seconds=session.absolute_timeout,
        cache_entries=session.cache_entries,
        cache_seconds=session.cache_max_age,
        stale_seconds=session.stale_while_store_down,
    )


def admin_session_settings(settings: Settings) -> AdminSessionSettings:
    address = settings.server.admin_listen
    return AdminSessionSettings(
        issuer=settings.oidc.issuer,
        own_name="localhost" if address.startswith(UNIX) else host_and_port(address)[0],
        idle_seconds=settings.session.idle_timeout,
    )


def browser_cookies(settings: Settings) -> BrowserCookies:
    name = settings.cookie_name
    return BrowserCookies(
        session_name=name,
        binder_name=f"{name}-login",
        secure=settings.server.is_https,
        same_site=settings.session.same_site,
        login_seconds=int(settings.session.login_timeout),
    )


def gate_settings(settings: Settings) -> GateSettings:
    server = settings.server
    names = browser_cookies(settings)
    rules = (*RULES, FRONTCHANNEL_RULE) if settings.oidc.frontchannel_logout else RULES
    hosts = {server.authority, *server.additional_hosts}
    return GateSettings(
        hosts=frozenset(
            spelled.lower().encode()
            for host in hosts
            for spelled in host_spellings(host, server.default_port)
        ),
        session_cookie=names.session_name.encode(),
        binder_cookie=names.binder_name.encode(),
        endpoints=EndpointTable(server.prefix, rules),
        spa=SPA_RULE if settings.spa.root is not None else None,
    )


def auth_gate_settings(settings: Settings) -> GateSettings:
    """For proxies that carry the bytes: the routes to APIs, and nothing of our own."""
    nothing = EndpointTable(settings.server.prefix, ())
    return dataclasses.replace(gate_settings(settings), endpoints=nothing, spa=None)


def own_responses(settings: Settings) -> OwnResponses:
    server = settings.server
    is_this_machine = is_loopback(urlsplit(server.public_url).hostname or "")
    return OwnResponses(hsts=server.is_https and not is_this_machine)


def csrf_guard(settings: Settings) -> CsrfGuard:
    return CsrfGuard(
        origin=settings.server.public_url.encode(),
        header_name=settings.csrf.header_name.lower().encode(),
        header_value=settings.csrf.header_value.encode(),
    )


def trusted_proxies(settings: Settings) -> TrustedProxies:
    networks = settings.server.trusted_proxies
    return TrustedProxies(ipaddress.ip_network(network) for network in networks)


def forwarding(settings: Settings) -> Forwarding:
    server = settings.server
    pseudonym = hashlib.sha256(server.public_url.encode()).hexdigest()[:12]
    return Forwarding(
        trusted_proxies(settings),
        public_scheme="https" if server.is_https else "http",
        public_host=server.authority,
        via_name=f"bff-{pseudonym}",
    )


def route_table(settings: Settings) -> RouteTable:
    routes = [_route(route) for route in settings.routes]
    if settings.spa.dev_server is not None:
        routes.append(_dev_server_route(settings.spa.dev_server, settings.server.authority))
    return RouteTable(routes)


def _route(route: RouteSettings) -> Route:
    return Route(
        prefix=route.prefix,
        upstreams=route.upstream,
        token=route.token,
        methods=frozenset(route.methods),
        strip_prefix=route.strip_prefix,
        csrf=route.csrf,
        anonymous=route.anonymous,
        scope=route.scope,
        timeout_seconds=route.timeout,
        connect_timeout_seconds=route.connect_timeout,
        total_timeout_seconds=route.total_timeout,
        idle_seconds=route.keepalive_timeout,
        max_concurrent=route.max_concurrent,
        balance=route.balance,
        retry_unauthorized=route.retry_unauthorized,
        websocket=route.websocket,
        forward_cookies=frozenset(name.encode() for name in route.forward_cookies),
        allow_in_path=frozenset(route.allow_in_path),
        map_location=route.map_location,
        strip_headers=frozenset(fold(name.encode()) for name in route.strip_headers),
        ca_file=str(route.ca_file) if route.ca_file else None,
    )


def _dev_server_route(origin: Upstream, public_host: str) -> Route:
    return Route(
        prefix="",
        upstreams=(origin,),
        token=TokenKind.NONE,
        methods=frozenset({"GET", "HEAD"}),
        strip_prefix=False,
        csrf=CsrfMode.SAME_ORIGIN,
        websocket=True,  # its hot reload
        # Of its own name in a container network it knows nothing; localhost it answers.
        dev_host=public_host,
        allow_in_path=frozenset(Spelling),  # what is not the app's page is its own file
    )


def proxy_limits(settings: Settings) -> ProxyLimits:
    server = settings.server
    return ProxyLimits(
        max_body_bytes=server.max_body,
        head_seconds=server.head_timeout,
        body_seconds=server.body_timeout,
        keepalive_seconds=server.keepalive_timeout,
        max_connections=server.max_connections,
    )


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
