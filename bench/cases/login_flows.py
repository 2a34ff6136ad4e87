"""Login flows: from `/bff/login`, or a protected page, to the redirect back with a session."""

import asyncio
import contextlib

from bench.logins import log_in_for
from bench.peers.all import installed
from bench.sampling import Bench, Found, running
from bench.tables import median, ratio, spread, table, times

NAME = "login-flows"
TITLE = "Logins"

AT_ONCE = 8


def run(bench: Bench) -> Found:
    found: Found = {}
    with contextlib.ExitStack() as stack:
        candidates = [program for program in installed() if program.authenticates]
        all_running = [stack.enter_context(running(one, bench.site)) for one in candidates]
        for one in all_running:
            found[one.program.name] = {"title": one.program.title, "rounds": []}
        for _ in range(bench.scale.rounds):
            for one in all_running:
                cpu_seconds = one.process.cpu_seconds()
                rate = asyncio.run(log_in_for(one, seconds=bench.scale.seconds, at_once=AT_ONCE))
                cpu_seconds = one.process.cpu_seconds() - cpu_seconds
                found[one.program.name]["rounds"].append(
                    {
                        "cpu_ms": cpu_seconds / rate.logins * 1000,
                        "per_second": rate.logins / rate.seconds,
                    }
                )
    return found


def section(found: Found) -> str:
    ours = found["gateway"]["rounds"]
    rows = [
        (
            entry["title"],
            f"**{median(entry['rounds'], 'cpu_ms'):.2f}**",
            spread(entry["rounds"], "cpu_ms", 2),
            times(ratio(ours, entry["rounds"], "cpu_ms")) if name != "gateway" else "",
            f"{median(entry['rounds'], 'per_second'):.0f}",
            f"{1000 / median(entry['rounds'], 'cpu_ms'):.0f}",
        )
        for name, entry in found.items()
    ]
    head = (
        "program",
        "CPU ms per login",
        "rounds",
        "gateway / it",
        "logins/s in this run",
        "logins/s that a core would do",
    )
    return f"""\
{table(head, rows)}

{AT_ONCE} browsers at a time. The demo OP, which signs, and the browsers share the other core and
are busier than any of the programs: what a login costs a program is the figure, the rate is theirs.
"""
