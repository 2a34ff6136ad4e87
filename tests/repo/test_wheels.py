"""The wheel of this checkout, built and used as it is installed. The compiled one is built, and
tested as a whole, by `make test-compiled`."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from bff import __version__

ROOT = Path(__file__).parents[2]


def test_the_wheel_is_pure_python_and_says_so(tmp_path: Path) -> None:
    source = tmp_path / "source"
    _copy_of_the_package(source)
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"bff_gateway-{__version__}-py3-none-any.whl"
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    installed = tmp_path / "installed"
    _pip("install", "--target", str(installed), str(wheel))
    shown = subprocess.run(
        [sys.executable, "-m", "bff", "--version"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == f"bff {__version__} (pure Python)\n"


def test_every_module_to_be_compiled_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    modules = project["tool"]["bff"]["compiled"]
    assert modules == sorted(set(modules))
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


def _copy_of_the_package(folder: Path) -> None:
    """What a build reads, so that the build writes nothing into this checkout."""
    folder.mkdir()
    for name in ("bff", "spa_demo", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(folder)], check=True)


def _pip(command: str, *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COMPILE"}
    subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--no-index", *arguments],
        env=environment | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        check=True,
    )
