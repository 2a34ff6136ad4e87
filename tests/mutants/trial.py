"""Running suites against a mutant, in a forked child that has everything loaded but `bff`.

The child loads the changed text in place of the module, so nothing on disk is touched, and has so
much CPU time: one that loops for ever is ended by the system, and counts as noticed.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest

ROOT = Path(__file__).parents[2]
QUIET = (
    *("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"),
    *("-o", "timeout=30"),  # a test that waits for what a mutant never does
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what is loaded before the fork
)
SURVIVED, NOTICED, HUNG = "survived", "noticed", "hung"
DOUBTFUL = "doubtful"  # not noticed by the quick suites; the slow ones have not been asked


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it, and how long it took."""

    outcome: str
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Patience:
    """For one trial. By default, for one without a change."""

    cpu_seconds: float = 3600.0
    wall_seconds: float = 3600.0

    @classmethod
    def after(cls, unchanged: Trial) -> "Patience":
        """Several times what it took without a change: the machine may be busier by then."""
        return cls(5 * unchanged.cpu_seconds + 10, 4 * unchanged.wall_seconds + 30)


def load_libraries() -> None:
    """What all children need, once: none of it may import `bff`."""
    for name in ("aiohttp.web", "cryptography.hazmat.primitives.ciphers.aead", "hypothesis"):
        importlib.import_module(name)
    for name in ("joserfc.jwt", "redis.asyncio", "pydantic", "structlog", "prometheus_client"):
        importlib.import_module(name)
    if any(name == "bff" or name.startswith("bff.") for name in sys.modules):
        raise RuntimeError("bff is loaded already, so a mutant would not be")


def run(suites: Sequence[str], *, module: str, text: str, patience: Patience) -> Trial:
    """Run test files with `text` in place of a module."""
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = os.fork()
    if pid == 0:
        os._exit(_in_child(suites, module, text, patience.cpu_seconds))
    status = _wait(pid, began + patience.wall_seconds)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    if status is None or os.WIFSIGNALED(status):
        outcome = HUNG
    else:  # one that can't even be loaded does not pass either
        outcome = SURVIVED if os.WEXITSTATUS(status) == pytest.ExitCode.OK else NOTICED
    return Trial(outcome, spent, time.monotonic() - began)


def _in_child(suites: Sequence[str], module: str, text: str, cpu_seconds: float) -> int:
    os.setsid()  # so that what the tests start can be ended with it
    limit = round(cpu_seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    sys.meta_path.insert(0, _Changed(module, text))
    return int(pytest.main([*QUIET, *suites]))


def _wait(pid: int, deadline: float) -> int | None:
    """The child's status; None when it had to be ended. What it has started ends with it."""
    status: int | None = None
    while status is None and time.monotonic() < deadline:
        done, found = os.waitpid(pid, os.WNOHANG)
        if done:
            status = found
        else:
            time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
    return status


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads one module by another text."""

    def __init__(self, module: str, text: str) -> None:
        self._module = module
        self._text = text

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        found = str(path_of(fullname))
        return importlib.util.spec_from_file_location(fullname, found, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        code: CodeType = compile(self._text, str(path_of(self._module)), "exec")
        exec(code, module.__dict__)  # noqa: S102 - our own text, with one change


def path_of(module: str) -> Path:
    """Where a module of ours is kept."""
    return ROOT / (module.replace(".", "/") + ".py")
