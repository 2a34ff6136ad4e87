"""Bodies of 100 MB, down and up: CPU per megabyte, and whether they are ever held in memory."""

import contextlib
import socket
from collections.abc import Callable

from bench.browser_request import request_bytes
from bench.peers.all import installed
from bench.peers.program import Running
from bench.sampling import Bench, Found, running
from bench.site import LARGE_BYTES
from bench.tables import median, megabytes, ratio, spread, table, times

NAME = "transfers"
TITLE = "Bodies of 100 MB"

BLOCK = bytes(256 * 1024)
TIMEOUT_SECONDS = 60.0


def run(bench: Bench) -> Found:
    found: Found = {}
    with contextlib.ExitStack() as stack:
        candidates = [program for program in installed() if program.streams]
        all_running = [stack.enter_context(running(one, bench.site)) for one in candidates]
        for direction, transfer in DIRECTIONS.items():
            for one in all_running:
                transfer(one)  # warm-up
            entries = found[direction] = {
                one.program.name: {"title": one.program.title, "rounds": []} for one in all_running
            }
            for _ in range(bench.scale.rounds):
                for one in all_running:
                    taken = _measure(one, transfer, bench.scale.transfers)
                    entries[one.program.name]["rounds"].append(taken)
    return found


def _measure(one: Running, transfer: Callable[[Running], None], count: int) -> Found:
    one.process.forget_peak()
    before = one.process.now_bytes()
    cpu_seconds = one.process.cpu_seconds()
    for _ in range(count):
        transfer(one)
    cpu_seconds = one.process.cpu_seconds() - cpu_seconds
    return {
        "cpu_us_per_mb": cpu_seconds * 1e6 / (count * LARGE_BYTES / 1e6),
        "growth_bytes": max(0, one.process.peak_bytes() - before),
    }


def download(one: Running) -> None:
    """Read it as fast as it comes, and throw it away."""
    with _asked(one, request_bytes(_host(one), one.cookie, path="/api/large")) as stream:
        _, received = _head(stream)
        buffer = bytearray(1 << 20)
        while received < LARGE_BYTES:
            taken = stream.recv_into(buffer)
            if not taken:
                raise RuntimeError("the download was cut off")
            received += taken


def upload(one: Running) -> None:
    """Write it as fast as it goes, then wait for the answer."""
    more = f"Content-Type: application/octet-stream\r\nContent-Length: {LARGE_BYTES}\r\n"
    more += f"Origin: http://{_host(one)}\r\n"
    request = request_bytes(
        _host(one), one.cookie, method="POST", path="/streams/api/take", more=more
    )
    with _asked(one, request) as stream:
        left = LARGE_BYTES
        while left:
            left -= stream.send(BLOCK[: min(left, len(BLOCK))])
        _head(stream)


DIRECTIONS: dict[str, Callable[[Running], None]] = {"download": download, "upload": upload}


def _host(one: Running) -> str:
    return f"127.0.0.1:{one.port}"


def _asked(one: Running, request: bytes) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", one.port), timeout=TIMEOUT_SECONDS)
    stream.sendall(request)
    return stream


def _head(stream: socket.socket) -> tuple[bytes, int]:
    """The head of a 200, and how many bytes of the body came with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        taken = stream.recv(65536)
        if not taken:
            raise RuntimeError("no answer")
        received += taken
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"answered {head[:60]!r}")
    return head, len(body)


def section(found: Found) -> str:
    rows = [
        (
            entry["title"],
            direction,
            f"**{median(entry['rounds'], 'cpu_us_per_mb'):.0f}**",
            spread(entry["rounds"], "cpu_us_per_mb", 0),
            times(ratio(entries["gateway"]["rounds"], entry["rounds"], "cpu_us_per_mb"))
            if name != "gateway"
            else "",
            megabytes(max(round_["growth_bytes"] for round_ in entry["rounds"])),
        )
        for direction, entries in found.items()
        for name, entry in entries.items()
    ]
    head = (
        "program",
        "direction",
        "CPU µs per MB",
        "rounds",
        "gateway / it",
        "memory growth, at its peak",
    )
    return f"""\
{table(head, rows)}

One transfer at a time, each on a connection of its own, as fast as it goes. nginx is told not to
spool bodies to files, which the gateway does not do either.
"""
