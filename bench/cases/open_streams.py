"""Streams that are open and idle, event streams and WebSockets: what each costs in memory."""

import asyncio
import base64
import os
from collections.abc import Sequence

from bench.browser_request import request_bytes
from bench.live_sessions import create
from bench.peers.all import installed
from bench.peers.program import Running
from bench.sampling import Bench, Found, running
from bench.tables import megabytes, table

NAME = "open-streams"
TITLE = "Idle streams"

AT_ONCE = 100
KINDS = {"event stream": "/streams/api/events", "WebSocket": "/streams/api/socket"}
WARM_UP = 50
SESSIONS = 50  # a session may not have all the streams there are
OPEN_SECONDS = 30.0
IDLE_SECONDS = 2.0


def run(bench: Bench) -> Found:
    """Each in a program that was started for it: memory once had is not given back."""
    found: Found = {}
    cookies = create(bench.site, SESSIONS)
    for kind, path in KINDS.items():
        for program in installed():
            if not program.streams:
                continue
            with running(program, bench.site, logged_in=False) as one:
                taken = asyncio.run(_measure(one, cookies, path, bench.scale.streams))
            found.setdefault(kind, {})[program.name] = {"title": program.title, **taken}
    return found


async def _measure(one: Running, cookies: Sequence[str], path: str, count: int) -> Found:
    streams = await _open(one, cookies, path, WARM_UP)
    before = one.process.resident_bytes()
    streams += await _open(one, cookies, path, count)
    grown = one.process.resident_bytes() - before
    cpu_seconds = one.process.cpu_seconds()
    await asyncio.sleep(IDLE_SECONDS)
    busy = (one.process.cpu_seconds() - cpu_seconds) / IDLE_SECONDS
    for writer in streams:
        writer.transport.abort()
    return {
        "count": count,
        "bytes_each": grown / count,
        "resident_bytes": before + grown,
        "idle_busy": busy,
    }


async def _open(
    one: Running, cookies: Sequence[str], path: str, count: int
) -> list[asyncio.StreamWriter]:
    """Open so many, each until its first bytes have come through."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def open_one(number: int) -> asyncio.StreamWriter:
        async with limit, asyncio.timeout(OPEN_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port, limit=4096)
            writer.write(_request(one, cookies[number % len(cookies)], path))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 ")):
                raise RuntimeError(f"answered {head[:60]!r}")
            if head.startswith(b"HTTP/1.1 200 "):
                await reader.readuntil(b"data: {}")
            return writer

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(open_one(number)) for number in range(count)]
    return [task.result() for task in tasks]


def _request(one: Running, cookie: str, path: str) -> bytes:
    host = f"127.0.0.1:{one.port}"
    more = f"Origin: http://{host}\r\n"
    if path.endswith("/socket"):
        key = base64.b64encode(os.urandom(16)).decode()
        more += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        more += f"Sec-WebSocket-Key: {key}\r\n"
    return request_bytes(host, cookie if one.program.authenticates else "", path=path, more=more)


def section(found: Found) -> str:
    rows = [
        (
            entry["title"],
            kind,
            f"{entry['count']:,}",
            f"**{entry['bytes_each'] / 1024:.1f} KiB**",
            megabytes(entry["resident_bytes"]),
            f"{entry['idle_busy']:.1%}",
        )
        for kind, entries in found.items()
        for entry in entries.values()
    ]
    head = ("program", "kind", "open", "memory each", "memory of all", "of a core, idle")
    return f"""\
{table(head, rows)}

Memory of the program, both sides of each stream; that of the kernel's sockets is not counted.
"""
