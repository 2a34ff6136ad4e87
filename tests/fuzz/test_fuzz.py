"""The short form of `python -m tests.fuzz`, and every case that ever showed something wrong."""

import secrets
from pathlib import Path

import pytest

from tests.fuzz import regressions
from tests.fuzz.everything import all_targets
from tests.fuzz.growth import too_many_calls
from tests.fuzz.running import Found, cases_of, fuzz, judged

CASES = 1500
TARGETS = all_targets()
CHANCE = secrets.randbelow(1 << 31)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seed", [0, CHANCE], ids=["fixed", "by-chance"])
def test_no_generated_input_breaks_a_rule(name: str, seed: int) -> None:
    """Only what a second statement of the rule accepts is accepted, and what is refused is refused
    with a documented error. The seed is in the message, so that a finding comes again."""
    row = fuzz(TARGETS[name], seed, CASES)
    assert row.kept == [], f"python -m tests.fuzz {name} --cases {CASES} --seed {seed}"
    assert row.accepted > CASES / 50, "too hostile to prove anything"
    assert row.refused > CASES / 50, "too peaceful to prove anything"


@pytest.mark.parametrize("name", TARGETS)
def test_the_work_for_an_input_grows_no_faster_than_its_size(name: str) -> None:
    """Counted in calls, which no busy machine changes."""
    assert too_many_calls(TARGETS[name]) == []


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_seed_gives_the_same_cases(name: str) -> None:
    """Else a finding could not be looked into."""
    assert list(cases_of(TARGETS[name], 7, 200)) == list(cases_of(all_targets()[name], 7, 200))


@pytest.mark.parametrize(
    "file", regressions.files(), ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_what_was_wrong_once_is_right(file: Path) -> None:
    name, case = regressions.read(file)
    found = judged(TARGETS[name], case)
    assert not isinstance(found, Found), found
