"""A program that serves, as a real process: only ever signalled by the pid that was started."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp

from tests.polling import HANG_SECONDS, until

ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "CI_RUN_ID")  # by the second .ci/run finds what a cut-off run has left


def module(name: str, *arguments: str) -> list[str]:
    """The command `python -m name arguments`."""
    return [sys.executable, "-m", name, *arguments]


@contextlib.contextmanager
def serving_meanwhile(
    command: Sequence[object],
    serves: Callable[[], bool],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run a program that serves until the block ends; what it writes goes to `log`. Its environment
    is this process's own, unless one is given.

    Raises:
        RuntimeError: it ended, or did not serve in time; with what it wrote.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + HANG_SECONDS
        while process.poll() is None and not serves():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not serving:\n{log.read_text()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)  # a pause that its end cuts short
        if process.returncode is not None:
            raise RuntimeError(f"ended:\n{log.read_text()}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Whether a port of this machine takes connections."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
        return True
    return False


class Program:
    """What it writes is added to `log`; `output` is where it prints to, if that is another file.
    `is_ready` asks whether it serves. Of this process's environment it has `KEPT` only, beside what
    is given. `with_children`: it leads a process group, and all of that ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        is_ready: Callable[[], Awaitable[bool]],
        environment: Mapping[str, str] | None = None,
        *,
        cwd: Path = ROOT,
        output: Path | None = None,
        with_children: bool = False,
    ) -> None:
        self.log = log
        self.output = output or log
        self._cwd = cwd
        self._with_children = with_children
        self._command = command
        self.is_ready = is_ready
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._environment = {**kept, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            RuntimeError: it ended, or did not serve in time; with what it wrote.
        """
        process = self.spawn()

        async def ended_or_ready() -> bool:
            return process.poll() is not None or await self.is_ready()

        try:
            await until(ended_or_ready, every=0.05)
        except TimeoutError:
            await self.stop()
            raise RuntimeError(f"not serving:\n{self.log.read_text()}") from None
        if process.poll() is not None:
            raise RuntimeError(f"ended:\n{self.log.read_text()}")

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start it, whether or when it serves."""
        with self.log.open("ab") as log, self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=self._with_children,
            )
        return self._process

    @property
    def pid(self) -> int:
        return self._running().pid

    def signal(self, number: signal.Signals) -> None:
        self._running().send_signal(number)

    def pause(self) -> None:
        """Its connections stay open, and nothing answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> frozenset[int]:
        """SIGKILL; returns the local TCP ports it held at that moment."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)  # nothing changes between the look and the kill
        ports = tcp_ports(process.pid)
        process.kill()
        process.wait()
        self._process = None
        return ports

    async def end(self) -> None:
        """Kill it, if it runs; meanwhile its peers in this process learn that it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await until(lambda: process.poll() is not None)

    async def exit_code(self) -> int:
        """Once it has ended by itself or by a signal."""
        process = self._running()
        await until(lambda: process.poll() is not None)
        return process.returncode

    async def stop(self) -> None:
        """Ask it to end, and wait until it has; one that does not end is killed."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
        if self._with_children:
            with contextlib.suppress(ProcessLookupError):  # none of them is left
                os.killpg(process.pid, signal.SIGKILL)

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the program is not running"
        return self._process


def accepts(port: int) -> Callable[[], Awaitable[bool]]:
    """Asks whether something listens at a port of 127.0.0.1."""

    async def is_open() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    return is_open


def answers(url: str, status: int = 200) -> Callable[[], Awaitable[bool]]:
    """Asks whether a GET is answered with that status."""

    async def is_answered() -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                return answer.status == status
        except aiohttp.ClientError:
            return False

    return is_answered


def tcp_ports(pid: int) -> frozenset[int]:
    """The local ports of a process's IPv4 sockets, from /proc."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in table]
    return frozenset(int(row[1].partition(":")[2], 16) for row in rows if row[9] in inodes)
