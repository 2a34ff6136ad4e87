"""Commands as a user runs them: a process with an end, its exit code, and what it prints."""

import asyncio
import contextlib
import os
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.parts.config_files import SECRET
from tests.parts.program import ROOT, module
from tests.polling import HANG_SECONDS

BFF = tuple(module("bff"))


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    def line(self, start: str) -> str:
        """The first line of output that begins so."""
        return next(line for line in self.out.splitlines() if line.startswith(start))


class Command:
    """One that runs. Its standard error is a file, so that it never waits for a reader."""

    def __init__(self, process: Process, err: IO[bytes]) -> None:
        self._process = process
        self._err = err
        self._read = b""

    async def lines(self) -> AsyncIterator[str]:
        """Each further line of output as it is printed, until the output ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._read += line
            yield line.decode()

    async def line_with(self, text: str) -> str:
        """The next line of output that holds the text, once it is printed.

        Raises:
            AssertionError: the output ended without one.
        """
        async with asyncio.timeout(HANG_SECONDS):
            async for line in self.lines():
                if text in line:
                    return line.strip()
        raise AssertionError(f"not printed: {text}\n{self._read.decode()}")

    def errors(self) -> str:
        """What it has written to its standard error so far."""
        self._err.seek(0)
        return self._err.read().decode()

    async def result(self) -> Result:
        """Wait for its end. The output is all of it, that of `line_with` too."""
        async with asyncio.timeout(HANG_SECONDS):
            out, _ = await self._process.communicate()
        code = self._process.returncode
        assert code is not None
        return Result(code, (self._read + out).decode(), self.errors())

    def terminate(self) -> None:
        """Ask it to end, unless it has."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def ended(self) -> Result:
        """Ask it to end, and wait until it has."""
        self.terminate()
        return await self.result()


def own_environment(**variables: str) -> dict[str, str]:
    """This process's environment without any BFF_ variable but those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
    return {**inherited, "PYTHONIOENCODING": "utf-8", **variables}


@contextlib.asynccontextmanager
async def running_command(
    command: Sequence[str],
    *,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    pass_fds: Collection[int] = (),
    stdin: int = DEVNULL,
) -> AsyncIterator[Command]:
    """Killed at the end of the block, if it still runs. The environment is `own_environment`,
    unless one is given. A `stdin` that is a pipe ends with this process."""
    with tempfile.TemporaryFile() as err:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=own_environment() if environment is None else environment,
            pass_fds=pass_fds,
            stdin=stdin,
            stdout=PIPE,
            stderr=err,
        )
        try:
            yield Command(process, err)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


async def run(command: Sequence[str], **how: object) -> Result:
    """Run it to its end; `how` is as for `running_command`."""
    async with running_command(command, **how) as running:  # type: ignore[arg-type]
        return await running.result()


async def bff(*arguments: str, cwd: Path = ROOT, **variables: str) -> Result:
    """Run `python -m bff` without any BFF_ variable but those given."""
    result = await run([*BFF, *arguments], cwd=cwd, environment=own_environment(**variables))
    assert "Traceback" not in result.err
    assert SECRET not in result.out + result.err
    return result
