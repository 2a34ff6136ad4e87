"""Which cases there are, in the order of the report."""

from typing import cast

from bench.cases import (
    instructions,
    login_flows,
    many_sessions,
    open_streams,
    profile,
    small_json,
    start_up,
    transfers,
    two_workers,
)
from bench.cases.case import Case

CASES: tuple[Case, ...] = cast(
    "tuple[Case, ...]",
    (
        small_json,
        instructions,
        many_sessions,
        transfers,
        open_streams,
        login_flows,
        two_workers,
        start_up,
        profile,
    ),
)
