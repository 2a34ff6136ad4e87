"""[server]: where the gateway listens, and what the browser sees of it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StrictBool, StrictInt

from bff.config.sections import Section
from bff.config.values.paths import Prefix
from bff.config.values.quantities import Between, Duration, Size
from bff.config.values.urls import (
    HostName,
    Listen,
    Origin,
    ProxyNetwork,
    default_port_of,
    host_spellings,
)
from bff.model import DEFAULT_PROVIDER
from bff.oidc.provider.endpoint_url import is_loopback


class ServerSettings(Section):
    """`public_url` is normalised to the origin, without a trailing slash."""

    public_url: Origin = Field(
        description="The origin that the browser sees. It fixes the redirect URI, the cookie and "
        "the CSRF guard; nothing in a request can change it. Plain http is for loopback only.",
        examples=["https://app.example.com"],
    )
    listen: Listen = Field(
        default="127.0.0.1:8080",
        validate_default=True,
        description='Where the browser side is served: "host:port" or "unix:/path".',
    )
    admin_listen: Listen = Field(
        default="127.0.0.1:9090",
        validate_default=True,
        description="Where health, readiness, metrics and session administration are served. "
        "There is no authentication: keep it on loopback, on a Unix socket, or in a network where "
        "every machine may log users out.",
    )
    health_listen: Listen | None = Field(
        default=None,
        description="Where `/healthz` and `/readyz` are served as well, and nothing else: for the "
        "probes of an orchestrator or of a load balancer that is not to reach `admin_listen`.",
        examples=["0.0.0.0:8082"],
    )
    auth_listen: Listen | None = Field(
        default=None,
        description="Where proxies that carry the bytes themselves ask whether a request may pass "
        "(`forward_auth`, `auth_request`); not served unless set. The answers hold access tokens: "
        "only `trusted_proxies` and peers on a Unix socket get any, and no proxy may hand a "
        "browser's request on to this address.",
        examples=["unix:/run/bff/auth.sock"],
    )
    trusted_proxies: tuple[ProxyNetwork, ...] = Field(
        default=(),
        description="Networks of the proxies in front whose `X-Forwarded-*` headers count. A peer "
        "on a Unix socket is always trusted: its permissions say which programs may connect.",
        examples=[["127.0.0.1/32"]],
    )
    additional_hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Host values to answer beside that of public_url, such as a load balancer's "
        "probe uses. Any other host is refused with 421. The scheme's own port may be added.",
        examples=[["gateway.internal:8080"]],
    )
    prefix: Prefix = Field(
        default="/bff",
        validate_default=True,
        description="The path below which the gateway's own endpoints live.",
    )
    workers: Annotated[StrictInt, Field(ge=1, le=128)] = Field(
        default=1,
        description="Worker processes, which serve the same addresses under one supervisor. One "
        "uses one processor; more than one needs a Redis store.",
    )
    reload_on_change: StrictBool = Field(
        default=False,
        description="Whether a changed configuration file, file that it names in a `_file` key or "
        "in `client_keys`, or tenant's file is a reload, as SIGHUP is. They are read every second. "
        "Needs a Redis store.",
    )
    max_body: Size = Field(
        default="1GB",
        validate_default=True,
        description="The largest request body that is accepted; a larger one is answered 413. "
        "Bodies are streamed, never held in memory.",
    )
    head_timeout: Annotated[Duration, Between("100ms", "5m")] = Field(
        default="10s",
        validate_default=True,
        description="How long the head of a request may take to arrive; a slower one is answered "
        "408. At `auth_listen` and `admin_listen` its connection is closed.",
    )
    body_timeout: Annotated[Duration, Between("100ms", "1h")] = Field(
        default="30s",
        validate_default=True,
        description="The longest silence within a request body; past it the answer is 408. A "
        "peer that takes nothing of an answer for this long is cut off, at every listener.",
    )
    keepalive_timeout: Annotated[Duration, Between("1s", "1h")] = Field(
        default="75s",
        validate_default=True,
        description="How long a connection stays open without a request. Longer than that of the "
        "proxy in front, so that the proxy never uses one that is being closed.",
    )
    max_connections: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = Field(
        default=10_000,
        description="Connections one process serves at a time; further ones are answered 503. The "
        "same number again at `auth_listen`, and at most 256 at `admin_listen`, where further ones "
        "are closed.",
    )
    shutdown_delay: Annotated[Duration, Between("0s", "10m")] = Field(
        default="0s",
        validate_default=True,
        description="How long everything goes on being served after a stop signal, while `/readyz` "
        "says 503 and each answer is its connection's last: the time that load balancers need to "
        "turn to other replicas. A second signal ends it.",
        examples=["5s"],
    )
    shutdown_timeout: Annotated[Duration, Between("0s", "10m")] = Field(
        default="30s",
        validate_default=True,
        description="How long running requests may finish after a stop signal and "
        "`shutdown_delay`.",
    )
    handover_timeout: Annotated[Duration, Between("0s", "24h")] = Field(
        default="10m",
        validate_default=True,
        description="How long requests, WebSockets and streams of APIs go on in a process that "
        "another one has taken over from by a reload or a restart, before its `shutdown_timeout` "
        "begins. While some do, there is that process and its memory; of four such processes the "
        "oldest is stopped, the first one of all aside.",
    )

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def is_loopback(self) -> bool:
        """Whether browsers of this machine alone can use the gateway."""
        return is_loopback(urlsplit(self.public_url).hostname or "")

    def redirect_uri_of(self, provider: str) -> str:
        """Where the provider's OP sends the browser after a login: to be registered there. No two
        providers share one (RFC 9700 section 4.4.2.2)."""
        own = "" if provider == DEFAULT_PROVIDER else f"/{provider}"
        return f"{self.public_url}{self.prefix}/callback{own}"

    @property
    def authority(self) -> str:
        """`host` or `host:port` of `public_url`, as a browser sends it in Host."""
        return self.public_url.partition("://")[2]

    @property
    def hosts(self) -> frozenset[bytes]:
        """Every value of Host that is answered, with and without the scheme's own port."""
        default_port = default_port_of("https" if self.is_https else "http")
        return frozenset(
            spelled.lower().encode()
            for host in (self.authority, *self.additional_hosts)
            for spelled in host_spellings(host, default_port)
        )
