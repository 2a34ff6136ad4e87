"""A pytest plugin that knows which test guards which row of the table of security rules.

A marker with an unknown id always ends the run. With `--rules` the run ends with the table, and
fails when a row in scope has no test, or none that ran, or one that failed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

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
        for item in items:
            for one in ids_of(item):
                self.tests.setdefault(one, set()).add(item.nodeid)

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
        for line in self.lines(the_table().rows.values()):
            terminalreporter.write_line(line)

    def lines(self, rows: Iterable[Row]) -> list[str]:
        """The table, and below it how many rows came to which result."""
        counts: dict[str, int] = {}
        found = []
        for row in rows:
            result = self.result(row)
            counts[result] = counts.get(result, 0) + 1
            number = len(self.tests.get(row.id, ()))
            said = row.rule if row.not_built is None else row.not_built
            found.append(f"{row.id:<28} {result:<10}{number:>4}  {said} [{row.source}]")
        return [*found, ", ".join(f"{number} {result}" for result, number in counts.items())]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rules", action="store_true", help="end with the table of security rules")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--rules"):
        config.pluginmanager.register(Guards(), NAME)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        ids_of(item)
