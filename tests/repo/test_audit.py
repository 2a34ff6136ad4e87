"""`.ci/audit`, which `make check` runs: what it makes of each thing that pip-audit can say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit"

GOOD = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
FLAWED = {
    "name": "redis",
    "version": "8.1.0",
    "vulns": [
        {"id": "PYSEC-2099-1", "fix_versions": ["8.1.1", "8.2.0"], "aliases": []},
        {"id": "GHSA-aaaa-bbbb-cccc", "fix_versions": [], "aliases": []},
    ],
}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


def audited(folder: Path, *, out: str = "", err: str = "", code: int = 0) -> tuple[int, str]:
    """The exit code and the words of `.ci/audit` when pip-audit says this."""
    said = (
        f"import sys\nprint({out!r}, end='')\nprint({err!r}, file=sys.stderr)\nsys.exit({code})\n"
    )
    (folder / "pip_audit.py").write_text(said)
    done = subprocess.run(
        [sys.executable, AUDIT], env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_flaw_fails_the_check_and_is_named(tmp_path: Path) -> None:
    """With where it is mended, if anywhere."""
    code, said = audited(tmp_path, out=report(GOOD, FLAWED), code=1)
    assert code == 1
    assert "redis 8.1.0: PYSEC-2099-1, fixed in 8.1.1, 8.2.0" in said
    assert "redis 8.1.0: GHSA-aaaa-bbbb-cccc, fixed in no release yet" in said
    assert "2 packages checked, 2 flaws known" in said


def test_no_flaw_passes(tmp_path: Path) -> None:
    assert audited(tmp_path, out=report(GOOD)) == (
        0,
        "pip-audit: 1 packages checked, 0 flaws known.\n",
    )


def test_an_unknown_package_is_told(tmp_path: Path) -> None:
    """It was not checked; silence would look like a clean bill of health."""
    code, said = audited(tmp_path, out=report(GOOD, UNKNOWN))
    assert code == 0
    assert "1 packages checked" in said
    assert "does not know ours" in said


def test_a_service_out_of_reach_is_told_and_is_no_failure(tmp_path: Path) -> None:
    code, said = audited(tmp_path, err="requests.exceptions.ConnectionError: no route", code=1)
    assert code == 0
    assert "nothing was checked" in said


@pytest.mark.parametrize("err", ["", "ERROR: requirements.lock: hash missing"])
def test_any_other_failure_fails(tmp_path: Path, err: str) -> None:
    """One that says nothing included."""
    code, said = audited(tmp_path, err=err, code=1)
    assert code == 1
    assert err in said
