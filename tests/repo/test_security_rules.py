"""The table of security rules: complete, true to the code, and watched by its plugin."""

import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.rules.document import DOCUMENT, MARKER, document
from tests.rules.table import Row, the_table

ROOT = Path(__file__).parents[2]
TABLE = the_table()


def test_every_row_has_an_id_of_its_own() -> None:
    ids = [row.id for row in (*TABLE.rules, *TABLE.advisories)]
    assert len(ids) == len(set(ids)) == len(TABLE.rows)
    assert (len(TABLE.rules), len(TABLE.advisories)) >= (140, 43)


@pytest.mark.parametrize("row", TABLE.rules, ids=lambda row: row.id)
def test_a_rule_in_scope_names_the_code_that_enforces_it(row: Row) -> None:
    assert bool(row.where) != bool(row.not_built)
    for place in row.where:
        assert pkgutil.resolve_name(place) is not None


LINKS = re.compile(r"\[[^\]]+\]\(\.\./(tests/[^)]+)\)(?:<br>)?")


def test_the_document_is_made_from_the_table() -> None:
    """`python -m tests.rules.document` writes it anew. A new test file may be missing from it, but
    none may be named that does not guard the row, and no row may be left without one."""
    written, made = (text.splitlines() for text in (DOCUMENT.read_text(), document()))
    assert [LINKS.sub("", line) for line in written] == [LINKS.sub("", line) for line in made]
    for line, wanted in zip(written, made, strict=True):
        named, guarding = set(LINKS.findall(line)), set(LINKS.findall(wanted))
        assert named <= guarding, f"run python -m tests.rules.document: {line}"
        assert bool(named) == bool(guarding), line


def test_the_kinds_of_threat_name_rows_that_exist() -> None:
    """In the part of the document that is written by hand."""
    head = DOCUMENT.read_text().partition(MARKER)[0]
    named = set(re.findall(r"\b(?:CK|SE|CS|AZ|TK|ID|LO|PX|SM|HD|OP)-\d\d\b", head))
    assert len(named) > 30
    assert not {name for name in named if name not in TABLE.rows or TABLE.rows[name].not_built}


def run(folder: Path, source: str, *options: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_sample.py").write_text(f"import pytest\n{source}\n")
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder)]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "tests.rules.plugin", *options, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# A run may take place in several processes; the judgement is about all of them.
IN_PROCESSES = pytest.mark.parametrize(
    "processes", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two processes"]
)


def test_a_marker_with_an_unknown_id_ends_the_run(tmp_path: Path) -> None:
    """A slip of the pen must not look like a guarded rule."""
    done = run(tmp_path, "@pytest.mark.rule('CK-99')\ndef test_it():\n    pass")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "CK-99" in done.stdout + done.stderr


@IN_PROCESSES
def test_rows_are_told_apart_by_their_results(tmp_path: Path, processes: Sequence[str]) -> None:
    source = """
@pytest.mark.rule("CK-01")
def test_good(): pass
@pytest.mark.rule("CK-02")
def test_bad(): assert False
@pytest.mark.rule("CK-03")
def test_skipped(): pytest.skip("x")
@pytest.mark.rule("CK-04")
def test_good_but_for_its_end(broken): pass
@pytest.fixture
def broken():
    yield
    assert False
"""
    done = run(tmp_path, source, "--rules", "-W", "ignore", *processes)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    text = done.stdout
    results = dict(re.findall(r"^(C[KS]-0\d) +(ok|FAILED|not run|no test) ", text, re.MULTILINE))
    assert results["CK-01"] == "ok"
    assert results["CK-02"] == "FAILED"
    assert results["CK-03"] == "not run"
    assert results["CK-04"] == "FAILED"
    assert results["CK-05"] == "no test"


@IN_PROCESSES
def test_a_rule_without_a_test_fails_a_run_in_which_all_passed(
    tmp_path: Path, processes: Sequence[str]
) -> None:
    source = "@pytest.mark.rule('CK-01')\ndef test_it():\n    pass"
    assert run(tmp_path, source, "-W", "ignore").returncode == 0
    assert run(tmp_path, source, "--rules", "-W", "ignore", *processes).returncode == 1
