"""The route table: which upstream a path goes to, and under which rules.

Prefixes match on segment boundaries, the longest first: `/api` matches `/api` and `/api/x`, never
`/apix`. Targets are fixed here; nothing in a request changes host, port or scheme.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from bff.gate.head import fold
from bff.model import TokenTarget
from bff.oidc.step_up import StepUp

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
USUAL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class TokenKind(StrEnum):
    """Whose access token a route sends upstream."""

    USER = "user"
    EXCHANGE = "exchange"  # one that the OP gives for the user's
    CLIENT = "client"
    NONE = "none"


class CsrfMode(StrEnum):
    """Which layers of the CSRF guard a route wants for safe methods. `off` is for routes on which
    nothing of the browser's goes along: what another site sends there, it could send by itself."""

    HEADER = "header"
    SAME_ORIGIN = "same-origin"
    OFF = "off"


class Spelling(StrEnum):
    """What has a second reading in a path, and what a route may let through all the same."""

    SLASH = "%2F"
    PERCENT = "%25"
    BACKSLASH = "%5C"
    PARAMETERS = ";"  # and its encoded form
    EMPTY = "//"
    ESCAPES = "escapes"  # of letters, digits and -._~, which need none


class Balance(StrEnum):
    """How requests are spread over the upstreams of a route."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"


@dataclass(frozen=True, slots=True)
class Introspect:
    """The OP is asked whether the token of a call counts, unless it was `cache_seconds` ago or
    less. `allow_when_down`: a call passes where the OP can't be asked."""

    cache_seconds: float
    allow_when_down: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a route's requests go. `base_path` has no trailing slash; empty for the root."""

    scheme: str
    authority: str
    base_path: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.base_path}"


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of the table. `prefix` has no trailing slash; the root is the empty string. It
    begins with `base_path`, what all paths of an application begin with that has no origin to
    itself: an upstream never gets that part. `cut` is what a matched path begins with and an
    upstream does not get.

    `timeout_seconds` is the longest silence between bytes, `total_timeout_seconds` the longest a
    whole exchange may take, `idle_seconds` how long a connection is kept without one,
    `max_concurrent` how many there may be at a time; 0 is no limit.
    `resource`, `audience`, `scope` and `authorization_details` (JSON text) are what a token is
    asked for: together the `target`, None where the token of the login will do. `anonymous` lets
    callers without a session use a client token.
    `allow_in_path` are the spellings with a second reading that are forwarded as they were sent.
    `strip_headers` are folded names of fields that the route's upstreams don't get from a browser.
    `dev_host` is the Host that a development server is sent; None for every other route.
    `map_location`: an upstream is told of the prefix that was cut off, and where it says that
    something is is turned into our terms.
    `step_up` is what the login of a session must have been for a call. With `introspect` the OP has
    to say that the token counts, before it is sent. `name` is what logs and
    metrics call it.
    """

    prefix: str
    upstreams: tuple[Upstream, ...]
    token: TokenKind = TokenKind.USER
    methods: frozenset[str] = frozenset(USUAL_METHODS)
    strip_prefix: bool = True
    csrf: CsrfMode = CsrfMode.HEADER
    anonymous: bool = False
    resource: str = ""
    audience: str = ""
    scope: str = ""
    authorization_details: str = ""
    timeout_seconds: float = 30.0
    connect_timeout_seconds: float = 5.0
    total_timeout_seconds: float = 0.0
    idle_seconds: float = 4.0
    max_concurrent: int = 0
    balance: Balance = Balance.ROUND_ROBIN
    retry_unauthorized: bool = True
    websocket: bool = False
    forward_cookies: frozenset[bytes] = frozenset()
    allow_in_path: frozenset[Spelling] = frozenset()
    map_location: bool = True
    strip_headers: frozenset[bytes] = frozenset()
    dev_host: str | None = None
    ca_file: str | None = None
    step_up: StepUp | None = None
    introspect: Introspect | None = None
    base_path: str = ""
    name: str = field(init=False, default="")
    cut: str = field(init=False, default="")
    target: TokenTarget | None = field(init=False, default=None)
    told_prefix: tuple[bytes, bytes] | None = field(init=False, default=None)
    carries_user_token: bool = field(init=False, default=False)
    needs_session: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """What every request of the route needs, made once; the class is frozen."""
        cut = self.prefix if self.strip_prefix else self.base_path
        object.__setattr__(self, "name", f"{self.prefix}/")
        object.__setattr__(self, "cut", cut)
        target = TokenTarget(self.resource, self.audience, self.scope, self.authorization_details)
        if self.token is TokenKind.CLIENT or target.form():
            object.__setattr__(self, "target", target)
        carries_user_token = self.token in (TokenKind.USER, TokenKind.EXCHANGE)
        object.__setattr__(self, "carries_user_token", carries_user_token)
        needs_session = carries_user_token or (
            self.token is TokenKind.CLIENT and not self.anonymous
        )
        object.__setattr__(self, "needs_session", needs_session)
        if self.map_location and cut:
            object.__setattr__(self, "told_prefix", (b"X-Forwarded-Prefix", cut.encode()))

    def rest_of(self, path: bytes) -> bytes:
        """The part of a matched path that is appended to the upstream's base path."""
        return path[len(self.cut) :]

    @property
    def cuts_path(self) -> bool:
        """Whether what an upstream gets of a path may begin where the prefix has ended."""
        return bool(self.cut) and not all(u.base_path for u in self.upstreams)


class RouteTable:
    """Longest prefix first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: -len(route.prefix)))
        self._matchers = tuple(
            (route.prefix.encode(), route.prefix.encode() + b"/", route) for route in self.routes
        )

    def match(self, path: bytes) -> Route | None:
        for exact, inside, route in self._matchers:
            if path.startswith(inside) or path == exact:
                return route
        return None


def require_forwardable(method: str) -> str:
    """A method that a route may name. Raises: ValueError."""
    if method != method.upper():
        raise ValueError("must be in upper case")
    if method in {"CONNECT", "TRACE"}:
        raise ValueError("is never forwarded")  # RFC 9110 sections 9.3.6, 9.3.8
    return method


def require_strippable(name: str) -> str:
    """A field that a route may keep from its upstreams: it describes neither the body nor a
    handshake. Raises: ValueError."""
    folded = fold(name.encode())
    if folded in {b"content-length", b"content-type", b"content-encoding"}:
        raise ValueError("describes the body, which would be read in another way")
    if folded.startswith(b"sec-websocket-"):
        raise ValueError("belongs to the WebSocket handshake")
    return name
