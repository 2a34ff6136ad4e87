"""One API call, small: 18 header fields in, 1 KB of JSON out, one session, every program."""

import contextlib
from dataclasses import asdict

from bench import openloop
from bench.peers.all import installed
from bench.peers.program import API_PATH
from bench.sampling import Bench, Found, cookie_file, running, sample
from bench.tables import median, megabytes, ratio, spread, table, times

NAME = "small-json"
TITLE = "A small API call"

RATES = (500, 2000)
HEADROOM = 1.5  # a rate is asked only of what has answered so many times as much


def run(bench: Bench) -> Found:
    """The programs in turn, round by round; then each at fixed rates."""
    site, scale = bench.site, bench.scale
    found: Found = {"programs": {}}
    with contextlib.ExitStack() as stack:
        all_running = [stack.enter_context(running(program, site)) for program in installed()]
        cookies = {
            one.program.name: cookie_file(site, one.program.name, [one.cookie])
            for one in all_running
        }
        for one in all_running:
            sample(site, one, cookies[one.program.name], seconds=scale.warm_up_seconds)
            found["programs"][one.program.name] = {"title": one.program.title, "rounds": []}
        for _ in range(scale.rounds):
            for one in all_running:
                taken = sample(site, one, cookies[one.program.name], seconds=scale.seconds)
                found["programs"][one.program.name]["rounds"].append(taken.as_found())
        for one in all_running:
            entry = found["programs"][one.program.name]
            entry["resident_bytes"] = one.process.resident_bytes()
            entry["latency"] = {}
            for rate in RATES:
                if median(entry["rounds"], "per_second") >= rate * HEADROOM:
                    latency = openloop.measure(
                        one.port, one.cookie, API_PATH, rate=rate, seconds=scale.seconds
                    )
                    entry["latency"][str(rate)] = asdict(latency)
    return found


def section(found: Found) -> str:
    programs = found["programs"]
    ours = programs["gateway"]["rounds"]
    rows = [
        (
            entry["title"],
            f"**{median(entry['rounds'], 'cpu_us'):.1f}**",
            spread(entry["rounds"], "cpu_us"),
            times(ratio(ours, entry["rounds"], "cpu_us")) if name != "gateway" else "",
            f"{median(entry['rounds'], 'per_second'):,.0f}",
            f"{median(entry['rounds'], 'busy'):.0%}",
            f"{median(entry['rounds'], 'redis_per_call'):.4f}",
            megabytes(entry["resident_bytes"]),
        )
        for name, entry in programs.items()
    ]
    head = (
        "program",
        "CPU µs per request",
        "rounds",
        "gateway / it",
        "requests/s",
        "of its core",
        "Redis commands per call",
        "memory",
    )
    return f"""\
{table(head, rows)}

Latency at a fixed rate of requests, in milliseconds from when each was due (open loop). A dash:
the program does not answer {HEADROOM:g} times that rate at saturation, so that its latency would be
that of a queue. "Behind": it had not answered all of it 5 s after the end.

{_latencies(found)}
"""


def _latencies(found: Found) -> str:
    head = ["program"]
    for rate in RATES:
        head += [f"p50 at {rate}/s", f"p99 at {rate}/s"]
    rows = []
    for entry in found["programs"].values():
        row = [entry["title"]]
        for rate in RATES:
            latency = entry["latency"].get(str(rate))
            row += _percentiles(latency)
        rows.append(row)
    return table(head, rows)


def _percentiles(latency: Found | None) -> list[str]:
    if latency is None:
        return ["-", "-"]
    if latency["unanswered"]:
        return ["behind", "behind"]
    return [f"{latency['p50_ms']:.2f}", f"{latency['p99_ms']:.2f}"]
