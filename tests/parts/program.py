"""A program that serves, as a real process: ended by the pid that was started."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tests.polling import HANG_SECONDS, until

ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "CI_RUN_ID")  # by the second .ci/run finds what a cut-off run has left
STOP_SECONDS = HANG_SECONDS


class Program:
    """What it writes is added to `log`. `is_ready` asks whether it serves. `with_children`: it
    leads a process group, and all of that ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        is_ready: Callable[[], Awaitable[bool]],
        environment: Mapping[str, str] | None = None,
        *,
        with_children: bool = False,
    ) -> None:
        self.log = log
        self._with_children = with_children
        self._command = command
        self._is_ready = is_ready
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._environment = {**kept, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            RuntimeError: it ended, or did not serve in time; with what it wrote.
        """
        process = self._spawn()

        async def ended_or_ready() -> bool:
            return process.poll() is not None or await self._is_ready()

        try:
            await until(ended_or_ready, every=0.05)
        except TimeoutError:
            await self.stop()
            raise RuntimeError(f"not serving:\n{self.log.read_text()}") from None
        if process.poll() is not None:
            raise RuntimeError(f"ended:\n{self.log.read_text()}")

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
        if self._with_children:
            with contextlib.suppress(ProcessLookupError):  # none of them is left
                os.killpg(process.pid, signal.SIGKILL)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=self._with_children,
            )
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
