"""The decision: one gate, built in one place, for the public listener and for proxies that ask."""

from bff.app import wiring
from bff.app.core import Core
from bff.gate.admission import Admission
from bff.gate.decision import Gate, GateSettings


def admission(core: Core, settings: GateSettings) -> Admission:
    """With every rule of this gateway; `settings` say which own endpoints there are."""
    gate = Gate(
        settings,
        wiring.route_table(core.settings),
        core.settings.csrf.guard(core.settings.server.public_url),
        wiring.forwarding(core.settings),
        session_key_of=core.browser.session_cookie.key_of,
        cached=core.sessions.cached,
        refresh_policy=core.refresh_policy,
        clock=core.clock,
    )
    return Admission(gate, core.sessions, core.coordinator, core.client_tokens, core.limits.calls)
