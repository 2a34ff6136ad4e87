"""[[routes]]: which paths go to which API, with whose token."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
)

from bff.config.canonical import RoutePath
from bff.config.files import CaFile
from bff.config.quantities import Between, Duration
from bff.config.section import Section
from bff.config.texts import SOME, Scope, Token, require_token
from bff.config.urls import URL_SCHEMA, UpstreamUrl
from bff.gate.head import fold
from bff.gate.routes import Balance, CsrfMode, Spelling, TokenKind, Upstream


def require_method(method: str) -> str:
    """A method that may be forwarded."""
    require_token(method)
    if method != method.upper():
        raise ValueError("must be in upper case")
    if method in {"CONNECT", "TRACE"}:
        raise ValueError("is never forwarded")  # RFC 9110 sections 9.3.6, 9.3.8
    return method


def require_strippable(name: str) -> str:
    """A header that describes neither the body nor a handshake."""
    folded = fold(name.encode())
    if folded in {b"content-length", b"content-type", b"content-encoding"}:
        raise ValueError("describes the body, which would be read in another way")
    if folded.startswith(b"sec-websocket-"):
        raise ValueError("belongs to the WebSocket handshake")
    return name


def as_list(value: object) -> object:
    """One URL stands for a list of one."""
    return (value,) if isinstance(value, str) else value


def require_distinct(upstreams: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
    if len(set(upstreams)) != len(upstreams):
        raise ValueError("must not name the same upstream twice")
    return upstreams


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
        default=TokenKind.USER,
        description="Whose access token goes along: the user's, the gateway's own (client "
        "credentials), or none. With none no session is needed.",
    )
    scope: Scope = Field(
        default="",
        description='Scopes of the client token; only with token = "client".',
        examples=["catalog.read"],
    )
    anonymous: StrictBool = Field(
        default=False,
        description="Whether callers without a session may use the client token; only with "
        'token = "client".',
    )
    methods: Annotated[tuple[Annotated[str, AfterValidator(require_method)], ...], SOME] = Field(
        default=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        description="Methods that are forwarded; any other is answered 405.",
    )
    strip_prefix: StrictBool = Field(
        default=True,
        description="Whether the route's path is cut off before the upstream's is put in front.",
    )
    csrf: CsrfMode = Field(
        default=CsrfMode.HEADER,
        description="How the CSRF guard judges reading requests: by the header, or by the "
        "browser's Sec-Fetch-Site and Origin only (for images, downloads and EventSource). "
        "Changing requests always need the header, but with `off`, for webhooks: only with token = "
        '"none" and without forward_cookies, where nothing of a browser\'s goes along.',
    )
    timeout: Annotated[Duration, Between("100ms", "1d")] = Field(
        default="30s",
        validate_default=True,
        description="The longest silence between bytes of the upstream; not a limit on the whole.",
    )
    total_timeout: Annotated[Duration, Between("0s", "1d")] = Field(
        default="0s",
        validate_default=True,
        description="The longest a whole exchange may take, body and all. 0s: no limit. WebSockets "
        "are not counted.",
    )
    connect_timeout: Annotated[Duration, Between("10ms", "60s")] = Field(
        default="5s",
        validate_default=True,
        description="The longest time that connecting to the upstream may take.",
    )
    keepalive_timeout: Annotated[Duration, Between("10ms", "1h")] = Field(
        default="4s",
        validate_default=True,
        description="How long a connection to the upstream is kept without a request. Shorter than "
        "the upstream itself keeps one (Node.js and uvicorn 5s, gunicorn 2s), or a POST meets one "
        "that is being closed, and can't be sent again.",
    )
    max_concurrent: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = Field(
        default=0,
        description="Requests and WebSockets of this route that one process has under way at a "
        "time; past it the answer is 503. 0: no limit.",
    )
    balance: Balance = Field(
        default=Balance.ROUND_ROBIN,
        description="How requests are spread over several upstreams. One that fails three times in "
        "a row is left alone for a while.",
    )
    retry_unauthorized: StrictBool = Field(
        default=True,
        description="Whether a call that the API answers 401 is sent once more with a new access "
        'token; only with token = "user", and for a body of at most 64 KiB.',
    )
    websocket: StrictBool = Field(
        default=False,
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
        default=True,
        description="Whether an API that redirects to its own address, or says in Content-Location "
        "where something is, has it turned into the browser's terms, with the prefix put back; and "
        "whether `X-Forwarded-Prefix` tells it of a prefix that is cut off.",
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file of the certificate authorities to trust for https upstreams "
        "instead of the system's.",
        examples=["/etc/ssl/private-ca.pem"],
    )

    @property
    def prefix(self) -> str:
        """The path without a slash at the end; the root is the empty string."""
        return self.path.rstrip("/")
