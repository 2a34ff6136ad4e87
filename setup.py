"""What pyproject.toml can't say: with COMPILE=1 the modules that every API call goes through become
native code, made by mypyc from the same source. Without it the wheel is pure Python."""

import os
import tomllib
from pathlib import Path

from setuptools import Extension, setup


def extensions() -> list[Extension]:
    """Those of the compiled wheel; none for the pure one.

    Raises:
        SystemExit: there is no mypyc to compile them.
    """
    if os.environ.get("COMPILE") != "1":
        return []
    try:
        from mypyc.build import mypycify  # noqa: PLC0415 - the pure wheel needs no compiler
    except ImportError:
        raise SystemExit(
            "COMPILE=1 needs mypy in the environment that builds: install it, and build with"
            " --no-build-isolation (make wheel-compiled does both)"
        ) from None
    project = tomllib.loads(Path("pyproject.toml").read_text())
    modules = [f"{name.replace('.', '/')}.py" for name in project["tool"]["bff"]["compiled"]]
    return list(mypycify(modules, opt_level="3", strip_asserts=False))


setup(ext_modules=extensions())
