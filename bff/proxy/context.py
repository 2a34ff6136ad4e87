"""What all connections of a process share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bff.gate.admission import Admission
from bff.gate.head import Field, RequestHead
from bff.gate.outcome import Forward, Local
from bff.gate.refusals import Refusals
from bff.observability.access_log import AccessLog
from bff.observability.metrics import Metrics
from bff.observability.request_figures import RequestFigures
from bff.oidc.dpop import Proofs
from bff.oidc.step_up import StepUpRules
from bff.proxy.exchange.access import AccessRecord
from bff.proxy.exchange.answer import Browser
from bff.proxy.messages import DateField
from bff.proxy.own_endpoints import LocalPool
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.destination import Destination, LocalDestination, UpstreamDestination
from bff.proxy.upstream.targets import RouteTargets
from bff.sessions.bound_streams import BoundStreams


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """`max_body_bytes` None means no limit. `head_seconds` is for a whole head to arrive,
    `body_seconds` the longest silence within a request body, `keepalive_seconds` between two
    requests. `max_connections` is per process. The rest of a body that is not wanted any more is
    drained until nothing comes for `linger_seconds`, and for `linger_most_seconds` at most."""

    max_body_bytes: int | None
    head_seconds: float
    body_seconds: float
    keepalive_seconds: float
    max_connections: int
    linger_seconds: float = 5.0
    linger_most_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class FrontendContext:
    """What the requests of one application lead to, and how they are refused. `targets` are by the
    prefix of their route; `own_fields` are added to what APIs answer; `step_up` are the rules of
    each provider."""

    refusals: Refusals
    targets: Mapping[str, RouteTargets]
    own_fields: tuple[Field, ...]
    step_up: Mapping[str, StepUpRules]


@dataclass(slots=True)
class Traffic:
    """What browsers' connections have carried, WebSockets included."""

    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ProxyContext:
    """`frontends` are by name; the one without a name is for requests that have come for none.
    `proofs` are for tokens that are bound to a key. `shown_address` is a client's address as far as
    logs may have it. `request_figures` None: requests are not counted by route. `traffic` is what
    the browsers' connections carry."""

    admission: Admission
    frontends: Mapping[str, FrontendContext]
    local: LocalPool
    bound_streams: BoundStreams
    metrics: Metrics
    limits: ProxyLimits
    date: DateField
    writes: WriteCoalescer
    proofs: Proofs
    shown_address: Callable[[str | None], str | None]
    request_figures: RequestFigures | None
    traffic: Traffic
    access_log: AccessLog | None = None

    def access_record(self, browser: Browser, head: RequestHead) -> AccessRecord | None:
        """What is to be written of a request; None: there is no access log."""
        if self.access_log is None:
            return None
        return AccessRecord(self.access_log, browser, head, self.admission.route_of(head))

    def destination(self, decision: Forward | Local, head: RequestHead) -> Destination:
        """The way of a request that was decided."""
        if isinstance(decision, Forward):
            frontend = self.frontends[decision.identity.frontend]
            targets = frontend.targets[decision.route.prefix]
            return UpstreamDestination(
                decision, targets, frontend.own_fields, self.date, self.proofs
            )
        return LocalDestination(decision, self.local, head.method, head.fields)
