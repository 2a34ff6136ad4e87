"""`python -m tests.mutants`: try mutants for a while, and say how many the tests have noticed.

Goes on where the last run ended. `--write` puts the scores into docs/security.md.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutants import document, plan, trial
from tests.mutants.operators import Mutant
from tests.mutants.reach import Reach, measured


def main() -> int:
    arguments = _arguments()
    known = plan.packages()
    chosen = [known[name] for name in arguments.package or known]
    if not arguments.survivors:
        trial.load_libraries()
        with trial.own_temporary_files():
            for package in chosen:
                seconds = arguments.minutes * 60 / len(chosen)
                _Round(package, arguments.module, arguments.seconds).run(seconds)
    for package in chosen:
        _show(plan.score(package, plan.Results(package)), in_full=arguments.survivors)
    if arguments.write:
        document.write(plan.score(one, plan.Results(one)) for one in known.values())
    return 0


class _Round:
    """Mutants of one package, tried until the time is up: the new ones with the first of the tests
    that guard it, then those that were not noticed, now or before, with all tests."""

    def __init__(self, package: plan.Package, only: str, bound: float) -> None:
        known = package.reasons()
        self._bound = bound
        self._package = package
        self._results = plan.Results(package)
        self._mutants = [
            mutant
            for mutant in package.mutants()
            if (mutant.function, mutant.change) not in known
            and only in ("", mutant.module.rpartition(".")[2])
        ]

    def run(self, seconds: float) -> None:
        """For so long, and what the mutant that is tried then still takes. Most of the time is kept
        for all tests: only those that have met them count."""
        now = time.monotonic()
        first = now + seconds / 3
        new = [one for one in self._mutants if self._results.outcome(one) is None]
        self._try_with(new, self._package.first, plan.SECONDS_OF_FIRST_TESTS, first)
        self._try_with(self._mutants, self._package.tests, self._bound, now + seconds)

    def _try_with(
        self, mutants: Sequence[Mutant], files: Sequence[str], bound: float, until: float
    ) -> None:
        left = [one for one in mutants if not self._results.is_settled(one, bound)]
        left.sort(key=lambda one: not self._results.is_doubtful(one))
        if not left or time.monotonic() > until:
            return
        reach = measured(self._package.name, files)
        for test in reach.failing:
            _say(f"  fails without a change: {test}")
        collected = trial.Collected(files, self._package.modules())
        trials = _Trials(reach, collected, bound, self._package.first)
        began = time.monotonic()
        for tried, mutant in enumerate(left):
            if time.monotonic() > until:
                left = left[:tried]
                break
            outcome = trials.outcome(mutant)
            if outcome == trial.UNKNOWN:
                _say(f"  the machine is too slow to say: {mutant}")
                continue
            self._results.keep(mutant, outcome, bound)
            if outcome == trial.SURVIVED and files == self._package.tests:
                _say(f"  not noticed: {mutant}")
        trials.collected.close()
        _say(f"  {len(left)} tried, in {time.monotonic() - began:.0f} seconds")


@dataclass(frozen=True, slots=True)
class _Trials:
    """With the quickest tests that reach a mutant, for `bound` seconds. Those of `first` take only
    some of the time where there are others: many of them may reach a line that few guard."""

    reach: Reach
    collected: trial.Collected
    bound: float
    first: tuple[str, ...]

    def outcome(self, mutant: Mutant) -> str:
        """What becomes of it."""
        text = mutant.applied(trial.path_of(mutant.module).read_text())
        tests = self._bounded(self.reach.of_lines(mutant.module, mutant.lines))
        is_loading = self.reach.is_loading(mutant.module, mutant.lines)
        if not tests and not is_loading:
            return trial.SURVIVED
        usual = self.reach.seconds(tests)
        shares = [(2 + self.reach.tests[test]) / (1 + usual) for test in tests]
        outcome = trial.confirmed(
            lambda changed, seconds: self.collected.outcome(
                tests if changed else [self.collected.last],
                module=mutant.module,
                text=text if changed else None,
                seconds=seconds,
                shares=shares if changed else (),
            ),
            usual=usual,
            seconds=_patience(usual),
        )
        if outcome is None or (outcome == trial.SURVIVED and is_loading):
            return self._anew(mutant, text)
        return outcome

    def _anew(self, mutant: Mutant, text: str) -> str:
        """With all that reach the module or one that uses it: its effect may be anywhere."""
        users = [name for name in self.reach.lines if _uses(name, mutant.module)]
        tests = self._bounded(self.reach.of_modules([mutant.module, *users]))
        if not tests:
            return trial.SURVIVED
        before = trial.path_of(mutant.module).read_text()
        usual = LOADING_SECONDS + self.reach.seconds(tests)
        outcome = trial.confirmed(
            lambda changed, seconds: trial.anew(
                tests, module=mutant.module, text=text if changed else before, seconds=seconds
            ),
            usual=usual,
            seconds=_patience(usual),
        )
        return outcome or trial.UNKNOWN

    def _bounded(self, tests: list[str]) -> list[str]:
        """As many of them as take so many seconds; and at least one."""
        others = [test for test in tests if not test.startswith(self.first)]
        chosen = self._within(
            [test for test in tests if test.startswith(self.first)], plan.SECONDS_OF_FIRST_TESTS
        )
        for more in (others, [test for test in tests if test not in {*others, *chosen}]):
            chosen += self._within(more, self.bound - self.reach.seconds(chosen))
        return chosen or tests[:1]

    def _within(self, tests: list[str], seconds: float) -> list[str]:
        """The first of them, as many as take so many seconds."""
        sums = itertools.accumulate(self.reach.tests[test] for test in tests)
        return [test for test, so_far in zip(tests, sums, strict=True) if so_far <= seconds]


LOADING_SECONDS = 5.0  # of all of `bff` and the tests


def _patience(seconds: float) -> float:
    """Several times what it takes without a change: the machine may be busier by then."""
    return 4 + 4 * seconds


def _uses(name: str, module: str) -> bool:
    package, _, stem = module.rpartition(".")
    text = trial.path_of(name).read_text()
    return f"from {module} import" in text or (f"from {package} import" in text and stem in text)


def _show(score: plan.Score, *, in_full: bool) -> None:
    _say(
        f"{score.package}: {score.noticed} of {score.tried} noticed ({score.percent:.1f} %), of "
        f"{score.total}; {score.doubtful} in doubt, {score.without_effect} have no effect"
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
    parser.add_argument(
        "--seconds",
        type=float,
        default=plan.SECONDS_OF_TESTS,
        help="of all tests, against one mutant; more where very many tests reach a line",
    )
    parser.add_argument("--survivors", action="store_true", help="try nothing, list what is left")
    parser.add_argument("--write", action="store_true", help="write docs/security.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
