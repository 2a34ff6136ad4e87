"""What else the machine did during a case: figures from among busy neighbours are poor ones."""

import os
import time
from pathlib import Path

from bench.processes import TICKS_PER_SECOND, tree_cpu_seconds


class Neighbours:
    """From its making on, which share of all processors went to processes that are not ours."""

    def __init__(self) -> None:
        self._began_at = time.monotonic()
        self._busy_seconds = _busy_seconds()
        self._our_seconds = tree_cpu_seconds(os.getpid())

    def share(self) -> float:
        """Of the time until now; time that a hypervisor took away is counted as theirs."""
        seconds = (time.monotonic() - self._began_at) * (os.cpu_count() or 1)
        busy = _busy_seconds() - self._busy_seconds
        ours = tree_cpu_seconds(os.getpid()) - self._our_seconds
        return max(0.0, busy - ours) / seconds


def _busy_seconds() -> float:
    """Of all processors since the system started: proc_stat(5)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
