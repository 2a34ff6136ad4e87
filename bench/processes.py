"""A program under test or beside it: started, measured with all its children, stopped by its pid.

CPU time is what /proc/PID/stat counts, in ticks; memory is the proportional share of each process,
so that pages which children share with their parent count once.
"""

import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.machine import PROGRAM_CORE

ROOT = Path(__file__).parents[1]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 15.0


class Process:
    """A running program and its children. `cores`: those it may use, None for ours."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        cores: Collection[int] | None = (PROGRAM_CORE,),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*pinned, *command],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def require_running(self) -> None:
        """Raises RuntimeError, with the end of its log, when it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended:\n{self.log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def move_to(self, cores: Collection[int]) -> None:
        """Let it and its children use these processors only."""
        for pid in self.tree():
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)

    # --- measuring

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its processes; of children that ended as well."""
        self.require_running()
        return tree_cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        return sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in self.tree()) * 1024

    def forget_peak(self) -> None:
        """From now on `peak_bytes` counts anew."""
        for pid in self.tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """The most memory it had since `forget_peak`, each process by itself."""
        return sum(_kilobytes(pid, "status", "VmHWM:") for pid in self.tree()) * 1024

    def now_bytes(self) -> int:
        """What `peak_bytes` would say if nothing had happened."""
        return sum(_kilobytes(pid, "status", "VmRSS:") for pid in self.tree()) * 1024

    def tree(self) -> list[int]:
        """The ids of all its processes."""
        self.require_running()
        return _tree(self.pid)


def tree_cpu_seconds(pid: int) -> float:
    """User and system time so far of a process, of its living children and of those it had."""
    return sum(map(_ticks, _tree(pid))) / TICKS_PER_SECOND


def _tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended since it was found; its parent has its time
        return 0
    return sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc_pid_stat(5)


def _kilobytes(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
