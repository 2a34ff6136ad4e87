"""Load at a fixed rate, whatever the program does: `python -m bench.openloop`.

Requests fall due at fixed times. One that cannot be sent because every connection is busy waits,
and its latency counts from when it was due: a program that stalls pays for each call it kept
waiting (no coordinated omission). select(2) waits by the microsecond, which epoll does not.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from bench.browser_request import request_bytes
from bench.machine import LOAD_CORE

CONNECTIONS = 32
PATIENCE_SECONDS = 5.0
GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from when a request was due to the end of its answer. `lateness_ms`: how late
    the driver itself was in the median, part of every figure."""

    p50_ms: float
    p99_ms: float
    slowest_ms: float
    lateness_ms: float
    unanswered: int


@dataclass(slots=True, eq=False)
class Connection:
    """One keep-alive connection. `due_at` is that of the request it is busy with."""

    stream: socket.socket
    due_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def fileno(self) -> int:
        return self.stream.fileno()

    def send(self, request: bytes, due_at: float) -> None:
        self.due_at = due_at
        self.received.clear()
        self.stream.sendall(request)

    def is_answered(self) -> bool:
        """Take what has arrived; True at the answer's end."""
        data = self.stream.recv(65536)
        if not data:
            raise RuntimeError("the program closed a connection that was in use")
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"answered {bytes(head[:60])!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if length:
            return len(body) >= int(length)
        return bytes(body).endswith(b"0\r\n\r\n")  # chunked


def drive(port: int, request: bytes, *, rate: int, seconds: float) -> Latency:
    """Send `rate` requests a second for so long."""
    idle = deque(
        Connection(socket.create_connection(("127.0.0.1", port))) for _ in range(CONNECTIONS)
    )
    busy: set[Connection] = set()
    latencies: list[float] = []
    lateness: list[float] = []
    began_at = time.perf_counter() + 0.01
    total = round(rate * seconds)
    sent = 0
    while len(latencies) < total:
        now = time.perf_counter()
        while sent < total and idle and began_at + sent / rate <= now:
            due_at = began_at + sent / rate
            connection = idle.popleft()
            connection.send(request, due_at)
            lateness.append(now - due_at)
            busy.add(connection)
            sent += 1
        if now > began_at + seconds + PATIENCE_SECONDS:
            break
        wait = began_at + sent / rate - now if sent < total and idle else 0.1
        readable, _, _ = select.select(busy, [], [], max(0.0, wait))
        for connection in readable:
            if connection.is_answered():
                latencies.append(time.perf_counter() - connection.due_at)
                busy.discard(connection)
                idle.append(connection)
    for connection in [*idle, *busy]:
        connection.stream.close()
    return Latency(
        p50_ms=percentile(latencies, 0.5) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
        slowest_ms=max(latencies) * 1000,
        lateness_ms=percentile(lateness, 0.5) * 1000,
        unanswered=total - len(latencies),
    )


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(port: int, cookie: str, path: str, *, rate: int, seconds: float) -> Latency:
    """Run the driver as a process of its own."""
    asked = {"port": port, "cookie": cookie, "path": path, "rate": rate, "seconds": seconds}
    ran = subprocess.run(
        ["taskset", "--cpu-list", str(LOAD_CORE), sys.executable, "-m", "bench.openloop"],
        cwd=Path(__file__).parents[1],
        input=json.dumps(asked),  # a session's cookie is nothing for a command line
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        raise RuntimeError(f"the driver failed: {ran.stderr[-800:]}")
    return Latency(**json.loads(ran.stdout))


def main() -> None:
    asked = json.loads(sys.stdin.read())
    request = request_bytes(f"127.0.0.1:{asked['port']}", asked["cookie"], path=asked["path"])
    found = drive(asked["port"], request, rate=asked["rate"], seconds=asked["seconds"])
    print(json.dumps({name: getattr(found, name) for name in Latency.__slots__}))


if __name__ == "__main__":
    main()
