"""From the start of the process to its first good answer, to a session that was there before."""

import statistics

from bench.peers.all import installed
from bench.peers.program import API_PATH
from bench.sampling import Bench, Found, running
from bench.tables import table
from bench.waiting import wait_for_answer

NAME = "start-up"
TITLE = "Start-up"


def run(bench: Bench) -> Found:
    found: Found = {}
    for program in installed():
        with running(program, bench.site) as before:
            cookie = before.cookie
        seconds = []
        for _ in range(bench.scale.starts):
            with program.spawn(bench.site) as process:
                seconds.append(
                    wait_for_answer(
                        process,
                        bench.site.ports[program.name],
                        path=API_PATH,
                        cookie=cookie,
                        status=200,
                    )
                )
        found[program.name] = {"title": program.title, "seconds": seconds}
    return found


def section(found: Found) -> str:
    rows = [
        (
            entry["title"],
            f"**{statistics.median(entry['seconds']):.2f}**",
            f"{min(entry['seconds']):.2f}-{max(entry['seconds']):.2f}",
        )
        for entry in found.values()
    ]
    return table(("program", "seconds to the first 200", "starts"), rows) + "\n"
