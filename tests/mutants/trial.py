"""Running tests against a mutant, in a child that nothing else uses.

There are two ways. A mutant in a function is put in place of the live function, in a fork of a
process that has collected the tests (`Collected`): it takes no longer than its tests. One that has
its effect while modules are loaded needs them loaded anew (`anew`), with the changed text by an
import hook. Nothing on disk is touched in either. A child has so much time, and one that has to be
ended counts as noticed when the same tests end in time without the change (`confirmed`).
"""

import functools
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import mmap
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TextIO

import pytest

ROOT = Path(__file__).parents[2]
QUIET = (
    *("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"),
    *("-o", "tmp_path_retention_policy=none"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what is loaded before the fork
)
SURVIVED, NOTICED, HUNG, UNKNOWN = "survived", "noticed", "hung", "unknown"
LATE_SECONDS = 5.0  # beyond twice the usual time: tests that fail later than that may be too slow
NOT_HERE = 77  # the child's answer when the mutant is not one of a live function
ENDED = 78  # and when one of the tests has used up its time
MOST_BYTES = 2 << 30  # of memory, for a mutant that fills it


def load_libraries() -> None:
    """What all children need, once: none of it may import `bff`."""
    for name in ("aiohttp.web", "cryptography.hazmat.primitives.ciphers.aead", "hypothesis"):
        importlib.import_module(name)
    for name in ("joserfc.jwt", "redis.asyncio", "pydantic", "structlog", "prometheus_client"):
        importlib.import_module(name)
    if any(name == "bff" or name.startswith("bff.") for name in sys.modules):
        raise RuntimeError("bff is loaded already, so a mutant would not be")


@contextmanager
def own_temporary_files() -> Iterator[None]:
    """Give the tests a folder of this run for their `tmp_path`. In the common one, pytest locks no
    folder that it is not to retain, and any other run of pytest that ends deletes it."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        try:
            yield
        finally:
            del os.environ["PYTEST_DEBUG_TEMPROOT"]


def path_of(module: str) -> Path:
    """Where a module of ours is kept."""
    return ROOT / (module.replace(".", "/") + ".py")


def sources(name: str) -> list[Path]:
    """The files of a package of ours, or the one of a module."""
    return sorted([*(ROOT / "bff" / name).rglob("*.py"), *(ROOT / "bff").glob(f"{name}.py")])


def waited_seconds(pid: int | str) -> float:
    """How long the first thread of a process has been ready to run, and others have run in its
    place; 0 where the system does not say (only Linux does)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def in_child(run: Callable[[], int], seconds: float) -> int | None:
    """What `run` returns, called in a fork; None when the time was over, or the memory. The time
    that a busy machine keeps the fork waiting is not counted. What it has started ends with it."""
    deadline = time.monotonic() + seconds
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            be_quiet()
            limit = round(seconds) + 1  # of CPU, if the parent is gone
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
            code = run()
        finally:
            os._exit(code)
    status: int | None = None
    pause = 0.002
    while status is None and time.monotonic() < deadline + waited_seconds(pid):
        done, found = os.waitpid(pid, os.WNOHANG)
        if done:
            status = found
        else:
            time.sleep(pause)
            pause = min(0.05, pause * 1.2)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
    return None if status is None or os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def be_quiet() -> None:
    """Print nothing, and have a process group of one's own, to be ended with."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)


def anew(tests: Sequence[str], *, module: str, text: str, seconds: float) -> str:
    """The outcome with all of `bff` loaded again, one module of it by a changed text."""

    def run() -> int:
        sys.meta_path.insert(0, _Changed(module, text))
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        return int(pytest.main([*QUIET, "-o", f"timeout={seconds:.0f}", *files], [_Only(tests)]))

    return _outcome(in_child(run, seconds))


class Collected:
    """A process that has loaded `bff` and collected test files, and forks for each trial. Loaded
    are also those of `modules` that the gateway loads late: else no fork would have them yet."""

    def __init__(self, files: Sequence[str], modules: Sequence[str] = ()) -> None:
        ours, its = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            be_quiet()
            pytest.main([*QUIET, "-o", "timeout=0", *files], [_Server(its.makefile("rw"), modules)])
            os._exit(0)
        its.close()
        self._pid = pid
        self._channel = ours.makefile("rw")
        self.last = ""  # of the last trial's tests the one that ended it

    def outcome(
        self,
        tests: Sequence[str],
        *,
        module: str,
        text: str | None,
        seconds: float,
        shares: Sequence[float] = (),
    ) -> str | None:
        """With a changed text of a module, or with no change. None when it can't be said this way.
        A test has a share of the seconds, so that one that hangs does not take those of all."""
        bounds = [seconds * share for share in shares or [1.0] * len(tests)]
        self._channel.write(json.dumps([list(tests), bounds, module, text, seconds]) + "\n")
        self._channel.flush()
        answer = self._channel.readline()
        if not answer:
            raise RuntimeError("the tests can't be collected")
        status: int | None
        status, begun = json.loads(answer)
        self.last = tests[max(begun, 1) - 1] if tests else ""  # ended before the first began
        return None if status == NOT_HERE else _outcome(status)

    def close(self) -> None:
        """End the process."""
        self._channel.close()
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def confirmed(
    run: Callable[[bool, float], str | None],
    *,
    usual: float,
    seconds: float,
    now: Callable[[], float] = time.monotonic,
) -> str | None:
    """What `run(True, seconds)` returns: tests against a mutant, which are ended after so many
    seconds and usually take `usual`.

    Where they were ended, or failed late, it may be the machine that is slow: `run(False,
    seconds)`, the same tests without the change, has to pass in that time. Else all is tried again
    with more time, and the outcome is UNKNOWN when that shows nothing either.
    """
    for given in (seconds, 3 * seconds):
        began = now()
        outcome = run(True, given)
        is_late = outcome == HUNG or now() - began > 2 * usual + LATE_SECONDS
        if outcome in (None, SURVIVED) or not is_late:
            return outcome
        if run(False, given) == SURVIVED:
            return outcome
    return UNKNOWN


def _outcome(status: int | None) -> str:
    if status in (None, ENDED):
        return HUNG
    # One that can't even be loaded does not pass either.
    return SURVIVED if status == pytest.ExitCode.OK else NOTICED


class _Server:
    """A pytest plugin: in place of running all tests, runs those that are asked for in forks."""

    def __init__(self, channel: TextIO, modules: Sequence[str]) -> None:
        self._channel = channel
        self._modules = modules
        self._begun = memoryview(mmap.mmap(-1, 8)).cast("Q")  # how many tests, told by the fork

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for name in self._modules:
            importlib.import_module(name)
        live = Live()
        gc.collect()
        gc.freeze()
        for line in self._channel:
            tests, bounds, module, text, seconds = json.loads(line)
            chosen = [(items[test], bound) for test, bound in zip(tests, bounds, strict=True)]
            run = functools.partial(self._run, session, chosen, live, module, text)
            self._begun[0] = 0
            status = in_child(run, seconds)
            self._channel.write(json.dumps([status, self._begun[0]]) + "\n")
            self._channel.flush()
        return True

    def _run(
        self,
        session: pytest.Session,
        chosen: list[tuple[pytest.Item, float]],
        live: "Live",
        module: str,
        text: str | None,
    ) -> int:
        if text is not None and not live.change(module, text):
            return NOT_HERE
        for (item, bound), following in zip_longest(chosen, [item for item, _ in chosen[1:]]):
            self._begun[0] += 1
            live.forget()
            hang = threading.Timer(bound, os._exit, [ENDED])
            hang.daemon = True
            hang.start()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            hang.cancel()
            if session.testsfailed:
                return 1
        return 0


class Live:
    """The functions of `bff` that are loaded, by their code, and what they remember."""

    def __init__(self) -> None:
        self._functions: defaultdict[CodeType, list[FunctionType]] = defaultdict(list)
        self._remembering = []
        for found in gc.get_objects():
            if isinstance(found, FunctionType) and _is_ours(found):
                self._functions[found.__code__].append(found)
            elif isinstance(found, functools._lru_cache_wrapper) and _is_ours(found.__wrapped__):
                self._remembering.append(found)

    def change(self, module: str, text: str) -> bool:
        """Give the functions the code that they have in `text`. False when it differs elsewhere,
        or in nothing that is still there to be called."""
        path = path_of(module)
        before, after = (
            compile(source, str(path), "exec", dont_inherit=True)
            for source in (path.read_text(), text)
        )
        try:
            return self._change(before, after) > 0
        except ValueError:  # another thing on the outside than before
            return False

    def _change(self, before: CodeType, after: CodeType) -> int:
        if before == after:
            return 0
        inner = list(_inner(before)), list(_inner(after))
        is_function = before.co_flags & inspect.CO_OPTIMIZED
        if not is_function and _without_inner(before) != _without_inner(after):
            raise ValueError("differs outside of functions")
        changed = 0
        for function in self._functions.get(before, ()):
            function.__code__ = after
            changed += 1
        if not is_function or len(inner[0]) == len(inner[1]):  # else its next call makes them anew
            changed += sum(self._change(old, new) for old, new in zip(*inner, strict=True))
        return changed

    def forget(self) -> None:
        """Empty what functions remember of their calls, so that no test meets what another left."""
        for function in self._remembering:
            function.cache_clear()


def _is_ours(function: Callable[..., object]) -> bool:
    return str(function.__module__).startswith("bff.")


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (part for part in code.co_consts if isinstance(part, CodeType))


def _without_inner(code: CodeType) -> CodeType:
    """Also without its columns in the text."""
    constants = tuple(part for part in code.co_consts if not isinstance(part, CodeType))
    return code.replace(co_consts=constants, co_linetable=b"")


class _Only:
    """A pytest plugin: of what is collected, these tests, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._rank),
            key=lambda item: self._rank[item.nodeid],
        )


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
        code: CodeType = compile(self._text, str(path_of(self._module)), "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - our own text, with one change
