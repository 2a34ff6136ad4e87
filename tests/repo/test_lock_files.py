"""The lock files: what is shipped and tested is pinned by hash, as pyproject.toml allows."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-build.lock",
    "tests/interop/django/requirements.lock",
    "tests/interop/zitadel/requirements.lock",
)


def pinned(lock: str) -> dict[str, str]:
    """Name to version of every requirement of a lock file, each of which must have a hash."""
    versions: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text()):
        if entry.startswith("#"):
            continue
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", entry)
        assert match is not None, entry
        assert "--hash=sha256:" in entry, f"{match[1]} has no hash"
        versions[canonicalize_name(match[1])] = match[2]
    return versions


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"]]
    for extra in extras:
        texts += project["optional-dependencies"][extra]
    return [found for found in map(Requirement, texts) if found.name != project["name"]]


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("test", "dev"))]
)
def test_the_lock_files_follow_pyproject(lock: str, extras: tuple[str, ...]) -> None:
    """What is shipped and tested is what pyproject.toml allows; `make lock` renews it."""
    versions = pinned(lock)
    for requirement in declared(*extras):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run make lock"
        assert requirement.specifier.contains(version), f"{requirement}: run make lock"


def test_tests_run_with_the_versions_that_are_shipped() -> None:
    """A test against other versions than the image's proves nothing about the image."""
    shipped, tested = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert shipped.items() <= tested.items()


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_file_names_a_host(lock: str) -> None:
    """Where packages are fetched from is each machine's own business; the hash decides."""
    assert pinned(lock)
    assert not re.search(r"://|--(index|extra-index|find-links|trusted)", (ROOT / lock).read_text())


def test_the_bill_of_materials_is_that_of_the_lock_file() -> None:
    """`make sbom`: each package once, with version, URL and a hash for each of its files."""
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "sbom"], capture_output=True, check=True, timeout=60
    )
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    listed = {canonicalize_name(one["name"]): one for one in document["components"]}
    assert {name: one["version"] for name, one in listed.items()} == pinned("requirements.lock")
    assert len(listed) == len(document["components"])
    hashes = [found["content"] for one in listed.values() for found in one["hashes"]]
    lock = (ROOT / "requirements.lock").read_text()
    assert sorted(hashes) == sorted(re.findall(r"--hash=sha256:(\S+)", lock))
    for name, one in listed.items():
        assert one["purl"] == f"pkg:pypi/{name}@{one['version']}"
