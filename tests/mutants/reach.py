"""Which tests reach which lines, and how long each takes: measured once, in a child.

Measured is what runs while a test does. Lines that run before, while modules and tests are loaded,
are known as such: to change one of them, all has to be loaded anew.
"""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutants.trial import QUIET, ROOT, Live, in_child, sources, waited_seconds

BUILD = ROOT / "build" / "mutants"
LOADING = "loading"
AT_MOST_SECONDS = 3600.0
LEAST_SECONDS = 0.002  # that any test costs
NAMESAKE_TELLS = 10.0  # so much more than another test one of a file that is named after a module


@dataclass(frozen=True, slots=True)
class Reach:
    """`tests` are their seconds by id, in the order of their running, and `lines` by module and
    line the ids of those that reach it. `failing` are those that fail without a change: they are
    not asked."""

    tests: dict[str, float]
    lines: dict[str, dict[int, set[str]]]
    failing: list[str]

    def of_lines(self, module: str, lines: Iterable[int]) -> list[str]:
        """The tests that reach one of them, first those that are about the module and quick."""
        known = self.lines.get(module, {})
        tests = {test for line in lines for test in known.get(line, ())}
        return self._promising(tests, [module])

    def of_modules(self, modules: Sequence[str]) -> list[str]:
        """The tests that reach any line of them."""
        known = [self.lines.get(module, {}) for module in modules]
        tests = {test for lines in known for tests in lines.values() for test in tests}
        return self._promising(tests, modules)

    def is_loading(self, module: str, lines: Iterable[int]) -> bool:
        """Whether one of the lines runs before the first test."""
        known = self.lines.get(module, {})
        return any(LOADING in known.get(line, ()) for line in lines)

    def seconds(self, tests: Iterable[str]) -> float:
        """How long they take, without a change."""
        return sum(self.tests[test] for test in tests)

    def _promising(self, tests: set[str], modules: Sequence[str]) -> list[str]:
        """Ordered by what one costs for what it tells: its seconds by how many lines of the modules
        it reaches that few others do. Each case of a test also waits for those before it: many
        cases of one test do not come before the first of the next."""
        names = tuple(f"{module.rpartition('.')[2]}.py" for module in modules)
        told: defaultdict[str, float] = defaultdict(float)
        for module in modules:
            for reached in self.lines.get(module, {}).values():
                for test in reached:
                    told[test] += 1 / len(reached)
        for test in told:
            if test.partition("::")[0].endswith(names):
                told[test] *= NAMESAKE_TELLS
        known = self.tests
        costs = {test: (LEAST_SECONDS + known[test]) / told[test] for test in tests - {LOADING}}
        waits: defaultdict[str, float] = defaultdict(float)
        keys = {}
        for test in sorted(costs, key=lambda test: costs[test]):
            name = test.partition("[")[0]
            keys[test] = waits[name] = waits[name] + costs[test]
        return sorted(keys, key=lambda test: keys[test])


def measured(package: str, tests: Sequence[str]) -> Reach:
    """Of these tests; kept in build/ by test file, for as long as it and the package stay the same.

    Raises:
        RuntimeError: there is one that can't be run.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    kept = {test: BUILD / f"reach-{_digest(package, test)}.json" for test in tests}
    missing = [test for test in tests if not kept[test].exists()]
    if missing:
        in_child(lambda: _measure(missing, kept), AT_MOST_SECONDS)
    reach = Reach({}, {}, [])
    for test, path in kept.items():
        if not path.exists():
            raise RuntimeError(f"can't be run: {test}")
        _add(reach, json.loads(path.read_text()))
    return reach


def _add(reach: Reach, found: dict[str, Any]) -> None:
    reach.tests.update(found["tests"])
    reach.failing.extend(found["failing"])
    names = [*found["tests"], LOADING]  # the last is also number -1
    for module, by_line in found["lines"].items():
        lines = reach.lines.setdefault(module, {})
        for line, numbers in by_line.items():
            lines.setdefault(int(line), set()).update(names[number] for number in numbers)


def _measure(tests: Sequence[str], kept: Mapping[str, Path]) -> int:
    measuring = _Measuring()
    measuring.coverage.start()
    status = pytest.main([*QUIET, "--maxfail=0", *tests], [measuring])
    measuring.coverage.stop()
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        for test in tests:
            kept[test].write_text(json.dumps(measuring.result(test)))
    return int(status)


class _Measuring:
    """A pytest plugin: a context of coverage for each test, and for each fixture that several
    tests share, which counts for all of them."""

    def __init__(self) -> None:
        ours = f"{ROOT}/bff/*"
        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=[ours])
        self._seconds: dict[str, float] = {}
        self._failing: set[str] = set()
        self._shared: defaultdict[str, list[str]] = defaultdict(list)
        self._now = LOADING
        self._live: Live | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._live = self._live or Live()
        self._live.forget()
        self._seconds[item.nodeid] = 0.0
        for name in getattr(item, "fixturenames", ()):
            self._shared[name].append(item.nodeid)
        self._now = item.nodeid
        self.coverage.switch_context(item.nodeid)
        began, waited = time.monotonic(), waited_seconds("self")
        try:
            return (yield)
        finally:  # what it takes on a machine that has nothing else to do
            waited = waited_seconds("self") - waited
            self._seconds[item.nodeid] = time.monotonic() - began - waited

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        if fixturedef.scope != "function":
            self.coverage.switch_context(f"shared {fixturedef.argname}")
        try:
            return (yield)
        finally:
            self.coverage.switch_context(self._now)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failing.add(report.nodeid)

    def result(self, of: str) -> dict[str, object]:
        """Of one file: by module and line the numbers of the tests; -1 is for what runs before."""
        seconds = {test: time for test, time in self._seconds.items() if test.startswith(of)}
        tests = {test: time for test, time in seconds.items() if test not in self._failing}
        number = {test: n for n, test in enumerate(tests)} | {LOADING: -1}
        lines = {
            module: {
                line: sorted(number[test] for test in reached & number.keys())
                for line, reached in by_line.items()
            }
            for module, by_line in self._lines.items()
        }
        return {"tests": tests, "lines": lines, "failing": sorted(seconds.keys() - tests.keys())}

    @cached_property
    def _lines(self) -> dict[str, dict[int, set[str]]]:
        data = self.coverage.get_data()
        return {
            ".".join(Path(file).relative_to(ROOT).with_suffix("").parts): {
                line: {test for context in contexts for test in self._tests(context)}
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }

    def _tests(self, context: str) -> list[str]:
        kind, _, name = context.partition(" ")
        return self._shared[name] if kind == "shared" else [context or LOADING]


def _digest(package: str, test: str) -> str:
    digest = hashlib.sha256(test.encode())
    file = ROOT / test.partition("::")[0]
    for path in [*sources(package), file]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
