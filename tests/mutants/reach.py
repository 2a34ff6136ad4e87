"""Which tests reach which lines, and how long each takes: measured once, in a child.

Measured is what runs while a test does. Lines that run before, while modules and tests are loaded,
are known as such: to change one of them, all has to be loaded anew.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

from tests.mutants.trial import QUIET, ROOT, Live, in_child

BUILD = ROOT / "build" / "mutants"
LOADING = "loading"
AT_MOST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Reach:
    """`tests` are their seconds by id, in the order of their running, and `lines` by module and
    line the ids of those that reach it. `failing` are those that fail without a change: they are
    not asked."""

    tests: dict[str, float]
    lines: dict[str, dict[int, list[str]]]
    failing: list[str]

    def of_lines(self, module: str, lines: Iterable[int]) -> list[str]:
        """The tests that reach one of them, the quickest first."""
        known = self.lines.get(module, {})
        return self._quickest({test for line in lines for test in known.get(line, ())})

    def of_modules(self, modules: Iterable[str]) -> list[str]:
        """The tests that reach any line of them."""
        known = [self.lines.get(module, {}) for module in modules]
        return self._quickest({t for lines in known for tests in lines.values() for t in tests})

    def is_loading(self, module: str, lines: Iterable[int]) -> bool:
        """Whether one of the lines runs before the first test."""
        known = self.lines.get(module, {})
        return any(LOADING in known.get(line, ()) for line in lines)

    def seconds(self, tests: Iterable[str]) -> float:
        """How long they take, without a change."""
        return sum(self.tests[test] for test in tests)

    def _quickest(self, tests: set[str]) -> list[str]:
        """The quickest first, where each case of a test also waits for those before it: many cases
        of one test do not come before the first of the next."""
        waits: defaultdict[str, float] = defaultdict(float)
        keys = {}
        for test in sorted(tests - {LOADING}, key=lambda test: self.tests[test]):
            name = test.partition("[")[0]
            keys[test] = waits[name] = waits[name] + self.tests[test]
        return sorted(keys, key=lambda test: keys[test])


def measured(package: str, files: Sequence[str]) -> Reach:
    """Of these test files; kept in build/ for as long as the package and they do not change.

    Raises:
        RuntimeError: no test can be run.
    """
    kept = BUILD / f"{package}-reach-{_digest(package, files)}.json"
    if not kept.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        for old in BUILD.glob(f"{package}-reach-*"):
            old.unlink()
        in_child(lambda: _measure(files, kept), AT_MOST_SECONDS)
        if not kept.exists():
            raise RuntimeError(f"these can not be run: {' '.join(files)}")
    found = json.loads(kept.read_text())
    names = [*found["tests"], LOADING]  # the last is also number -1
    lines = {
        module: {int(line): [names[n] for n in numbers] for line, numbers in by_line.items()}
        for module, by_line in found["lines"].items()
    }
    return Reach(found["tests"], lines, found["failing"])


def _measure(files: Sequence[str], kept: Path) -> int:
    measuring = _Measuring()
    measuring.coverage.start()
    status = pytest.main([*QUIET, "--maxfail=0", *files], [measuring])
    measuring.coverage.stop()
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        kept.write_text(json.dumps(measuring.result()))
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
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        if fixturedef.scope != "function":
            self.coverage.switch_context(f"shared {fixturedef.argname}")
        try:
            return (yield)
        finally:
            self.coverage.switch_context(self._now)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed:
            self._failing.add(report.nodeid)

    def result(self) -> dict[str, object]:
        """By module and line the numbers of the tests; -1 is for what runs before them."""
        tests = {test: time for test, time in self._seconds.items() if test not in self._failing}
        number = {test: n for n, test in enumerate(tests)} | {"": -1, LOADING: -1}
        data = self.coverage.get_data()
        lines = {}
        for file in data.measured_files():
            module = ".".join(Path(file).relative_to(ROOT).with_suffix("").parts)
            lines[module] = {
                line: sorted({number[t] for c in contexts for t in self._tests(c) if t in number})
                for line, contexts in data.contexts_by_lineno(file).items()
            }
        return {"tests": tests, "lines": lines, "failing": sorted(self._failing)}

    def _tests(self, context: str) -> list[str]:
        kind, _, name = context.partition(" ")
        return self._shared[name] if kind == "shared" else [context]


def _digest(package: str, files: Sequence[str]) -> str:
    digest = hashlib.sha256("\n".join(files).encode())
    tests = [ROOT / file.partition("::")[0] for file in files]
    for path in [*sorted(ROOT.glob(f"bff/{package}/**/*.py")), *tests]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
