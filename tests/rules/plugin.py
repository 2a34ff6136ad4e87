"""A pytest plugin that knows which test guards which row of the table of security rules.

A marker with an unknown id always ends the run. With `--rules` the run ends with the table, and
fails when a row in scope has no test, or none that ran, or one that failed. Where a run takes place
in several processes (pytest-xdist), each tells the one that judges which tests it has collected.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.rules.counts import vectors
from tests.rules.table import Row, the_table

NAME = "security-rules"
BAD = frozenset({"no test", "not run", "FAILED"})


def ids_of(item: pytest.Item) -> set[str]:
    """The rows a test guards.

    Raises:
        pytest.UsageError: a marker without an id, or with one that no row has.
    """
    ids = {str(one) for mark in item.iter_markers("rule") for one in mark.args or ("",)}
    unknown = sorted(ids - the_table().rows.keys())
    if unknown:
        raise pytest.UsageError(f"{item.nodeid}: no rule is called {', '.join(unknown)}")
    return ids


@dataclass(slots=True, eq=False)  # pytest keeps plugins in sets
class Guards:
    """What became of the tests of each row. A test passes by passing in every phase."""

    tests: dict[str, set[str]] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.add(guarding(items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A process of this run has ended."""
        self.add(getattr(node, "workeroutput", {}).get(NAME, {}))

    def add(self, tests: Mapping[str, Iterable[str]]) -> None:
        for one, names in tests.items():
            self.tests.setdefault(one, set()).update(names)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.passed and report.when == "call":
            self.ran.add(report.nodeid)

    def result(self, row: Row) -> str:
        tests = self.tests.get(row.id, set())
        if tests & self.failed:
            return "FAILED"
        if tests & self.ran:
            return "ok"
        if row.not_built is not None:
            return "not built"
        return "not run" if tests else "no test"

    def is_bad(self) -> bool:
        return any(self.result(row) in BAD for row in the_table().rows.values())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.is_bad() and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("security rules")
        table = the_table()
        for row in table.rows.values():
            terminalreporter.write_line(self.line(row))
        terminalreporter.write_line(f"rules: {self.counts(table.rules)}")
        terminalreporter.write_line(f"advisories: {self.counts(table.advisories)}")
        numbers = ", ".join(f"{number} {corpus}" for corpus, number in vectors().items())
        terminalreporter.write_line(f"vectors: {numbers}")

    def line(self, row: Row) -> str:
        """A row with its result and how many tests it has."""
        said = row.rule if row.not_built is None else row.not_built
        number = len(self.tests.get(row.id, ()))
        return f"{row.id:<28} {self.result(row):<10}{number:>4}  {said} [{row.source}]"

    def counts(self, rows: Iterable[Row]) -> str:
        """How many rows came to which result, and by how many tests."""
        rows = list(rows)
        results = Counter(self.result(row) for row in rows)
        tests = set[str]().union(*(self.tests.get(row.id, ()) for row in rows))
        named = ", ".join(f"{number} {result}" for result, number in results.items())
        return f"{len(rows)}: {named}; by {len(tests)} tests"


class Collected:
    """Of one process of several: what it tells the one that judges."""

    def __init__(self, output: dict[str, object]) -> None:
        self._output = output

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._output[NAME] = guarding(items)


def guarding(items: Iterable[pytest.Item]) -> dict[str, list[str]]:
    """The row's id -> the tests that guard it."""
    tests: dict[str, list[str]] = {}
    for item in items:
        for one in ids_of(item):
            tests.setdefault(one, []).append(item.nodeid)
    return tests


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rules", action="store_true", help="end with the table of security rules")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--rules"):
        output = getattr(config, "workeroutput", None)
        config.pluginmanager.register(Guards() if output is None else Collected(output), NAME)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        ids_of(item)
