"""What a gateway process and its store hold, and the most they held meanwhile."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.parts.redis_server import RedisServer

MIB = 2**20
LOOK_SECONDS = 0.1
OFTEN_SECONDS = 0.03
RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs
_LISTENING = "0A"  # tcp_states.h


class Process:
    """A running process, as the kernel knows it."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def rss_bytes(self) -> int:
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """The most it held since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        (self._proc / "clear_refs").write_text(RESET_PEAK)

    def connections(self, port: int) -> int:
        """Those it has accepted on a loopback port and not closed."""
        rows = [line.split() for line in (self._proc / "net/tcp").read_text().splitlines()[1:]]
        ours = f":{port:04X}"
        return sum(
            1 for row in rows if row[1].endswith(ours) and row[3] != _LISTENING and row[9] != "0"
        )

    def _status(self, name: str) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
        return int(kilobytes) * 1024


class ConnectionWatch:
    """Looks often how many connections a process has, so that `most` is close to the truth."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._port = port
        self.most = 0

    async def run(self) -> None:
        while True:
            self.most = max(self.most, self._process.connections(self._port))
            await asyncio.sleep(OFTEN_SECONDS)


@dataclass(frozen=True, slots=True)
class Held:
    """By the store."""

    keys: int
    used_bytes: int


def held_by(store: RedisServer) -> Held:
    info = store.command("INFO", "memory").decode()
    (used,) = (line[12:] for line in info.splitlines() if line.startswith("used_memory:"))
    return Held(int(store.command("DBSIZE")), int(used))


class StoreWatch:
    """Looks now and then, so that `most` is what was held at one of these moments."""

    def __init__(self, store: RedisServer) -> None:
        self._store = store
        self.most = held_by(store)

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> Held:
        now = held_by(self._store)
        self.most = Held(max(now.keys, self.most.keys), max(now.used_bytes, self.most.used_bytes))
        return now


@dataclass(frozen=True, slots=True)
class Course:
    """A figure before, at its most, and after."""

    before: int
    peak: int
    after: int

    @property
    def grown(self) -> int:
        """How much more there was at the most."""
        return self.peak - self.before

    def __str__(self) -> str:
        return f"{self.before} / {self.peak} / {self.after}"

    def in_mib(self) -> str:
        return " / ".join(f"{value / MIB:.0f}" for value in (self.before, self.peak, self.after))
