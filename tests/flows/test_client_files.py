"""The browser client as the gateway serves it, and as `bff client` and the packages hand it out."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from bff.endpoints.client import FOLDER
from tests.parts.browser import Browser
from tests.parts.command import bff
from tests.parts.deployment import ROOT
from tests.parts.stack import running_stack

MODULES = sorted(path.name for path in FOLDER.glob("*.js"))
TYPES = sorted(path.name for path in FOLDER.glob("*.d.ts"))


@pytest.mark.parametrize("prefix", ["/bff", "/_auth"])
async def test_it_is_served_below_the_prefix(prefix: str) -> None:
    """To every visitor: there is nothing of a session in it. As a script, asked for each time."""
    async with running_stack(server=f'prefix = "{prefix}"') as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        for name in MODULES:
            url = f"{prefix}/client/{name}"
            page = await browser.fetch("GET", url, csrf=False)
            assert page.status == 200
            assert page.body == (FOLDER / name).read_bytes()
            headers = page.headers
            assert headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-cache"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert headers["Content-Security-Policy"].startswith("default-src 'none'")
            known = {"If-None-Match": headers["ETag"]}
            assert (await browser.fetch("GET", url, headers=known)).status == 304
            head = await browser.fetch("HEAD", url, csrf=False)
            assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/bff/client/", 404),
        ("GET", "/bff/client", 404),
        ("GET", "/bff/client/nothing.js", 404),
        ("GET", "/bff/client/__init__.py", 404),
        ("GET", "/bff/client/folder/bff-client.js", 404),
        ("POST", "/bff/client/bff-client.js", 405),
    ],
)
async def test_nothing_else_is_there(method: str, path: str, status: int) -> None:
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        assert (await browser.fetch(method, path)).status == status


@pytest.mark.parametrize(("options", "names"), [((), {*MODULES, *TYPES}), (("--types",), {*TYPES})])
async def test_it_can_be_copied(tmp_path: Path, options: tuple[str, ...], names: set[str]) -> None:
    """For bundlers, and for the types that a compiler reads."""
    folder = tmp_path / "src" / "bff"
    for _ in range(2):  # again after an update
        assert (await bff("client", *options, str(folder))).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: (FOLDER / name).read_bytes() for name in names
    }


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and a source distribution, built from what git knows."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-zco", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    program = (
        "from setuptools import build_meta as build; "
        "build.build_wheel('made'); build.build_sdist('made')"
    )
    (source / "made").mkdir()
    subprocess.run([sys.executable, "-c", program], cwd=source, check=True, capture_output=True)
    return source / "made"


def test_the_wheel_has_all_that_is_run(packages: Path) -> None:
    """The client, the marker of our types, and the demo's pages, beside every module; no test."""
    (wheel,) = packages.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"bff/client/{name}" for name in (*MODULES, *TYPES)} | {"bff/py.typed"}
    for folder in ("bff", "spa_demo"):
        files = (ROOT / folder).rglob("*.py")
        wanted |= {path.relative_to(ROOT).as_posix() for path in files}
    pages = (path for path in (ROOT / "spa_demo" / "spa").rglob("*") if path.is_file())
    wanted |= {path.relative_to(ROOT).as_posix() for path in pages}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def test_the_source_distribution_builds_the_same(packages: Path) -> None:
    (source,) = packages.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "bff/py.typed"} <= names
    assert {f"bff/client/{name}" for name in (*MODULES, *TYPES)} <= names


def test_an_installed_wheel_serves_the_client(packages: Path, tmp_path: Path) -> None:
    """From where it was installed, with no source beside it."""
    (wheel,) = packages.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")  # noqa: S202 - of our own making
    program = "from bff.endpoints.client import client_files; print(*sorted(client_files()))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, 'site'); {program}"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == sorted((*MODULES, *TYPES))
