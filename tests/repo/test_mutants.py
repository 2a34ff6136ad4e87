"""The small changes that `make mutants` tries: each is one, loads, and is what it says."""

import ast
from pathlib import Path

import pytest

from tests.mutants import document, trial
from tests.mutants.operators import mutants_of
from tests.mutants.plan import Results, packages, reasons, score

SOURCE = '''
"""Docstring."""
import asyncio
LIMIT = 3

async def f(a: int = 1, *, found: bool = True) -> bool:
    log.info("said", a=1)
    if a < LIMIT and found or not a:
        raise ValueError
    try:
        self.x = await asyncio.shield(g(a, key=a + 1))
    except (OSError, KeyError):
        return
    h()
    return a in (1, 2)
'''
CHANGES = [
    ("a < LIMIT", "a <= LIMIT"),
    ("if a < LIMIT and found or not a:", "if True:"),
    ("if a < LIMIT and found or not a:", "if False:"),
    ("a < LIMIT and found or not a", "((a < LIMIT and found) and (not a))"),
    ("a < LIMIT and found or not a", "((a < LIMIT) or (found)) or not a"),
    ("found or", "True or"),
    ("or not a", "or False"),
    ("or not a", "or a"),
    ("raise ValueError", "pass"),
    ("self.x = await asyncio.shield(g(a, key=a + 1))", "pass"),
    ("asyncio.shield(g(a, key=a + 1))", "g(a, key=a + 1)"),
    ("g(a, key=a + 1)", "g(a, )"),
    ("a + 1", "a - 1"),
    ("(OSError, KeyError)", "()"),
    ("        return\n", "        pass\n"),
    ("    h()", "    pass"),
    ("a in (1, 2)", "a not in (1, 2)"),
    ("LIMIT = 3", "LIMIT = 4"),
    ("found: bool = True", "found: bool = False"),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_change_is_made_in_place(before: str, after: str) -> None:
    texts = {mutant.applied(SOURCE) for mutant in mutants_of("m", SOURCE)}
    assert SOURCE.replace(before, after, 1) in texts


def test_what_means_nothing_to_a_caller_is_left_alone() -> None:
    for mutant in mutants_of("m", SOURCE):
        text = mutant.applied(SOURCE)
        assert 'log.info("said", a=1)' in text
        assert "a: int" in text
        assert "import asyncio" in text


def test_changes_of_our_modules_load_and_have_names_of_their_own() -> None:
    """And each is another program than before. One in two hundred is looked at."""
    names: set[str] = set()
    for package in packages().values():
        mutants = package.mutants()
        names.update(mutant.name for mutant in mutants)
        for mutant in mutants[::200]:
            source = trial.path_of(mutant.module).read_text()
            changed = ast.parse(mutant.applied(source))
            assert ast.dump(changed) != ast.dump(ast.parse(source))
    assert len(names) == sum(len(package.mutants()) for package in packages().values())


def test_a_name_outlives_changes_elsewhere() -> None:
    """So that a reason that was given stays with its mutant."""
    moved = SOURCE.replace("LIMIT = 3", "# moved\nLIMIT = 3")
    before = {mutant.name for mutant in mutants_of("m", SOURCE)}
    assert {mutant.name for mutant in mutants_of("m", moved)} == before


def test_each_module_is_guarded_by_suites_that_exist() -> None:
    for package in packages().values():
        for module in package.modules():
            quick, others = package.suites(module)
            assert quick
            assert not set(quick) & set(others)
            assert all(Path(trial.ROOT / path).exists() for path in quick + others)


def test_results_are_kept_and_lapse_with_the_module(tmp_path: Path) -> None:
    package = packages()["limits"]
    first, second, third, *_ = package.mutants()
    results = Results(tmp_path / "results.json")
    results.keep(first, trial.NOTICED)
    results.keep(second, trial.SURVIVED)
    results.keep(third, trial.DOUBTFUL)
    again = Results(tmp_path / "results.json")
    assert again.outcome(first) == trial.NOTICED
    assert again.outcome_today(second) == trial.SURVIVED
    found = score(package, again)
    assert (found.tried, found.noticed) == (3, 1)
    assert (found.survivors, found.doubtful) == ((second,), (third,))
    kept = (tmp_path / "results.json").read_text()
    (tmp_path / "results.json").write_text(kept.replace(again._tests, "others"))
    older = Results(tmp_path / "results.json")
    assert (older.outcome_today(first), older.outcome_today(second)) == (trial.NOTICED, None)
    (tmp_path / "results.json").write_text(kept.replace(again._module(first), "another"))
    assert Results(tmp_path / "results.json").outcome(first) is None


def test_each_reason_is_said() -> None:
    assert all(reasons().values())


def test_the_document_has_its_place_for_the_scores() -> None:
    text = document.DOCUMENT.read_text()
    assert text.index(document.BEGIN) < text.index(document.END)
