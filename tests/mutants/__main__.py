"""`python -m tests.mutants`: try mutants for a while, and say how many the tests have noticed.

Goes on where the last run ended, one mutant at a time. `--write` puts the scores into
docs/security.md.
"""

import argparse
import sys
import time

from tests.mutants import document, plan, trial
from tests.mutants.operators import Mutant


def main() -> int:
    arguments = _arguments()
    known = plan.packages()
    chosen = [known[name] for name in arguments.package or known]
    results = plan.Results()
    if not arguments.survivors:
        trial.load_libraries()
        for package in chosen:
            seconds = arguments.minutes * 60 / len(chosen)
            _Round(package, results, arguments.module).run(seconds)
    for package in chosen:
        _show(plan.score(package, results), in_full=arguments.survivors)
    if arguments.write:
        document.write([plan.score(package, results) for package in known.values()])
    return 0


class _Round:
    """Mutants of one package, tried until the time is up: all of them with the quick suites, then
    those that were not noticed with the slow ones."""

    def __init__(self, package: plan.Package, results: plan.Results, only: str) -> None:
        known = plan.reasons()
        self._package = package
        self._results = results
        self._known: dict[tuple[str, ...], trial.Patience] = {}
        self._left = [
            mutant
            for mutant in package.mutants()
            if mutant.name not in known
            and results.outcome_today(mutant) in (None, trial.DOUBTFUL)
            and only in ("", mutant.module.rpartition(".")[2])
        ]

    def run(self, seconds: float) -> None:
        """For so long, and what the mutant that is tried then still takes."""
        began = time.monotonic()
        quick = [m for m in self._left if self._results.outcome_today(m) is None]
        for mutant in quick:
            if time.monotonic() > began + seconds / 2:
                break
            self._try_with(mutant, self._suites(mutant)[0], trial.DOUBTFUL)
        doubtful = [m for m in self._left if self._results.outcome_today(m) == trial.DOUBTFUL]
        for mutant in doubtful:
            if time.monotonic() > began + seconds:
                break
            self._try_with(mutant, self._suites(mutant)[1], trial.SURVIVED)

    def _suites(self, mutant: Mutant) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self._package.suites(mutant.module)

    def _try_with(self, mutant: Mutant, suites: tuple[str, ...], otherwise: str) -> None:
        text = mutant.applied(trial.path_of(mutant.module).read_text())
        patience = self._patience(suites, mutant.module)
        found = trial.run(suites, module=mutant.module, text=text, patience=patience)
        survived = found.outcome == trial.SURVIVED
        self._results.keep(mutant, otherwise if survived else found.outcome)
        if survived and otherwise == trial.SURVIVED:
            _say(f"  not noticed: {mutant}")

    def _patience(self, suites: tuple[str, ...], module: str) -> trial.Patience:
        if suites not in self._known:
            text = trial.path_of(module).read_text()
            found = trial.run(suites, module=module, text=text, patience=trial.Patience())
            if found.outcome != trial.SURVIVED:
                sys.exit(f"these fail without a change: {' '.join(suites)}")
            self._known[suites] = trial.Patience.after(found)
        return self._known[suites]


def _show(score: plan.Score, *, in_full: bool) -> None:
    _say(
        f"{score.package}: {score.noticed} of {score.tried} noticed ({score.percent:.1f} %) and "
        f"{len(score.doubtful)} in doubt, of {score.total}; {score.without_effect} have no effect"
    )
    for mutant in (*score.survivors, *score.doubtful) if in_full else ():
        _say(f'\n# {mutant}\n[[mutants]]\nname = "{mutant.name}"\nreason = ""')


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
