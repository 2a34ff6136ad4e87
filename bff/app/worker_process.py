"""One worker, seen from its supervisor: a new process with a socket pair between the two.

The assignment goes out on it, a byte comes back when the worker serves, and another one for each
reload that the worker is asked for, which a line answers. The end of the supervisor closes it,
which tells the worker to stop.
"""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bff
from bff.admin.reloads import ReloadOutcome
from bff.app.listening import ProcessSetup
from bff.app.reloading import Reloads, Waiting, tell
from bff.config.settings import Settings
from bff.config.sources.environment import PREFIX
from bff.observability.metrics import SHARED_DIRECTORY_VARIABLE

READY = b"r"
RELOAD = b"h"
START_SECONDS = 60.0
# -P: what lies in the working directory is not ours to import.
WORKER_COMMAND = (sys.executable, "-P", "-m", "bff.cli.worker")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a supervisor tells a new worker. `number` starts at 1."""

    number: int
    settings: Settings = field(repr=False)
    setup: ProcessSetup


class WorkerProcess:
    """Started by `start`; `close` lets go of it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, command: Sequence[str], assignment: Assignment) -> "WorkerProcess":
        """A process that has been told its assignment. Raises: OSError when there can be none."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno(), *assignment.setup.inherited],
                env=_environment(assignment),
                process_group=0,  # Ctrl-C goes to the supervisor alone, which stops the workers
            )
        except OSError:
            writer.close()
            raise
        finally:
            theirs.close()
        writer.write(pickle.dumps(assignment))
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def serves(self) -> bool:
        """True as soon as it serves; False when it has ended instead, or had to be killed."""
        try:
            async with asyncio.timeout(START_SECONDS):
                return await self._reader.read(1) == READY
        except TimeoutError:
            self.signal(signal.SIGKILL)
        except ConnectionError:
            pass
        return False

    async def answer_reloads(self, reloads: Reloads) -> None:
        """Do those that it is asked for, until it ends."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(1) == RELOAD:
                outcome = await reloads()
                self._writer.write(json.dumps(outcome.as_json()).encode() + b"\n")

    async def ended(self) -> int:
        """Its exit code, negative for a signal, once there is one."""
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def close(self) -> None:
        self._writer.close()


class ReloadsBySupervisor:
    """As `Reloads`, in a worker. `control` is its end of the socket pair."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._waiting: Waiting = []
        self._text = b""

    async def __call__(self) -> ReloadOutcome:
        """Ask for one, and wait for what comes of it."""
        outcome: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(outcome)
        self._control.send(RELOAD)
        return await outcome

    def received(self, data: bytes) -> None:
        """Some of what the supervisor has written, which answers in order."""
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            tell([self._waiting.pop(0)], ReloadOutcome.from_json(json.loads(line)))


def _environment(assignment: Assignment) -> dict[str, str]:
    # Its settings are in the assignment: a secret among the variables is not handed on.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    # The same copy of the package as ours, wherever it was found.
    path = [str(Path(bff.__file__).parent.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    environment[SHARED_DIRECTORY_VARIABLE] = str(assignment.setup.metrics_directory)
    return environment
