"""docs/fapi.md: the tests that it names for each requirement exist, and it tells every setting that
a profile judges."""

import re
from pathlib import Path

import pytest

from bff.oidc.profiles import KEYS, PROFILES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "fapi.md").read_text()
ROWS = TEXT.partition("## Requirement by requirement")[2].partition("\n## ")[0].splitlines()
REQUIREMENTS = [row.split("|") for row in ROWS if row.startswith("|")][2:]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_that_is_named_exists(file: str, name: str) -> None:
    assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", REQUIREMENTS, ids=lambda row: row[1].strip()[:40])
def test_each_requirement_names_where_it_is_met_and_a_test(row: list[str]) -> None:
    _, requirement, where, tests, _ = row
    assert requirement.strip()
    assert where.strip()
    assert "::" in tests


def test_every_setting_that_a_profile_judges_is_told() -> None:
    settings = TEXT.partition("## Requirement by requirement")[0]
    assert [key for key in KEYS if f"`{key}`" not in settings] == []
    assert all(f'"{name}"' in settings for name in PROFILES)
