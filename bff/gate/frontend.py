"""One application and its rules: what becomes of a request that has come for it.

`Frontend.decide` is a function of its arguments, the settings, the clock and the sessions already
in memory. The order of the checks is the order of the lines: the cheap ones first, and nothing
about a session is looked up for a request that would be refused anyway.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bff.clock import Clock
from bff.errors import (
    BffError,
    LoopDetected,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    StepUpRequired,
    TokenInactive,
    UpgradeNotSupported,
)
from bff.gate import cookies
from bff.gate.cookies import Cookie
from bff.gate.csrf import CsrfGuard
from bff.gate.endpoints import EndpointRule, EndpointTable, raise_refusal, require_initiator
from bff.gate.forwarding import Forwarding, RequestIdentity
from bff.gate.framing import asks_for_websocket, is_websocket_upgrade, require_handshake
from bff.gate.head import RequestHead, ScannedFields, without
from bff.gate.outcome import Answer, Decision, Forward, Known, Local, Needs, Wait
from bff.gate.paths import Target
from bff.gate.routes import CsrfMode, Introspect, Route, RouteTable, TokenKind
from bff.gate.spellings import require_within
from bff.model import DEFAULT_FRONTEND, DEFAULT_PROVIDER, Session, Tokens
from bff.oidc.step_up import StepUp, StepUpRules
from bff.tokens.policy import RefreshPolicy


@dataclass(slots=True)
class ReadRequest:
    """A request as far as it is the same for every application: its head, read. `known` is what an
    earlier `Wait` has found."""

    head: RequestHead
    target: Target
    fields: ScannedFields
    identity: RequestIdentity
    known: Known | None


@dataclass(frozen=True, slots=True)
class FrontendRules:
    """`hosts` are the Host values served, lower case. `base_path` is what all its paths begin with,
    such as `/shop`; empty for an application that has its hosts to itself. `provider` is where the
    gateway's own tokens for its APIs come from; `step_up` are the rules of each provider."""

    hosts: frozenset[bytes]
    session_cookie: bytes
    binder_cookie: bytes
    endpoints: EndpointTable
    spa: EndpointRule | None = None
    name: str = DEFAULT_FRONTEND
    base_path: bytes = b""
    provider: str = DEFAULT_PROVIDER
    step_up: Mapping[str, StepUpRules] = field(default_factory=dict)


class Frontend:
    """Decides. `session_key_of` verifies a cookie's signature. `cached` and `introspected` look
    into memory: for a session, and for what the OP has said of an access token of late."""

    def __init__(
        self,
        rules: FrontendRules,
        routes: RouteTable,
        guard: CsrfGuard,
        forwarding: Forwarding,
        *,
        session_key_of: Callable[[str], str | None],
        cached: Callable[[str], Session | None],
        introspected: Callable[[str, str, float], bool | None] = lambda *_: None,
        refresh_policy: RefreshPolicy,
        clock: Clock,
    ) -> None:
        self.rules = rules
        self.guard = guard
        self._routes = routes
        self._forwarding = forwarding
        self._session_key_of = session_key_of
        self._cached = cached
        self._introspected = introspected
        self._refresh_policy = refresh_policy
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Frontend {self.rules.name}>"

    def decide(self, request: ReadRequest) -> Decision:
        """The decision for a request at one of its hosts, below its base path."""
        target = request.target
        try:
            route = self._routes.match(target.path)
            if target.doubt:
                require_within(target, route, self._routes, self.rules.endpoints.owns)
            if self.rules.endpoints.owns(target.path):
                rule = self.rules.endpoints.match(target.path)
                if rule is None:
                    raise NotFound  # our prefix is ours: neither a route nor the SPA answers there
                return self._decide_local(rule, request)
            if route is not None:
                return self._decide_forward(route, request)
            if self.rules.spa is not None:
                return self._decide_local(self.rules.spa, request)
            raise NotFound
        except NotAuthenticated as error:
            may_clear = self._may_clear_cookie(request.fields)
            return Answer(error, request.identity, clear_cookie=may_clear)
        except BffError as error:
            return Answer(error, request.identity)

    def route_of(self, path: bytes) -> str:
        """Where a path leads, in words of the configuration and never of the request: a route's
        prefix, the path of an own endpoint, or `spa`. Empty: nowhere."""
        endpoints = self.rules.endpoints
        if endpoints.owns(path):
            rule = endpoints.match(path)
            return "" if rule is None else endpoints.route_of(rule)
        route = self._routes.match(path)
        if route is not None:
            return route.name
        return self.rules.spa.name if self.rules.spa is not None else ""

    # --- the gateway's own endpoints

    def _decide_local(self, rule: EndpointRule, request: ReadRequest) -> Decision:
        target, fields = request.target, request.fields
        by_form = self._require_local(rule, request)
        key = self._session_key(fields) if rule.wants_session else None
        session: Session | None = None
        if key is not None:
            found = self._session(key, request)
            if isinstance(found, Wait):
                return found
            session = found
        return Local(
            rule.name,
            self.rules.endpoints.route_of(rule),
            target,
            fields,
            request.identity,
            key,
            session,
            by_form,
            clear_cookie=key is not None and session is None and self._may_clear_cookie(fields),
        )

    def _require_local(self, rule: EndpointRule, request: ReadRequest) -> bool:
        """Whether it is a form of our own pages."""
        method = request.head.method
        if method not in rule.guards:
            raise MethodNotAllowed(tuple(rule.guards))
        return require_initiator(rule, self.guard, method, request.target.query, request.fields)

    # --- the API

    def _decide_forward(self, route: Route, request: ReadRequest) -> Decision:
        websocket_key = self._require_forwardable(route, request)
        session: Session | None = None
        if route.needs_session:
            found = self._caller(route, request, is_handshake=websocket_key is not None)
            if isinstance(found, Wait):
                return found
            session = found
            if route.step_up is not None:
                self._require_step_up(route.step_up, session)
        elif websocket_key is None and _is_guarded_without_session(route, request.head.method):
            self._require_guard(request, route.csrf)
        token = self._token_for(route, session, request.known)
        if isinstance(token, Needs):
            return self._wait_for(token, route, request, session)
        if route.introspect is not None and token is not None:
            provider = self.rules.provider if session is None else session.provider
            is_active = self._verdict(route.introspect, provider, token, request.known)
            if is_active is None:
                wait = self._wait_for(Needs.VERDICT, route, request, session)
                return replace(wait, token=token, introspect=route.introspect)
            if not is_active:
                raise TokenInactive
        return self._forward(route, request, session, token, websocket_key)

    def _require_forwardable(self, route: Route, request: ReadRequest) -> bytes | None:
        """The key of a WebSocket handshake, if that is what it is."""
        head, fields = request.head, request.fields
        if head.method not in route.methods:
            raise MethodNotAllowed(tuple(sorted(route.methods)))
        if self._forwarding.has_passed_before(fields):
            raise LoopDetected
        if b"upgrade" not in fields.places:
            return None
        upgrade = fields.values(b"upgrade")
        if not asks_for_websocket(upgrade, head.version):
            return None
        if not route.websocket or not is_websocket_upgrade(upgrade):
            raise UpgradeNotSupported
        key = require_handshake(head.method, fields)
        raise_refusal(self.guard.handshake_refusal(fields))
        return key

    def _caller(self, route: Route, request: ReadRequest, *, is_handshake: bool) -> Session | Wait:
        """The session that a call is made in. Raises: NotAuthenticated, CsrfRefused."""
        key = self._session_key(request.fields)
        if key is None:
            raise NotAuthenticated
        if not is_handshake:
            self._require_guard(request, route.csrf)
        session = self._session(key, request)
        if session is None:
            raise NotAuthenticated
        return session

    def _require_step_up(self, asked: StepUp, session: Session) -> None:
        rules = self.rules.step_up[session.provider]
        now = self._clock.now()
        if rules.why_unmet(asked, session.acr, session.auth_time, now) is not None:
            raise StepUpRequired(asked.acr_values, asked.max_age)

    def _token_for(
        self, route: Route, session: Session | None, known: Known | None
    ) -> Tokens | Needs | None:
        if route.token is not TokenKind.USER:
            if route.token is TokenKind.NONE:
                return None
            is_client = route.token is TokenKind.CLIENT
            found = known.token if known is not None else None
            return found or (Needs.CLIENT_TOKEN if is_client else Needs.EXCHANGED_TOKEN)
        if session is None:
            return None
        # A token just fetched is used even if the OP gave it no life at all: waiting again for
        # the same answer would never end.
        is_new = known is not None and known.refreshed
        target = route.target
        tokens = session.tokens if target is None else session.api_tokens.get(target.key)
        if tokens is None:
            return Needs.FRESH_TOKEN
        if self._refresh_policy.is_expired(tokens, self._clock.now()) and not is_new:
            return Needs.FRESH_TOKEN
        return tokens

    def _verdict(
        self, rule: Introspect, provider: str, token: Tokens, known: Known | None
    ) -> bool | None:
        """What the OP says of the token; None where that has to be waited for."""
        if known is not None and known.is_active is not None:
            return known.is_active
        # A dead token is waited for as well: another one in its place may be under way.
        return self._introspected(provider, token.access_token, rule.cache_seconds) or None

    def _wait_for(
        self, needs: Needs, route: Route, request: ReadRequest, session: Session | None
    ) -> Wait:
        return Wait(
            needs,
            request.identity,
            key=session.key if session is not None else "",
            session=session,
            provider=self.rules.provider,
            target=route.target,
            may_clear_cookie=self._may_clear_cookie(request.fields),
        )

    def _forward(
        self,
        route: Route,
        request: ReadRequest,
        session: Session | None,
        token: Tokens | None,
        websocket_key: bytes | None,
    ) -> Forward:
        fields = request.fields
        self.guard.tell_origin(fields)
        if route.strip_headers:
            fields = without(fields, route.strip_headers)
        return Forward(
            route,
            request.head.method,
            route.rest_of(request.target.path) + request.target.suffix,
            self._forwarding.fields_for(route, fields, request.identity, token),
            request.identity,
            session,
            refresh_due=token is not None and self._is_refresh_due(route, session, token),
            websocket_key=websocket_key,
            stripped=fields.stripped,
            access_token="" if token is None else token.access_token,
            dpop_key=None if token is None else token.dpop_key,
        )

    def _is_refresh_due(self, route: Route, session: Session | None, token: Tokens) -> bool:
        return (
            route.token is TokenKind.USER
            and session is not None
            and self._refresh_policy.is_due(session, self._clock.now(), token)
        )

    # --- the rules both share

    def _session(self, key: str, request: ReadRequest) -> Session | Wait | None:
        """The live session of a key, None where there is none, or the wait for the store."""
        known = request.known
        session = known.session if known is not None else self._cached(key)
        if session is not None:
            return session if session.frontend == self.rules.name else None
        return None if known is not None else Wait(Needs.SESSION, request.identity, key=key)

    def _require_guard(self, request: ReadRequest, mode: CsrfMode) -> None:
        raise_refusal(self.guard.refusal(request.fields, request.head.method, mode))

    def _session_key(self, fields: ScannedFields) -> str | None:
        value = cookies.find(fields.values(b"cookie"), self.rules.session_cookie)
        if isinstance(value, Cookie):
            return None
        return self._session_key_of(value.decode("latin-1"))

    def _may_clear_cookie(self, fields: ScannedFields) -> bool:
        # A login open in another tab may be setting a new cookie right now; this answer, sent for
        # the old one, must not delete it. Such a browser carries the binder cookie. A cookie we
        # can't verify stays as well: a replica with other secrets may know it.
        binder = cookies.find(fields.values(b"cookie"), self.rules.binder_cookie)
        return binder is Cookie.ABSENT and self._session_key(fields) is not None


_READING = frozenset({"GET", "HEAD"})


def _is_guarded_without_session(route: Route, method: str) -> bool:
    if route.token is TokenKind.CLIENT:
        return True
    return method not in _READING and route.csrf is not CsrfMode.OFF
