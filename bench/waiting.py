"""Waiting for a program's first answer."""

import contextlib
import socket
import time

from bench.browser_request import request_bytes
from bench.processes import Process

START_SECONDS = 60.0
PAUSE_SECONDS = 0.002


def wait_for_answer(
    process: Process, port: int, *, path: str = "/", cookie: str = "", status: int | None = None
) -> float:
    """Ask until something answers, with that status if one is given; seconds since the call.

    Raises:
        RuntimeError: the program ended, or never answered so.
    """
    began_at = time.perf_counter()
    seen = ""
    while time.perf_counter() - began_at < START_SECONDS:
        seen = first_line(port, path, cookie) or seen
        if seen and (status is None or f" {status} " in seen):
            return time.perf_counter() - began_at
        process.require_running()
        time.sleep(PAUSE_SECONDS)
    raise RuntimeError(f"no answer as hoped for at port {port}, but {seen!r}")


def first_line(port: int, path: str, cookie: str) -> str:
    """Of the answer to one request; empty when there is none."""
    request = request_bytes(f"127.0.0.1:{port}", cookie, path=path, more="Connection: close\r\n")
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=2.0) as stream,
    ):
        stream.sendall(request)
        return stream.recv(4096).partition(b"\r\n")[0].decode("latin-1") + " "
    return ""
