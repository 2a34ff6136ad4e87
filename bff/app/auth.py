"""The side of proxies that carry the bytes themselves and ask the gateway first."""

from bff.app import wiring
from bff.app.admission import admission
from bff.app.core import Core
from bff.endpoints.forward_auth import ForwardAuth
from bff.proxy.refusals import Refusals


def forward_auth(core: Core, refusals: Refusals) -> ForwardAuth:
    """`refusals` are those of the public side: one wording, one log, one count."""
    settings = core.settings
    return ForwardAuth(
        admission(core, wiring.auth_gate_settings(settings)),
        wiring.trusted_proxies(settings),
        refusals.problem,
        wiring.own_responses(settings),
        core.metrics,
        path=f"{settings.server.prefix}/auth",
    )
