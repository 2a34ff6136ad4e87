"""The decision: one canonical reading of a request head, and what becomes of it.

`Gate.decide` is a function of its arguments, the settings, the clock and the sessions already in
memory. Where it lacks something it answers `Wait`; `Admission` asks again with what it has found.
The order of the checks is the order of the lines in `decide`: the cheap ones first, and nothing
about a session is looked up for a request that would be refused anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bff.clock import Clock
from bff.errors import (
    BadRequest,
    BffError,
    LoopDetected,
    MethodNotAllowed,
    MisdirectedHost,
    NotAuthenticated,
    NotFound,
    UpgradeNotSupported,
)
from bff.gate import cookies
from bff.gate.cookies import Cookie
from bff.gate.csrf import CsrfGuard
from bff.gate.endpoints import EndpointRule, EndpointTable, raise_refusal, require_initiator
from bff.gate.forwarding import Forwarding, RequestIdentity
from bff.gate.framing import (
    MAX_FIELDS,
    asks_for_websocket,
    is_websocket_upgrade,
    require_handshake,
    require_sound_head,
)
from bff.gate.head import FieldReader, RequestHead, ScannedFields, without
from bff.gate.outcome import Answer, Decision, Forward, Known, Local, Needs, Wait
from bff.gate.paths import Target, is_authority, read_target
from bff.gate.routes import CsrfMode, Route, RouteTable, TokenKind
from bff.gate.spellings import require_within
from bff.model import Session, Tokens
from bff.tokens.policy import RefreshPolicy


@dataclass(frozen=True, slots=True)
class GateSettings:
    """`hosts` are the Host values served, lower case. `max_body_bytes` None is no limit."""

    hosts: frozenset[bytes]
    session_cookie: bytes
    binder_cookie: bytes
    endpoints: EndpointTable
    spa: EndpointRule | None = None
    max_body_bytes: int | None = None


class Gate:
    """Decides. `session_key_of` verifies a cookie's signature; `cached` is a look into memory."""

    def __init__(
        self,
        settings: GateSettings,
        routes: RouteTable,
        guard: CsrfGuard,
        forwarding: Forwarding,
        *,
        session_key_of: Callable[[str], str | None],
        cached: Callable[[str], Session | None],
        refresh_policy: RefreshPolicy,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._guard = guard
        self._forwarding = forwarding
        self._session_key_of = session_key_of
        self._cached = cached
        self._refresh_policy = refresh_policy
        self._clock = clock
        self._reader = FieldReader({guard.header_name})

    def decide(self, head: RequestHead, known: Known | None = None) -> Decision:
        """The decision for a head, given what an earlier `Wait` has found."""
        # Of more fields than a head may have, only so many are looked at.
        fields = self._reader.scan(head.fields[:MAX_FIELDS])
        identity = self._forwarding.identify(head.peer, fields)
        try:
            require_sound_head(head, fields, self._settings.max_body_bytes)
        except BffError as error:
            return Answer(error, identity, ends_connection=True)
        try:
            target = read_target(head.target)
            self._require_our_host(target, fields, head.peer)
            route = self._routes.match(target.path)
            if target.doubt:
                require_within(target, route, self._routes, self._settings.endpoints.owns)
            if self._settings.endpoints.owns(target.path):
                rule = self._settings.endpoints.match(target.path)
                if rule is None:
                    raise NotFound  # our prefix is ours: neither a route nor the SPA answers there
                return self._decide_local(rule, target, head, fields, identity, known)
            if route is not None:
                return self._decide_forward(route, target, head, fields, identity, known)
            if self._settings.spa is not None:
                spa = self._settings.spa
                return self._decide_local(spa, target, head, fields, identity, known)
            raise NotFound
        except NotAuthenticated as error:
            return Answer(error, identity, clear_cookie=self._may_clear_cookie(fields))
        except BffError as error:
            return Answer(error, identity)

    def route_of(self, head: RequestHead) -> str:
        """Where a request leads, in words of the configuration and never of the request: a
        route's prefix, the path of an own endpoint, or `spa`. Empty: nowhere."""
        try:
            path = read_target(head.target).path
        except BffError:
            return ""
        if self._settings.endpoints.owns(path):
            rule = self._settings.endpoints.match(path)
            return "" if rule is None else self._settings.endpoints.route_of(rule)
        route = self._routes.match(path)
        if route is not None:
            return f"{route.prefix}/"
        return self._settings.spa.name if self._settings.spa is not None else ""

    # --- the gateway's own endpoints

    def _decide_local(
        self,
        rule: EndpointRule,
        target: Target,
        head: RequestHead,
        fields: ScannedFields,
        identity: RequestIdentity,
        known: Known | None,
    ) -> Decision:
        if head.method not in rule.guards:
            raise MethodNotAllowed(tuple(rule.guards))
        by_form = require_initiator(rule, self._guard, head.method, target.query, fields)
        key = self._session_key(fields) if rule.wants_session else None
        session = None
        if key is not None:
            session = known.session if known is not None else self._cached(key)
            if session is None and known is None:
                return Wait(Needs.SESSION, identity, key=key)
        route = self._settings.endpoints.route_of(rule)
        return Local(rule.name, route, target, fields, identity, key, session, by_form)

    # --- the API

    def _decide_forward(
        self,
        route: Route,
        target: Target,
        head: RequestHead,
        fields: ScannedFields,
        identity: RequestIdentity,
        known: Known | None,
    ) -> Decision:
        websocket_key = self._require_forwardable(route, head, fields)
        session: Session | None = None
        if websocket_key is not None:
            raise_refusal(self._guard.handshake_refusal(fields))
        if route.needs_session:
            key = self._session_key(fields)
            if key is None:
                raise NotAuthenticated
            if websocket_key is None:
                self._require_guard(fields, head.method, route.csrf)
            session = known.session if known is not None else self._cached(key)
            if session is None and known is None:
                return Wait(Needs.SESSION, identity, key=key)
            if session is None:
                raise NotAuthenticated
        elif websocket_key is None and _is_guarded_without_session(route, head.method):
            self._require_guard(fields, head.method, route.csrf)
        token = self._token_for(route, session, known)
        if isinstance(token, Needs):
            key = session.key if session is not None else ""
            return Wait(
                token,
                identity,
                key=key,
                session=session,
                scope=route.scope,
                may_clear_cookie=self._may_clear_cookie(fields),
            )
        self._guard.tell_origin(fields)
        if route.strip_headers:
            fields = without(fields, route.strip_headers)
        return Forward(
            route,
            head.method,
            route.rest_of(target.path) + target.suffix,
            self._forwarding.fields_for(route, fields, identity, token),
            identity,
            session,
            refresh_due=token is not None and self._is_refresh_due(route, session),
            websocket_key=websocket_key,
            stripped=fields.stripped,
        )

    def _require_forwardable(
        self, route: Route, head: RequestHead, fields: ScannedFields
    ) -> bytes | None:
        """The key of a WebSocket handshake, if that is what it is."""
        if head.method not in route.methods:
            raise MethodNotAllowed(tuple(sorted(route.methods)))
        if self._forwarding.has_passed_before(fields):
            raise LoopDetected
        upgrade = fields.values(b"upgrade")
        if not upgrade or not asks_for_websocket(upgrade):
            return None
        if not route.websocket or not is_websocket_upgrade(upgrade):
            raise UpgradeNotSupported
        return require_handshake(head.method, fields, head.version)

    def _token_for(
        self, route: Route, session: Session | None, known: Known | None
    ) -> Tokens | Needs | None:
        if route.token is TokenKind.CLIENT:
            found = known.client_token if known is not None else None
            return found or Needs.CLIENT_TOKEN
        if route.token is not TokenKind.USER or session is None:
            return None
        # A token just fetched is used even if the OP gave it no life at all: waiting again for
        # the same answer would never end.
        is_new = known is not None and known.refreshed
        if self._refresh_policy.is_expired(session.tokens, self._clock.now()) and not is_new:
            return Needs.FRESH_TOKEN
        return session.tokens

    def _is_refresh_due(self, route: Route, session: Session | None) -> bool:
        return (
            route.token is TokenKind.USER
            and session is not None
            and self._refresh_policy.is_due(session, self._clock.now())
        )

    # --- the rules both share

    def _require_our_host(self, target: Target, fields: ScannedFields, peer: str | None) -> None:
        # RFC 9112 section 3.2: exactly one valid Host; an absolute-form authority wins over it.
        hosts = fields.values(b"host")
        if len(hosts) != 1 or not (hosts[0] in self._settings.hosts or is_authority(hosts[0])):
            raise BadRequest("missing, repeated or malformed Host")
        if target.authority is not None:
            authority = target.authority
        else:
            authority = self._forwarding.public_authority(peer, fields) or hosts[0].lower()
        if authority not in self._settings.hosts:
            raise MisdirectedHost

    def _require_guard(self, fields: ScannedFields, method: str, mode: CsrfMode) -> None:
        raise_refusal(self._guard.refusal(fields, method, mode))

    def _session_key(self, fields: ScannedFields) -> str | None:
        value = cookies.find(fields.values(b"cookie"), self._settings.session_cookie)
        if isinstance(value, Cookie):
            return None
        return self._session_key_of(value.decode("latin-1"))

    def _may_clear_cookie(self, fields: ScannedFields) -> bool:
        # A login open in another tab may be setting a new cookie right now; this answer, sent for
        # the old one, must not delete it. Such a browser carries the binder cookie. A cookie we
        # can't verify stays as well: a replica with other secrets may know it.
        binder = cookies.find(fields.values(b"cookie"), self._settings.binder_cookie)
        return binder is Cookie.ABSENT and self._session_key(fields) is not None


_READING = frozenset({"GET", "HEAD"})


def _is_guarded_without_session(route: Route, method: str) -> bool:
    if route.token is TokenKind.CLIENT:
        return True
    return method not in _READING and route.csrf is not CsrfMode.OFF
