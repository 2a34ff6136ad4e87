"""The programs of the OPs that `make interop` runs, fetched from package registries by their own
clients and kept outside the tree: `python -m tests.interop.ops.programs` fetches what is missing.

Every download is pinned by version and checked: Keycloak by the hash below, packages of PyPI by
the `requirements.lock` of each OP, Go modules by `zitadel/go.sum`, those of npm by
`op/package-lock.json`. Nothing is fetched while tests run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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


KEYCLOAK = CACHE / f"keycloak-{KEYCLOAK_VERSION}"
DJANGO = CACHE / f"django-{_digest('django/requirements.lock')}"
_SOURCES = ("requirements.lock", "go.mod", "go.sum", "main.go")
ZITADEL = CACHE / f"zitadel-{_digest(*(f'zitadel/{name}' for name in _SOURCES))}"


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
            (DJANGO, _make_django),
            (ZITADEL, _make_zitadel),
            (KEYCLOAK, _make_keycloak),
        ):
            if not folder.is_dir():
                _make(folder, make)


def _make(folder: Path, make: Callable[[Path, Path], None]) -> None:
    """Let `make` fill the folder, with another for what only the making needs; a half-made one is
    not taken for a whole one later."""
    began = time.monotonic()
    half_made = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(half_made, ignore_errors=True)
    with TemporaryDirectory(dir=CACHE, prefix="making-") as scratch:
        make(half_made, Path(scratch))
    half_made.rename(folder)
    print(f"{folder}: made in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


def _make_django(folder: Path, _scratch: Path) -> None:
    _make_environment(folder, HERE / "django" / "requirements.lock")


def _make_zitadel(folder: Path, scratch: Path) -> None:
    _make_environment(scratch / "python", HERE / "zitadel" / "requirements.lock")
    (root,) = scratch.glob("python/lib/python*/site-packages/go")
    environment = {
        **os.environ,
        "GOPATH": f"{scratch / 'modules'}",
        "GOCACHE": f"{scratch / 'cache'}",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    command: list[str | Path] = [root / "bin" / "go", "build", "-o", folder / "op", "."]
    _run(command, cwd=HERE / "zitadel", env=environment)


def _make_keycloak(folder: Path, scratch: Path) -> None:
    _run(
        ["mvn", "--batch-mode", "--quiet", f"-Dmaven.repo.local={scratch}", MAVEN_GET],
        [f"-Dartifact={KEYCLOAK_ARTIFACT}", "-Dtransitive=false"],
    )
    (archive,) = scratch.glob("org/keycloak/**/*.tar.gz")
    with archive.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != KEYCLOAK_SHA256:
        raise ValueError(f"{archive.name} has the hash {found}, not {KEYCLOAK_SHA256}")
    folder.mkdir()
    _run(["tar", "-xzf", archive, "-C", folder, "--strip-components=1"])
    _run([folder / "bin" / "kc.sh", "build", *KEYCLOAK_BUILD], stdout=subprocess.DEVNULL)


def _make_environment(folder: Path, lock: Path) -> None:
    """A Python environment. It is used by its modules only, so that it may be moved."""
    venv.create(folder, with_pip=True)
    _run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps"],
        ["--disable-pip-version-check", "--require-hashes", "-r", lock],
    )


def _run(*parts: Sequence[str | Path], **options: object) -> None:
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
