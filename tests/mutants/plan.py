"""What is tried, against which tests; which mutants are known to have no effect; and what came of
earlier runs, which are gone on with."""

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.reach import BUILD
from tests.mutants.trial import HUNG, NOTICED, ROOT, SURVIVED, path_of, sources

HERE = Path(__file__).parent
# Of tests for one mutant, the quickest of those that reach it: of the first, then of all.
SECONDS_OF_FIRST_TESTS = 4.0
SECONDS_OF_TESTS = 15.0


@dataclass(frozen=True, slots=True)
class Package:
    """A package of `bff`, or a module of its own, and the tests that guard it, as suites.toml says:
    files, or one of a file (`file::test`)."""

    name: str
    first: tuple[str, ...]
    then: tuple[str, ...]
    left_out: frozenset[str]

    @property
    def tests(self) -> tuple[str, ...]:
        """All of them."""
        return self.first + self.then

    def files(self) -> list[str]:
        """Those of the tests."""
        return [test.partition("::")[0] for test in self.tests]

    def modules(self) -> list[str]:
        """Without those that are left out."""
        files = sources(self.name)
        return [
            ".".join(file.relative_to(ROOT).with_suffix("").parts)
            for file in files
            if file.stem not in self.left_out | {"__init__"}
        ]

    def mutants(self) -> list[Mutant]:
        """In an order that has nothing to do with their place: the first hundred are a sample."""
        found = [m for name in self.modules() for m in mutants_of(name, path_of(name).read_text())]
        return sorted(found, key=lambda mutant: mutant.key)

    def reasons(self) -> dict[tuple[str, str], str]:
        """Why a mutant that no test can notice is none to worry about, by function and change."""
        rows = tomllib.loads((HERE / "no_effect.toml").read_text()).get(self.name, ())
        return {(row["function"], row["change"]): row["reason"] for row in rows}


def packages() -> dict[str, Package]:
    """By name, as suites.toml has them."""
    table = tomllib.loads((HERE / "suites.toml").read_text())
    return {
        name: Package(
            name,
            tuple(_files(row["first"])),
            tuple(_files(row.get("then", ()))),
            frozenset(row.get("left_out", ())),
        )
        for name, row in table.items()
    }


class Results:
    """Of one package, kept in build/. One is good for as long as the function that was changed is
    the same, and one that nothing noticed for as long as the package's tests are, too."""

    def __init__(self, package: Package, folder: Path = BUILD) -> None:
        self._path = folder / f"{package.name}.json"
        kept = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._kept: dict[str, tuple[str, str, float]] = kept
        self._tests = _digest((ROOT / file).read_bytes() for file in package.files())

    def outcome(self, mutant: Mutant) -> str | None:
        """The last one, if the function is as it was then."""
        return self._kept[mutant.key][0] if mutant.key in self._kept else None

    def is_doubtful(self, mutant: Mutant) -> bool:
        """Whether the first tests have not noticed it, and the others have not been asked."""
        outcome, _, asked = self._kept.get(mutant.key, (None, "", 0.0))
        return outcome == SURVIVED and asked < SECONDS_OF_TESTS

    def is_settled(self, mutant: Mutant, seconds: float) -> bool:
        """Whether trying it with tests of so many seconds would say nothing new."""
        outcome, tests, asked = self._kept.get(mutant.key, (SURVIVED, "", 0.0))
        return outcome != SURVIVED or (tests == self._tests and asked >= seconds)

    def keep(self, mutant: Mutant, outcome: str, seconds: float) -> None:
        """On disk at once, so that a run may be ended at any time."""
        self._kept[mutant.key] = (outcome, self._tests, seconds)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._kept))
        new.replace(self._path)


@dataclass(frozen=True, slots=True)
class Score:
    """Of one package. `total` is without those that have no effect; `tried` are those, in their
    order, that come before the first that only the first tests have been asked about, and `noticed`
    so many of these. `survivors` are all that are known, `doubtful` so many of them that only the
    first tests have been asked about. `unused` reasons are for mutants that there are no longer."""

    package: str
    total: int
    tried: int
    noticed: int
    survivors: tuple[Mutant, ...]
    doubtful: int
    without_effect: int
    unused: tuple[tuple[str, str], ...]

    @property
    def percent(self) -> float:
        return 100 * self.noticed / self.tried if self.tried else 0.0


def score(package: Package, results: Results) -> Score:
    """What is known of a package so far."""
    known = package.reasons()
    mutants = package.mutants()
    there = {(mutant.function, mutant.change) for mutant in mutants}
    judged = [mutant for mutant in mutants if (mutant.function, mutant.change) not in known]
    outcomes = {mutant: results.outcome(mutant) for mutant in judged}
    settled = itertools.takewhile(lambda mutant: not results.is_doubtful(mutant), judged)
    in_full = [mutant for mutant in settled if outcomes[mutant] is not None]
    return Score(
        package.name,
        len(judged),
        len(in_full),
        sum(outcomes[mutant] in (NOTICED, HUNG) for mutant in in_full),
        tuple(mutant for mutant, outcome in outcomes.items() if outcome == SURVIVED),
        sum(results.is_doubtful(mutant) for mutant in judged),
        len(mutants) - len(judged),
        tuple(sorted(known.keys() - there)),
    )


def _files(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        files, separator, test = pattern.partition("::")
        found = sorted(ROOT.glob(files))
        if not found:
            raise FileNotFoundError(files)
        yield from (f"{path.relative_to(ROOT)}{separator}{test}" for path in found)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]
