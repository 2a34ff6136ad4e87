"""The browser's side of a gateway: the gate, the way to the APIs, and the own endpoints."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bff.app import wiring
from bff.app.core import Core
from bff.app.frontends import ServedFrontend, refusals_of_none
from bff.config.sections.operations import AccessLogSettings
from bff.endpoints.client import Client
from bff.endpoints.events import Events, EventSettings
from bff.gate.routes import SAFE_METHODS
from bff.observability.access_log import AccessLog, shown_address
from bff.observability.request_figures import RequestFigures
from bff.oidc.dpop import Proofs
from bff.proxy.context import FrontendContext, ProxyContext, Traffic
from bff.proxy.listener import Listener
from bff.proxy.messages import DateField
from bff.proxy.own_endpoints import FrontendEndpoints, LocalPool, OwnEndpoints
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.targets import route_targets


@dataclass(frozen=True, slots=True)
class PublicSide:
    """The public listener, and what has to be opened and closed for it."""

    listener: Listener
    context: ProxyContext
    events: Events

    @classmethod
    def build(cls, core: Core, served: Sequence[ServedFrontend]) -> Self:
        """Nothing is opened yet."""
        settings, writes = core.settings, WriteCoalescer()
        events, client = _events(core, served), Client()
        endpoints = {
            one.frontend.name: OwnEndpoints(
                {"events": events, "client": client, **one.endpoints()}, one.refusals, one.own
            )
            for one in served
        }
        context = ProxyContext(
            admission=core.admission(
                [one.at_gate(wiring.public_rules(one.frontend)) for one in served],
                max_body_bytes=settings.server.max_body,
            ),
            frontends=_contexts(core, served, writes),
            local=LocalPool(FrontendEndpoints(endpoints), writes),
            bound_streams=core.bound_streams,
            metrics=core.metrics,
            limits=wiring.proxy_limits(settings),
            date=DateField(),
            writes=writes,
            request_figures=_request_figures(core, served),
            traffic=Traffic(),
            proofs=Proofs(core.clock),
            shown_address=functools.partial(shown_address, kept=settings.access_log.address),
            access_log=_access_log(settings.access_log),
        )
        return cls(Listener(context), context, events)

    def start(self) -> None:
        """From here on connections can be made.

        Raises:
            OSError: the access log can't be written.
        """
        if self.context.access_log is not None:
            self.context.access_log.open()
        self.context.local.start()

    async def stop(self, seconds: float) -> None:
        """End event streams, let requests finish for at most `seconds`, close what is idle."""
        self.events.stop()
        await self.listener.stop(seconds)
        await self.context.local.close()
        for frontend in self.context.frontends.values():
            for targets in frontend.targets.values():
                targets.close()
        if self.context.access_log is not None:
            self.context.access_log.close()


def _access_log(settings: AccessLogSettings) -> AccessLog | None:
    if not settings.enabled:
        return None
    return AccessLog(
        is_json=settings.format == "json",
        file=settings.file,
        address=settings.address,
        with_path=settings.path,
    )


def _request_figures(core: Core, served: Sequence[ServedFrontend]) -> RequestFigures | None:
    if not core.settings.metrics.per_route:
        return None
    figures = core.metrics.requests
    figures.safe_methods = SAFE_METHODS
    figures.base_paths = {one.frontend.name: one.frontend.base_path for one in served}
    return figures


def _events(core: Core, served: Sequence[ServedFrontend]) -> Events:
    return Events(
        core.sessions,
        core.bound_streams,
        core.coordinator,
        core.refresh_policy,
        core.clock,
        {one.frontend.name: one.own for one in served},
        EventSettings(),
    )


def _contexts(
    core: Core, served: Sequence[ServedFrontend], writes: WriteCoalescer
) -> dict[str, FrontendContext]:
    """Of each frontend; and that of requests which have come for none."""
    targets = route_targets({one.frontend.name: one.routes.routes for one in served}, writes)
    found = {
        one.frontend.name: FrontendContext(
            refusals=one.refusals,
            targets=targets[one.frontend.name],
            own_fields=tuple(
                (name.encode(), value.encode())
                for name, value in one.own.transport_headers().items()
            ),
            step_up=one.step_up,
        )
        for one in served
    }
    return {"": FrontendContext(refusals_of_none(core), {}, (), {}), **found}
