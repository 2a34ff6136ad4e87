"""The Makefile and what CI runs: usable by a user who has just cloned the project."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*arguments: str) -> str:
    """Run make as from a fresh shell, not as a child of the make that runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_make_alone_lists_every_target() -> None:
    """A new user types `make`: each target meant for people is there, with one line about it."""
    targets = re.findall(r"^\.PHONY: (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"make (\w+) +\w", make("--silent"))
    assert set(targets) - {"programs"} == set(listed)
    assert {"demo", "test", "check"} <= set(listed)


def test_the_demo_needs_no_program_but_python() -> None:
    """`make demo` must work on a laptop without Redis, Caddy, Chromium or Node."""
    plan = make("--dry-run", "--always-make", "demo")
    assert "bff demo" in plan
    assert not re.search(r"npm|\.ci/|requirements-dev", plan)


def test_ci_turns_skips_into_failures() -> None:
    """The plugin below is loaded when, and only when, the machine says that it is CI."""
    assert "-p tests.no_skips" in make("--dry-run", "test", "CI=true")
    assert "no_skips" not in make("--dry-run", "test", "CI=")


def run_pytest(folder: Path, source: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run one test file in a pytest of its own, without this project's configuration."""
    (folder / "test_sample.py").write_text(f"import pytest\n{source}\n")
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder)]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *options, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SKIPS = {
    "in the test": "def test_it():\n    pytest.skip('no redis')",
    "by a mark": "@pytest.mark.skip(reason='later')\ndef test_it():\n    assert False",
    "in a fixture": "@pytest.fixture\ndef it():\n    pytest.skip('x')\ndef test_it(it):\n    pass",
    "of the module": "pytest.importorskip('no_such_module')",
}


@pytest.mark.parametrize(
    "processes", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two processes"]
)
@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS.keys())
def test_a_skipped_test_fails_in_ci(tmp_path: Path, source: str, processes: Sequence[str]) -> None:
    """A rule whose test is skipped in CI is a rule without a test."""
    assert run_pytest(tmp_path, source).returncode in {0, 5}  # 5: nothing was left to run
    in_ci = run_pytest(tmp_path, source, "-p", "tests.no_skips", *processes)
    assert in_ci.returncode in {1, 2}, in_ci.stdout
    assert "which CI does not allow" in in_ci.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    """xfail documents a known gap, and `xfail_strict` watches over it: CI leaves it alone."""
    source = "@pytest.mark.xfail\ndef test_it():\n    assert False"
    assert run_pytest(tmp_path, source, "-p", "tests.no_skips").returncode == 0
