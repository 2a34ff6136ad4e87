"""The small changes that `make mutants` tries: each is one, loads, and is what it says."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import document, trial
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.plan import Results, packages, score
from tests.mutants.reach import LOADING, Reach

SOURCE = '''
"""Docstring."""
import asyncio
LIMIT = 3
REMEMBERED = 4096
WAIT_SECONDS = 5.0

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
        assert "REMEMBERED = 4096" in text
        assert "WAIT_SECONDS = 5.0" in text


@pytest.fixture(scope="module")
def all_mutants() -> list[Mutant]:
    return [mutant for package in packages().values() for mutant in package.mutants()]


def test_changes_of_our_modules_load_and_are_other_programs(all_mutants: list[Mutant]) -> None:
    """One in two hundred is looked at."""
    for mutant in all_mutants[::200]:
        source = trial.path_of(mutant.module).read_text()
        changed = ast.parse(mutant.applied(source))
        assert ast.dump(changed) != ast.dump(ast.parse(source))


def test_each_change_of_a_function_is_called_otherwise(all_mutants: list[Mutant]) -> None:
    """So that a reason is given for one mutant."""
    named = {(mutant.module, mutant.function, mutant.change) for mutant in all_mutants}
    assert len(named) == len(all_mutants)


def test_each_reason_is_for_a_mutant_that_exists(tmp_path: Path) -> None:
    for package in packages().values():
        assert score(package, Results(package, tmp_path)).unused == ()


def test_what_is_known_of_a_mutant_outlives_changes_elsewhere() -> None:
    """In other functions, in comments, and in the name of the module."""
    moved = SOURCE.replace("LIMIT = 3", "# moved\nLIMIT = 3").replace(
        "    h()", "    # why\n    h()"
    )
    before = {mutant.key for mutant in mutants_of("m", SOURCE)}
    assert {mutant.key for mutant in mutants_of("n", moved)} == before
    other = mutants_of("m", SOURCE.replace("h()", "other()"))
    assert {mutant.key for mutant in other} & before == {
        mutant.key for mutant in other if mutant.function == "module"
    }


def test_a_mutant_knows_the_lines_of_its_statement_without_the_body() -> None:
    text = "def f(a):\n    if (a or\n        a > 1):\n        return 2\n    return 3\n"
    lines = {mutant.change: mutant.lines for mutant in mutants_of("m", text)}
    assert lines["return 2 => return 3"] == range(4, 5)
    assert lines["a > 1): => a >= 1):"] == range(2, 4)


def test_each_package_is_guarded_by_tests_that_exist() -> None:
    for package in packages().values():
        assert package.modules()
        assert all(Path(trial.ROOT / path).exists() for path in package.files())


def test_results_are_kept_and_one_that_nothing_noticed_lapses_with_the_tests(
    tmp_path: Path,
) -> None:
    package = packages()["limits"]
    first, second, third, *_ = package.mutants()
    results = Results(package, tmp_path)
    results.keep(first, trial.NOTICED, 2)
    results.keep(second, trial.SURVIVED, 2)
    results.keep(third, trial.HUNG, 20)
    again = Results(package, tmp_path)
    assert again.is_settled(first, 20)
    assert again.is_settled(second, 2)
    assert not again.is_settled(second, 20)
    found = score(package, again)
    assert (found.tried, found.noticed, found.survivors) == (1, 1, (second,))
    assert found.doubtful == 1
    again.keep(second, trial.SURVIVED, 20)
    settled = score(package, again)
    assert (settled.tried, settled.noticed, settled.doubtful) == (3, 2, 0)
    file = tmp_path / "limits.json"
    kept = json.loads(file.read_text())
    others = {key: [outcome, "other tests", 20] for key, (outcome, _, _) in kept.items()}
    file.write_text(json.dumps(others))
    older = Results(package, tmp_path)
    assert older.is_settled(first, 2)
    assert not older.is_settled(second, 2)


def test_the_quickest_tests_come_first_and_no_test_fills_the_time_with_its_cases() -> None:
    seconds = {"slow": 9.0, "cases[1]": 1.0, "cases[2]": 1.1, "cases[3]": 1.2, "quick": 2.0}
    reach = Reach(seconds, {"m": {1: {*seconds}, 2: {*seconds, LOADING}}}, [])
    assert reach.of_lines("m", [1]) == ["cases[1]", "quick", "cases[2]", "cases[3]", "slow"]
    assert reach.of_modules(["m"]) == reach.of_lines("m", [2])
    assert reach.of_modules(["other"]) == []
    assert [reach.is_loading("m", [line]) for line in (1, 2)] == [False, True]


def test_a_test_that_reaches_what_few_others_do_comes_before_a_quicker_one() -> None:
    lines = {1: {"slow", "quick"}, **{line: {"slow"} for line in range(2, 12)}}
    reach = Reach({"slow": 9.0, "quick": 2.0}, {"m": lines}, [])
    assert reach.of_lines("m", [1]) == ["slow", "quick"]


def test_a_test_in_a_file_named_after_the_module_comes_before_a_quicker_one() -> None:
    slow, quick = (
        "tests/unit/test_sessions_cookie.py::test_it",
        "tests/flows/test_login.py::test_it",
    )
    reach = Reach({slow: 9.0, quick: 2.0}, {"bff.sessions.cookie": {1: {slow, quick}}}, [])
    assert reach.of_lines("bff.sessions.cookie", [1]) == [slow, quick]


TRIALS = """
import json, sys
from tests.mutants import trial

test, module, *changes = json.loads(sys.argv[1])
trial.load_libraries()
collected = trial.Collected([test])
for before, after, seconds in changes:
    text = trial.path_of(module).read_text().replace(before, after)
    print(collected.outcome([test], module=module, text=text, seconds=seconds))
    if after == "math.ceil(1 * ":
        print(trial.anew([test], module=module, text=text, seconds=seconds))
        print(collected.outcome([test], module=module, text=None, seconds=seconds))
collected.close()
"""
TRIED = [
    "tests/unit/test_limits.py::test_retry_after_is_never_too_early_and_never_zero",
    "bff.limits.limiter",
    ("math.ceil(", "math.ceil(1 * ", 60),
    ("math.ceil(", "math.floor(", 60),
    ("return max(1", "while True: pass\n    return max(1", 2),
    ("frozen=True", "frozen=False", 60),
]


def test_a_mutant_is_tried_in_a_live_function_or_else_in_a_module_that_is_loaded_anew() -> None:
    """In a process of its own: the second way wants one that has not loaded the gateway."""
    command = [sys.executable, "-c", TRIALS, json.dumps(TRIED)]
    run = subprocess.run(command, cwd=trial.ROOT, capture_output=True, text=True, check=False)
    assert run.stdout.split() == [*["survived"] * 3, "noticed", "hung", "None"], run.stderr


QUICK, LATE = 1.0, 9.0


@pytest.mark.parametrize(
    ("mutant", "control", "expected"),
    [
        ([("survived", LATE)], [], "survived"),
        ([("noticed", QUICK)], [], "noticed"),
        ([("noticed", LATE)], [("survived", QUICK)], "noticed"),
        ([("hung", QUICK)], [("survived", QUICK)], "hung"),
        ([("hung", LATE), ("survived", LATE)], [("hung", LATE)], "survived"),
        ([("noticed", LATE), ("noticed", QUICK)], [("noticed", LATE)], "noticed"),
        ([("hung", LATE), ("hung", LATE)], [("hung", LATE), ("survived", LATE)], "hung"),
        ([("hung", LATE), ("hung", LATE)], [("hung", LATE), ("hung", LATE)], "unknown"),
    ],
)
def test_time_that_is_over_counts_only_if_the_tests_pass_in_time_without_the_mutant(
    mutant: list[tuple[str, float]], control: list[tuple[str, float]], expected: str
) -> None:
    """What other programs leave of the machine is no reason to count a mutant as noticed."""
    time = 0.0

    def run(changed: bool, seconds: float) -> str:
        nonlocal time
        outcome, took = (mutant if changed else control).pop(0)
        time += took
        return outcome

    assert trial.confirmed(run, usual=1, seconds=10, now=lambda: time) == expected
    assert mutant + control == []


def test_the_document_has_its_place_for_the_scores() -> None:
    text = document.DOCUMENT.read_text()
    assert text.index(document.BEGIN) < text.index(document.END)
