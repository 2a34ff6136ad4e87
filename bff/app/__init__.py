"""The composition root: builds each object once, from settings, and runs them as one process."""

from bff.app.explaining import ExplainedGateway, FoundSession, SessionState
from bff.app.gateway import Gateway
from bff.app.wiring import (
    open_files_wanted,
    relying_parties,
    relying_parties_at,
    session_store,
    step_up_rules,
)

__all__ = [
    "ExplainedGateway",
    "FoundSession",
    "Gateway",
    "SessionState",
    "open_files_wanted",
    "relying_parties",
    "relying_parties_at",
    "session_store",
    "step_up_rules",
]
