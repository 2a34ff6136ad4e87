"""`python -m tests.mutants`: try mutants for a while, and say how many the tests have noticed.

Goes on where the last run ended. `--write` puts the scores into docs/security.md.
"""

import argparse
import itertools
import json
import sys
import time

from tests.mutants import document, plan, trial
from tests.mutants.operators import Mutant
from tests.mutants.reach import measured


def main() -> int:
    arguments = _arguments()
    known = plan.packages()
    chosen = [known[name] for name in arguments.package or known]
    if not arguments.survivors:
        trial.load_libraries()
        for package in chosen:
            _Round(package, arguments.module).run(arguments.minutes * 60 / len(chosen))
    for package in chosen:
        _show(plan.score(package, plan.Results(package)), in_full=arguments.survivors)
    if arguments.write:
        document.write(plan.score(one, plan.Results(one)) for one in known.values())
    return 0


# Of tests for one mutant, the quickest of those that reach it. All mutants meet those of the first
# number of seconds; then the ones that were not noticed meet more.
SECONDS_OF_TESTS = (2.0, 20.0)


class _Round:
    """Mutants of one package, tried until the time is up."""

    def __init__(self, package: plan.Package, only: str) -> None:
        known = package.reasons()
        self._results = plan.Results(package)
        self._mutants = [
            mutant
            for mutant in package.mutants()
            if (mutant.function, mutant.change) not in known
            and only in ("", mutant.module.rpartition(".")[2])
        ]
        self._reach = measured(package.name, package.tests)
        for test in self._reach.failing:
            _say(f"  fails without a change: {test}")
        slowest = max(self._reach.tests.values())
        self._collected = trial.Collected(package.tests, 10 + 4 * slowest)

    def run(self, seconds: float) -> None:
        """For so long, and what the mutant that is tried then still takes."""
        began = time.monotonic()
        tried = 0
        for bound in SECONDS_OF_TESTS:
            for mutant in self._mutants:
                if time.monotonic() > began + seconds:
                    break
                if not self._results.is_settled(mutant, bound):
                    outcome = self._outcome(mutant, bound)
                    self._results.keep(mutant, outcome, bound)
                    tried += 1
                    if outcome == trial.SURVIVED:
                        _say(f"  not noticed: {mutant}")
        self._collected.close()
        if tried:
            _say(f"{tried} tried, {(time.monotonic() - began) / tried:.2f} seconds each")

    def _outcome(self, mutant: Mutant, bound: float) -> str:
        text = mutant.applied(trial.path_of(mutant.module).read_text())
        reach = self._reach
        tests = self._bounded(reach.of_lines(mutant.module, mutant.lines), bound)
        is_loading = reach.is_loading(mutant.module, mutant.lines)
        if not tests and not is_loading:
            return trial.SURVIVED
        seconds = _patience(reach.seconds(tests))
        outcome = self._collected.outcome(tests, module=mutant.module, text=text, seconds=seconds)
        if outcome is None or (outcome == trial.SURVIVED and is_loading):
            return self._anew(mutant, text, bound)
        return outcome

    def _anew(self, mutant: Mutant, text: str, bound: float) -> str:
        """With all that reach the module or one that uses it: its effect may be anywhere."""
        users = [name for name in self._reach.lines if _uses(name, mutant.module)]
        tests = self._bounded(self._reach.of_modules([mutant.module, *users]), bound)
        units = [test for test in tests if test.startswith("tests/unit/")]
        for some in (units, [test for test in tests if test not in set(units)]):
            if some:
                seconds = 20 + _patience(self._reach.seconds(some))
                outcome = trial.anew(some, module=mutant.module, text=text, seconds=seconds)
                if outcome != trial.SURVIVED:
                    return outcome
        return trial.SURVIVED

    def _bounded(self, tests: list[str], bound: float) -> list[str]:
        """The first of them, as many as take so many seconds; and at least one."""
        sums = itertools.accumulate(self._reach.tests[test] for test in tests)
        fitting = [test for test, so_far in zip(tests, sums, strict=True) if so_far <= bound]
        return fitting or tests[:1]


def _patience(seconds: float) -> float:
    """Several times what it takes without a change: the machine may be busier by then."""
    return 10 + 4 * seconds


def _uses(name: str, module: str) -> bool:
    package, _, stem = module.rpartition(".")
    text = trial.path_of(name).read_text()
    return f"from {module} import" in text or (f"from {package} import" in text and stem in text)


def _show(score: plan.Score, *, in_full: bool) -> None:
    _say(
        f"{score.package}: {score.noticed} of {score.tried} noticed ({score.percent:.1f} %), "
        f"of {score.total}; {score.without_effect} have no effect"
    )
    for mutant in score.survivors if in_full else ():
        _say(f"\n# {mutant.module}:{mutant.lines.start}\n[[{score.package}]]")
        _say(f"function = {json.dumps(mutant.function)}\nchange = {json.dumps(mutant.change)}")
        _say('reason = ""')
    for function, change in score.unused:
        _say(f"a reason for a mutant that is not there: {function}: {change}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--package", action="append", choices=sorted(plan.packages()))
    parser.add_argument("--module", default="", help="only this module of the package")
    parser.add_argument("--minutes", type=float, default=30.0, help="for all packages together")
    parser.add_argument("--survivors", action="store_true", help="try nothing, list what is left")
    parser.add_argument("--write", action="store_true", help="write docs/security.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
