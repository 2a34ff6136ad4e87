"""How a run in several processes is shared out: nothing that tests share is started twice."""

import re
from pathlib import Path

import pytest

from tests.side_by_side import LONGEST, SHARING, unit_of

ROOT = Path(__file__).parents[2]
PACKAGE_FIXTURE = re.compile(r'^@pytest(?:_asyncio)?\.fixture\(.*scope="package"', re.MULTILINE)


def test_what_a_package_shares_is_started_in_one_process() -> None:
    """The fixtures of a package belong to one unit."""
    files = [
        path for path in ROOT.glob("tests/**/*.py") if PACKAGE_FIXTURE.search(path.read_text())
    ]
    assert files
    for path in files:
        folder = path.relative_to(ROOT).parent.as_posix()
        assert folder in SHARING, f"{path} starts something for a package that is no unit"


@pytest.mark.parametrize("name", [*SHARING, *LONGEST])
def test_what_is_named_exists(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/unit/test_limits.py::test_x[a-b]", "tests/unit/test_limits.py"),
        ("tests/flows/demo_op/test_tokens.py::test_x", "tests/flows/demo_op/test_tokens.py"),
        ("tests/chaos/test_short_form.py::test_x[steady]", "tests/chaos"),
        ("tests/e2e/test_attacks.py::test_x[another site-get]", "tests/e2e"),
        ("tests/e2e/engines/test_a.py::test_x[firefox-http-sending-401]", f"{SHARING[0]}[firefox]"),
        ("tests/e2e/engines/test_b.py::test_y[firefox]", f"{SHARING[0]}[firefox]"),
    ],
)
def test_a_unit_is_a_module_or_what_shares_programs(test: str, unit: str) -> None:
    assert unit_of(test) == unit
