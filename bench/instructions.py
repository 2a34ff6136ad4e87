"""User-space instructions that a program spends on a request, as callgrind counts them.

A count is the same in every run, whatever else the machine does, and whatever the machine: it moves
only when the program, its interpreter or its libraries do. It says nothing of the kernel's part.
"""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.browser_request import request_bytes
from bench.machine import find
from bench.peers.program import API_PATH, Program, Running
from bench.sampling import running
from bench.site import Site

WARM_UP_REQUESTS = (
    400  # all caches are filled by then, and the interpreter has specialised its code
)
BATCHES = 5
BATCH_REQUESTS = 250
ANSWER_SECONDS = 60.0  # a program runs fifty times slower under callgrind
DUMP_SECONDS = 60.0
_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked again and again. `body_bytes` 0 is a request without a body."""

    title: str
    method: str = "GET"
    body_bytes: int = 0

    def request(self, host: str, cookie: str) -> bytes:
        """The whole of it, as it goes over the wire."""
        more = ""
        if self.body_bytes:
            more = f"Content-Type: application/json\r\nContent-Length: {self.body_bytes}\r\n"
        head = request_bytes(host, cookie, method=self.method, path=API_PATH, more=more)
        return head + b"x" * self.body_bytes


CALLS = (Call("GET"), Call("POST of 1 KiB", "POST", 1024))


def missing() -> str:
    """What has to be installed first; empty when nothing has."""
    return "" if find("valgrind") and find("callgrind_control") else "valgrind"


@contextlib.contextmanager
def counted(program: Program, site: Site) -> Iterator["Counted"]:
    """Start a program under callgrind, logged in if it wants that."""
    files = site.folder / f"callgrind-{program.name}"
    under = (
        *(find("valgrind") or "valgrind", "--tool=callgrind", "--quiet"),
        *("--trace-children=yes", "--instr-atstart=no", f"--callgrind-out-file={files}.%p"),
    )
    with running(program, replace(site, under=under)) as started:
        yield Counted(started, files)


class Counted:
    """A program that runs under callgrind."""

    def __init__(self, started: Running, files: Path) -> None:
        self._started = started
        self._files = files

    def per_request(self, call: Call) -> float:
        """Of all its processes, on one connection, one request after the other. The least of
        several batches: timers and the collection of garbage fall into some of them.

        Raises:
            RuntimeError: it answered anything but 200, or callgrind does not say.
        """
        host = f"127.0.0.1:{self._started.port}"
        request = call.request(host, self._started.cookie)
        pids = self._started.process.tree()
        with socket.create_connection(
            ("127.0.0.1", self._started.port), timeout=ANSWER_SECONDS
        ) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _ask(stream, request, WARM_UP_REQUESTS)
            for pid in pids:
                _control("--instr=on", pid)
            _ask(stream, request, 1)  # what is counted from here on has been translated
            least = min(self._batch(stream, request, pids) for _ in range(BATCHES))
            for pid in pids:
                _control("--instr=off", pid)
        return least / BATCH_REQUESTS

    def _batch(self, stream: socket.socket, request: bytes, pids: list[int]) -> int:
        for pid in pids:
            _control("--zero", pid)
        _ask(stream, request, BATCH_REQUESTS)
        return sum(self._dumped(pid) for pid in pids)

    def _dumped(self, pid: int) -> int:
        """The instructions of one process since its count was set to zero."""
        before = self._dumps(pid)
        _control("--dump", pid)
        until = time.monotonic() + DUMP_SECONDS
        while time.monotonic() < until:
            for file in self._dumps(pid) - before:
                found = _TOTALS.search(file.read_text())
                if found is not None:
                    return int(found[1])
            time.sleep(0.05)
        raise RuntimeError(f"callgrind has not said what process {pid} spent")

    def _dumps(self, pid: int) -> set[Path]:
        return set(self._files.parent.glob(f"{self._files.name}.{pid}.*"))


def count(program: Program, site: Site, calls: Sequence[Call]) -> dict[str, float]:
    """Instructions per request, by the titles of the calls."""
    with counted(program, site) as under_callgrind:
        return {call.title: under_callgrind.per_request(call) for call in calls}


def _ask(stream: socket.socket, request: bytes, times: int) -> None:
    for _ in range(times):
        stream.sendall(request)
        answer = b""
        while not _is_whole(answer):
            more = stream.recv(65_536)
            if not more:
                raise RuntimeError(f"no whole answer, but {answer[:200]!r}")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"answered {answer[:200]!r}")


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head)
    if length is None:
        raise RuntimeError(f"an answer without a length: {head[:200]!r}")
    return len(body) >= int(length[1])


def _control(what: str, pid: int) -> None:
    command = [find("callgrind_control") or "callgrind_control", what, str(pid)]
    subprocess.run(command, capture_output=True, check=True, timeout=DUMP_SECONDS)
