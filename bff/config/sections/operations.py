"""[limits], [log], [access_log], [audit] and [metrics]: how often something may happen, and what an
operator sees of it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool

from bff.audit.destinations import Destination
from bff.config.sections import Section
from bff.config.values.files import FilePath
from bff.config.values.quantities import RateLimit
from bff.config.values.secrets import GivenSecret
from bff.config.values.sinks import AuditSink
from bff.config.values.urls import Listen


class LimitSettings(Section):
    """None means no limit."""

    logins: RateLimit = Field(
        default="300/minute",
        validate_default=True,
        description="Logins that may be started from one client address: so many at once, then as "
        "many as the rate allows. An IPv6 address stands for its /64. Behind a proxy that is not "
        "in `server.trusted_proxies` all browsers have the proxy's address.",
    )
    failed_callbacks: RateLimit = Field(
        default="60/minute",
        validate_default=True,
        description="Logins that may come back from one client address and fail. Past it no "
        "callback from there is looked at.",
    )
    failed_logout_tokens: RateLimit = Field(
        default="60/minute",
        validate_default=True,
        description="Back-channel logouts from one client address that may be refused. Past it "
        "none from there is looked at. Those that are in order are not counted, however many.",
    )
    refreshes: RateLimit = Field(
        default="60/minute",
        validate_default=True,
        description="Refreshes of one session. Past it calls go on with the token there is, until "
        "that has expired.",
    )
    api_calls: RateLimit = Field(
        default="off",
        validate_default=True,
        description="API calls of one session, those that proxies ask for included. Judged in "
        "memory and shared in the background: with several processes it is approximate.",
    )
    when_store_down: Literal["allow", "refuse"] = Field(
        default="allow",
        description="What happens to logins, callbacks, logout tokens and refreshes that can't be "
        "counted because the store does not answer: refused ones are answered 503.",
    )


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe events that are logged."
    )
    format: Literal["json", "text"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )


class AccessLogSettings(Section):
    enabled: StrictBool = Field(
        default=False, description="Write one line for each request that was answered or cut off."
    )
    format: Literal["json", "text"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )
    file: FilePath | None = Field(
        default=None,
        description="Where the lines go; by default to standard output. A file that was moved away "
        "is opened anew within a second, one that was cut to nothing goes on at its beginning.",
        examples=["/var/log/bff/access.log"],
    )
    address: Literal["full", "truncated", "off"] = Field(
        default="truncated",
        description="The client's address, here and in lines of level `debug`: `truncated` keeps "
        "the network (/24, or /48 with IPv6).",
    )
    path: StrictBool = Field(
        default=False,
        description="Write the path of each request too, never its query. By default a line names "
        "the route only: paths often hold names and numbers of people.",
    )


def require_distinct_sinks(sinks: tuple[Destination, ...]) -> tuple[Destination, ...]:
    """Raises: ValueError: one is named twice, and would get every record twice."""
    if len(set(sinks)) != len(sinks):
        raise ValueError("names a sink twice")
    return sinks


class AuditSettings(Section):
    sinks: Annotated[tuple[AuditSink, ...], AfterValidator(require_distinct_sinks)] = Field(
        default=(),
        description="Where records of the audit log go; none: no audit log is kept. `file:PATH`, "
        "`stdout`, `syslog:` (with nothing: /dev/log; a Unix socket's path; or `udp://HOST:PORT`), "
        "`redis-stream:` (with a name or nothing: `audit`, after the session store's namespace), "
        "`webhook:URL` (https, or http on loopback).",
        examples=[["stdout", "syslog:"]],
    )
    address: Literal["full", "truncated", "off"] = Field(
        default="truncated",
        description="How much of a client's address the records hold: `truncated` keeps the "
        "network (/24, or /48 with IPv6).",
    )
    user_agent: Literal["full", "truncated", "off"] = Field(
        default="truncated",
        description="How much of a browser's User-Agent: 64 characters with `truncated`, 256 with "
        "`full`.",
    )
    webhook_token: GivenSecret | None = Field(
        default=None,
        description="A secret that each webhook is sent as a bearer token.",
    )


class MetricsSettings(Section):
    listen: Listen | None = Field(
        default=None,
        description="Where `/metrics` is served as well, with `/healthz` and `/readyz` and nothing "
        "else: for a Prometheus that is not to reach `server.admin_listen`. There is no "
        "authentication; a metric names what the configuration names, and nothing of a user.",
        examples=["0.0.0.0:9464"],
    )
    per_route: StrictBool = Field(
        default=True,
        description="Whether requests and their durations are counted for each route, class of "
        "method and class of status. Without, a call costs a little less, and there are fewer "
        "series where there are many frontends; `bff_answers_total` counts them by frontend.",
    )
