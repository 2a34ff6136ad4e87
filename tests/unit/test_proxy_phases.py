"""The tables of phases: each phase can be reached and left, and its time limit exists."""

import dataclasses
from enum import IntEnum
from typing import Any

import pytest

from bff.proxy.context import ProxyLimits
from bff.proxy.downstream import phases as downstream
from bff.proxy.exchange import phases as exchange
from bff.proxy.exchange.phases import EXCHANGE
from bff.proxy.phases import PhaseTable, phase_seconds, row
from bff.proxy.transport import RUNS_ON
from bff.proxy.upstream import phases as upstream
from bff.proxy.upstream.connection import UpstreamLimits

BROWSER, UPSTREAM = "a browser's connection", "a connection to an upstream"
TABLES: dict[str, PhaseTable[Any]] = {
    BROWSER: downstream.CONNECTION,
    "reading requests": downstream.READING,
    "an exchange": EXCHANGE,
    UPSTREAM: upstream.CONNECTION,
    "reading answers": upstream.READING,
}
# Reading answers has no end of its own: it begins anew, or the connection is closed.
ENDING = set(TABLES) - {"reading answers"}
LIMITS: dict[str, set[str]] = {
    BROWSER: {one.name for one in dataclasses.fields(ProxyLimits)},
    UPSTREAM: {one.name for one in dataclasses.fields(UpstreamLimits)},
    "an exchange": {"total_seconds"},
}


def reached(table: PhaseTable[Any], phase: IntEnum) -> set[IntEnum]:
    """All phases that may come after one."""
    found: set[IntEnum] = set()
    left = [phase]
    while left:
        following = table.rows[left.pop()].following - found
        found |= following
        left += following
    return found


@pytest.mark.parametrize("name", TABLES)
def test_every_phase_is_reached_from_the_first(name: str) -> None:
    table = TABLES[name]
    first = next(iter(table.rows))
    assert reached(table, first) | {first} == set(table.rows)


@pytest.mark.parametrize("name", sorted(ENDING))
def test_every_phase_can_come_to_the_last_and_that_is_the_end(name: str) -> None:
    table = TABLES[name]
    last = list(table.rows)[-1]
    for phase in table.rows:
        assert phase is last or last in reached(table, phase)
    assert not table.rows[last].following


@pytest.mark.parametrize("name", TABLES)
def test_every_time_limit_is_one_that_exists(name: str) -> None:
    limits = {row.limit for row in TABLES[name].rows.values()} - {""}
    assert limits <= LIMITS.get(name, set())


def test_a_table_that_lacks_a_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        PhaseTable({downstream.NEW: row(), downstream.HEAD_DUE: row()})


@pytest.mark.parametrize("name", TABLES)
def test_a_step_leads_where_the_table_says_or_is_a_fault(name: str) -> None:
    table = TABLES[name]
    for phase, its_row in table.rows.items():
        for wanted in table.rows:
            if wanted in its_row.following:
                assert table.steps[phase][wanted] is wanted
            else:
                with pytest.raises(KeyError, match=wanted.name):
                    _ = table.steps[phase][wanted]


def test_a_time_limit_begins_with_its_phase_unless_it_runs_on() -> None:
    limits = UpstreamLimits(silence_seconds=None, idle_seconds=3.0)
    seconds = phase_seconds(upstream.CONNECTION, limits)
    assert seconds[upstream.IDLE] == 3.0
    assert seconds[upstream.ANSWERING] is None  # not set: no limit
    assert seconds[upstream.CLOSED] is None
    total = phase_seconds(EXCHANGE, None)
    assert total[exchange.SENT] == total[exchange.CONNECTING] == RUNS_ON
    assert total[exchange.TUNNEL] is None
