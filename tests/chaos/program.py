"""A process of the installation under test, only ever signalled by the pid that was started."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.polling import until

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class Program:
    """`python -m module options`; what it writes is added to `log`."""

    def __init__(
        self,
        *arguments: str,
        log: Path,
        is_ready: Callable[[], Awaitable[bool]],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._arguments = arguments
        self._is_ready = is_ready
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            RuntimeError: it ended; with what it wrote.
            TimeoutError: it did not serve in time.
        """
        process = self._spawn()

        async def is_ready_or_gone() -> bool:
            return process.poll() is not None or await self._is_ready()

        await until(is_ready_or_gone, seconds=START_SECONDS, every=0.05)
        if process.poll() is not None:
            raise RuntimeError(f"{self._arguments[0]} ended:\n{self.log.read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        return self._running().pid

    def kill(self) -> frozenset[int]:
        """SIGKILL; returns the local TCP ports it held at that moment."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)  # nothing changes between the look and the kill
        ports = tcp_ports(process.pid)
        process.kill()
        process.wait()
        self._process = None
        return ports

    def pause(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self._process

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the program is not running"
        return self._process


def tcp_ports(pid: int) -> frozenset[int]:
    """The local ports of a process's IPv4 sockets, from /proc."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in table]
    return frozenset(int(row[1].partition(":")[2], 16) for row in rows if row[9] in inodes)
