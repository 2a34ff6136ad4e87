"""[[routes]]: which paths go to which API, and with which access token."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
)

from bff.config.sections import Section, default_of
from bff.config.values.files import CaFile
from bff.config.values.paths import RoutePath
from bff.config.values.providers import AuthorizationDetails
from bff.config.values.quantities import Between, Duration, duration_text
from bff.config.values.texts import SOME, NonEmpty, Scope, Token
from bff.config.values.urls import URL_SCHEMA, Resource, UpstreamUrl
from bff.gate.head import fold
from bff.gate.routes import (
    USUAL_METHODS,
    Balance,
    CsrfMode,
    Introspect,
    Route,
    Spelling,
    TokenKind,
    Upstream,
    require_forwardable,
    require_strippable,
)
from bff.oidc.step_up import StepUp, require_acr_values
from bff.oidc.steps.authorization_details import as_text


def as_list(value: object) -> object:
    """One URL stands for a list of one."""
    return (value,) if isinstance(value, str) else value


def require_distinct(upstreams: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
    if len(set(upstreams)) != len(upstreams):
        raise ValueError("must not name the same upstream twice")
    return upstreams


AcrValues = Annotated[tuple[str, ...], SOME, AfterValidator(require_acr_values)]
Method = Annotated[Token, AfterValidator(require_forwardable)]


def _default(name: str) -> Any:
    return default_of(Route, name)


class RouteSettings(Section):
    """One route. `upstream` is always a tuple, of one or more."""

    path: RoutePath = Field(
        description="Path prefix, matched on segment boundaries; the longest prefix wins. Letters, "
        "digits and -._~/ only: anything else has a second, percent-encoded spelling.",
        examples=["/api/"],
    )
    upstream: Annotated[
        tuple[UpstreamUrl, ...],
        BeforeValidator(as_list),
        SOME,
        AfterValidator(require_distinct),
        WithJsonSchema({"anyOf": [URL_SCHEMA, {"type": "array", "items": URL_SCHEMA}]}),
    ] = Field(
        description="URL of the API, or a list of URLs to balance over. Its path is put in front "
        "of what is forwarded.",
        examples=["http://127.0.0.1:9000/v1/"],
    )
    token: TokenKind = Field(
        default=_default("token"),
        description="Whose access token goes along: the user's, one that the OP gives in exchange "
        "for it (RFC 8693), the gateway's own (client credentials), or none. With none no session "
        "is needed.",
    )
    resource: Resource | None = Field(
        default=None,
        description="The API that the token is for, as an absolute URI (RFC 8707). With it, "
        "audience or scope the route gets an access token of its own, by the user's refresh token, "
        "an exchange or client credentials. See docs/tokens-per-api.md.",
        examples=["https://orders.example.com"],
    )
    audience: NonEmpty | None = Field(
        default=None,
        description="The same, as a name that the OP knows the API by, for an OP that has its own "
        "parameter for it.",
        examples=["orders-api"],
    )
    scope: Scope = Field(
        default=_default("scope"),
        description="The scopes that the token is asked for.",
        examples=["catalog.read"],
    )
    authorization_details: AuthorizationDetails = Field(
        default=(),
        description="What the token is asked for in more detail than a scope says (RFC 9396); only "
        'with token = "client". See docs/authorization-details.md.',
        examples=[[{"type": "price_list", "actions": ["read"]}]],
    )
    anonymous: StrictBool = Field(
        default=_default("anonymous"),
        description="Whether callers without a session may use the client token; only with "
        'token = "client".',
    )
    methods: Annotated[tuple[Method, ...], SOME] = Field(
        default=USUAL_METHODS,
        description="Methods that are forwarded; any other is answered 405.",
    )
    strip_prefix: StrictBool = Field(
        default=_default("strip_prefix"),
        description="Whether the route's path is cut off before the upstream's is put in front.",
    )
    csrf: CsrfMode = Field(
        default=_default("csrf"),
        description="How the CSRF guard judges reading requests: by the header, or by the "
        "browser's Sec-Fetch-Site and Origin only (for images, downloads and EventSource). "
        "Changing requests always need the header, but with `off`, for webhooks: only with token = "
        '"none" and without forward_cookies, where nothing of a browser\'s goes along.',
    )
    timeout: Annotated[Duration, Between("100ms", "1d")] = Field(
        default=duration_text(_default("timeout_seconds")),
        validate_default=True,
        description="The longest silence between bytes of the upstream; not a limit on the whole.",
    )
    total_timeout: Annotated[Duration, Between("0s", "1d")] = Field(
        default=duration_text(_default("total_timeout_seconds")),
        validate_default=True,
        description="The longest a whole exchange may take, body and all. 0s: no limit. WebSockets "
        "are not counted.",
    )
    connect_timeout: Annotated[Duration, Between("10ms", "60s")] = Field(
        default=duration_text(_default("connect_timeout_seconds")),
        validate_default=True,
        description="The longest time that connecting to the upstream may take.",
    )
    keepalive_timeout: Annotated[Duration, Between("10ms", "1h")] = Field(
        default=duration_text(_default("idle_seconds")),
        validate_default=True,
        description="How long a connection to the upstream is kept without a request. Shorter than "
        "the upstream itself keeps one (Node.js and uvicorn 5s, gunicorn 2s), or a POST meets one "
        "that is being closed, and can't be sent again.",
    )
    max_concurrent: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = Field(
        default=_default("max_concurrent"),
        description="Requests and WebSockets of this route that one process has under way at a "
        "time; past it the answer is 503. 0: no limit.",
    )
    balance: Balance = Field(
        default=_default("balance"),
        description="How requests are spread over several upstreams. One that fails three times in "
        "a row is not used for a while.",
    )
    retry_unauthorized: StrictBool = Field(
        default=_default("retry_unauthorized"),
        description="Whether a call that the API answers 401 is sent once more with a new access "
        'token; only with token = "user" or "exchange", and for a body of at most 64 KiB.',
    )
    websocket: StrictBool = Field(
        default=_default("websocket"),
        description="Whether WebSockets are let through. The handshake's Origin must be the "
        "application's; the session's end closes them with code 4401.",
    )
    forward_cookies: tuple[Token, ...] = Field(
        default=(),
        description="Names of the cookies that pass, in both directions. The gateway's own never "
        "do.",
        examples=[["locale"]],
    )
    allow_in_path: tuple[Spelling, ...] = Field(
        default=(),
        description="Spellings that pass in a path although servers read them in several ways: "
        "`%2F`, `%25`, `%5C`, `;` (and `%3B`), `//`, and `escapes` (of letters, digits and -._~). "
        "They are forwarded as they were sent; a path that some reading leads out of the route is "
        "refused all the same.",
        examples=[["%2F"]],
    )
    strip_headers: tuple[Annotated[Token, AfterValidator(require_strippable)], ...] = Field(
        default=(),
        description="Further header names that the API must not get from a browser, in whatever "
        "spelling. Those that servers take for identity, address, URL or method never pass: see "
        "docs/forwarding.md.",
        examples=[["X-Tenant-Id"]],
    )
    map_location: StrictBool = Field(
        default=_default("map_location"),
        description="Whether an API that redirects to its own address, or says in Content-Location "
        "where something is, has it turned into the browser's terms, with the prefix put back; and "
        "whether `X-Forwarded-Prefix` tells it of a prefix that is cut off.",
    )
    require_acr: AcrValues | None = Field(
        default=None,
        description="How strong the user's login must have been for a call: one of these values of "
        "acr, or a stronger one in the provider's acr_order. Else the answer is 401 "
        "step_up_required. See docs/step-up.md.",
        examples=[["gold"]],
    )
    max_auth_age: Annotated[Duration, Between("10s", "365d")] | None = Field(
        default=None,
        description="How long ago the user may have logged in for a call, in whole seconds; the "
        "provider's leeway is added. Else the answer is 401 step_up_required.",
        examples=["5m"],
    )
    introspect: StrictBool = Field(
        default=False,
        description="Whether the OP is asked before a call if its access token still counts (RFC "
        "7662), for an API that can't see that a token has been revoked. A call with a dead one "
        "gets a new token, or else 401 token_inactive. See docs/introspection.md.",
    )
    introspect_cache: Annotated[Duration, Between("1s", "10m")] = Field(
        default="10s",
        validate_default=True,
        description="How long what the OP has said of a token holds.",
    )
    introspect_when_op_down: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="What happens to calls whose token the OP can't be asked about: they are "
        "answered 503, or pass. An OP that answers that the gateway may not ask is not down.",
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file of the certificate authorities to trust for https upstreams "
        "instead of the system's.",
        examples=["/etc/ssl/private-ca.pem"],
    )

    @property
    def step_up(self) -> StepUp | None:
        """What is asked of the user's login; None where nothing is."""
        if self.require_acr is None and self.max_auth_age is None:
            return None
        max_age = None if self.max_auth_age is None else int(self.max_auth_age)
        return StepUp(self.require_acr or (), max_age)

    @property
    def prefix(self) -> str:
        """The path without a slash at the end; the root is the empty string."""
        return self.path.rstrip("/")

    def as_route(self) -> Route:
        """As the gate and the proxy know it."""
        return Route(
            prefix=self.prefix,
            upstreams=self.upstream,
            token=self.token,
            methods=frozenset(self.methods),
            strip_prefix=self.strip_prefix,
            csrf=self.csrf,
            anonymous=self.anonymous,
            resource=self.resource or "",
            audience=self.audience or "",
            authorization_details=as_text(self.authorization_details),
            scope=self.scope,
            timeout_seconds=self.timeout,
            connect_timeout_seconds=self.connect_timeout,
            total_timeout_seconds=self.total_timeout,
            idle_seconds=self.keepalive_timeout,
            max_concurrent=self.max_concurrent,
            balance=self.balance,
            retry_unauthorized=self.retry_unauthorized,
            websocket=self.websocket,
            forward_cookies=frozenset(name.encode() for name in self.forward_cookies),
            allow_in_path=frozenset(self.allow_in_path),
            map_location=self.map_location,
            strip_headers=frozenset(fold(name.encode()) for name in self.strip_headers),
            ca_file=str(self.ca_file) if self.ca_file else None,
            step_up=self.step_up,
            introspect=(
                Introspect(self.introspect_cache, self.introspect_when_op_down == "allow")
                if self.introspect
                else None
            ),
        )
