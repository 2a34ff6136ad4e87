"""What is tried, against which suites; which mutants are known to have no effect; and what came of
earlier runs, which are gone on with."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.trial import DOUBTFUL, HUNG, NOTICED, ROOT, SURVIVED, path_of

HERE = Path(__file__).parent
RESULTS = ROOT / "build" / "mutants" / "results.json"


@dataclass(frozen=True, slots=True)
class Package:
    """A package of `bff` and the suites that guard it, as suites.toml says."""

    name: str
    first: tuple[str, ...]
    then: tuple[str, ...]
    own: Mapping[str, tuple[str, ...]]
    left_out: frozenset[str]

    def suites(self, module: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The quick ones, which are likely to notice a mutant of the module, and all the others."""
        stem = self._stem(module)
        named = [path for path in self.first if path.endswith(f"_{stem}.py")]
        quick = (*named, *self.own.get(stem, ())) or self.first
        return quick, tuple(path for path in self.first + self.then if path not in quick)

    def modules(self) -> list[str]:
        """Without those that are left out."""
        files = sorted((ROOT / "bff" / self.name).rglob("*.py"))
        paths = [file.relative_to(ROOT).with_suffix("") for file in files]
        names = [".".join(path.parts) for path in paths if path.name != "__init__"]
        return [name for name in names if self._stem(name) not in self.left_out]

    def _stem(self, module: str) -> str:
        """As suites.toml and the tests call it: `redis_url` for `redis.url` of the package."""
        return module.removeprefix(f"bff.{self.name}.").replace(".", "_")

    def mutants(self) -> list[Mutant]:
        """In an order that has nothing to do with their place: the first thousand are a sample."""
        found = [m for name in self.modules() for m in mutants_of(name, path_of(name).read_text())]
        return sorted(found, key=lambda mutant: hashlib.sha256(mutant.name.encode()).digest())


def packages() -> dict[str, Package]:
    """By name, as suites.toml has them."""
    table = tomllib.loads((HERE / "suites.toml").read_text())["packages"]
    return {
        name: Package(
            name,
            tuple(_files(row["first"])),
            tuple(_files(row["then"])),
            {stem: tuple(_files(patterns)) for stem, patterns in row.get("own", {}).items()},
            frozenset(row.get("left_out", ())),
        )
        for name, row in table.items()
    }


def reasons() -> dict[str, str]:
    """Why a mutant that no test can notice is none to worry about, by its name."""
    table = tomllib.loads((HERE / "no_effect.toml").read_text())
    return {row["name"]: row["reason"] for row in table.get("mutants", ())}


class Results:
    """Kept in build/. One is good for as long as its module is the same, and one that nothing
    noticed for as long as the tests are, too."""

    def __init__(self, path: Path = RESULTS) -> None:
        self._path = path
        self._kept: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
        self._tests = _digest(path.read_bytes() for path in sorted(ROOT.glob("tests/**/*.py")))
        self._modules: dict[str, str] = {}

    def outcome(self, mutant: Mutant) -> str | None:
        """The last one, if the module is as it was then."""
        outcome, module, _ = self._kept.get(mutant.name, ("", "", ""))
        return outcome if module == self._module(mutant) else None

    def outcome_today(self, mutant: Mutant) -> str | None:
        """None also where other tests than today's have noticed nothing."""
        outcome = self.outcome(mutant)
        if outcome in (SURVIVED, DOUBTFUL) and self._kept[mutant.name][2] != self._tests:
            return None
        return outcome

    def keep(self, mutant: Mutant, outcome: str) -> None:
        """On disk at once, so that a run may be ended at any time."""
        self._kept[mutant.name] = [outcome, self._module(mutant), self._tests]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._kept))

    def _module(self, mutant: Mutant) -> str:
        if mutant.module not in self._modules:
            self._modules[mutant.module] = _digest([path_of(mutant.module).read_bytes()])
        return self._modules[mutant.module]


@dataclass(frozen=True, slots=True)
class Score:
    """Of one package. `total` and `tried` are without those that have no effect; `doubtful` are
    those that the quick suites have not noticed, and the others have not been asked."""

    package: str
    total: int
    noticed: int
    doubtful: tuple[Mutant, ...]
    survivors: tuple[Mutant, ...]
    without_effect: int

    @property
    def tried(self) -> int:
        return self.noticed + len(self.doubtful) + len(self.survivors)

    @property
    def percent(self) -> float:
        """What is in doubt counts as not noticed."""
        return 100 * self.noticed / self.tried if self.tried else 0.0


def score(package: Package, results: Results) -> Score:
    """What is known of a package so far."""
    known = reasons()
    mutants = package.mutants()
    judged = [mutant for mutant in mutants if mutant.name not in known]
    outcomes = {mutant: results.outcome(mutant) for mutant in judged}
    return Score(
        package.name,
        len(judged),
        sum(outcome in (NOTICED, HUNG) for outcome in outcomes.values()),
        tuple(mutant for mutant, outcome in outcomes.items() if outcome == DOUBTFUL),
        tuple(mutant for mutant, outcome in outcomes.items() if outcome == SURVIVED),
        len(mutants) - len(judged),
    )


def _files(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        found = sorted(ROOT.glob(pattern))
        if not found:
            raise FileNotFoundError(pattern)
        yield from (str(path.relative_to(ROOT)) for path in found)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]
