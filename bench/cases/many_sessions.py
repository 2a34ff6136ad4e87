"""The same call with many live sessions in rotation: what a cache, an index or a leak would show.

Rotation is the hardest order for a cache: every other session comes between two calls of one. It
goes on for a minute, so that each session's activity is written to Redis once meanwhile.
"""

from bench.live_sessions import create
from bench.peers.gateway import CACHE_ENTRIES, Gateway
from bench.sampling import Bench, Found, cookie_file, running, sample
from bench.tables import median, megabytes, ratio, spread, table, times

NAME = "many-sessions"
TITLE = "Many live sessions in rotation"

SETTLE_SECONDS = 5.0


def run(bench: Bench) -> Found:
    site, scale = bench.site, bench.scale
    cookies = create(site, max(scale.sessions))
    files = {n: cookie_file(site, f"{n}", cookies[:n]) for n in scale.sessions}
    found: Found = {str(count): {"rounds": []} for count in scale.sessions}
    with running(Gateway(), site, logged_in=False) as gateway:
        most, seconds = max(scale.sessions), SETTLE_SECONDS
        while sample(site, gateway, files[most], seconds=seconds).requests < most:
            seconds *= 2  # every session has its turn, a read of Redis, beforehand
        for _ in range(scale.rounds):
            for count, file in files.items():
                is_one = count == 1
                settle = scale.warm_up_seconds if is_one else SETTLE_SECONDS
                sample(site, gateway, file, seconds=settle)
                seconds = scale.seconds if is_one else scale.rotation_seconds
                taken = sample(site, gateway, file, seconds=seconds)
                found[str(count)]["rounds"].append(taken.as_found())
                found[str(count)]["resident_bytes"] = gateway.process.resident_bytes()
    return found


def section(found: Found) -> str:
    one = found["1"]["rounds"]
    rows = [
        (
            f"{int(count):,}",
            f"**{median(entry['rounds'], 'cpu_us'):.1f}**",
            spread(entry["rounds"], "cpu_us"),
            times(ratio(entry["rounds"], one, "cpu_us")),
            f"{median(entry['rounds'], 'per_second'):,.0f}",
            f"{median(entry['rounds'], 'redis_per_call'):.4f}",
            megabytes(entry["resident_bytes"]),
        )
        for count, entry in found.items()
    ]
    head = (
        "sessions",
        "CPU µs per request",
        "rounds",
        "against one session",
        "requests/s",
        "Redis commands per call",
        "memory",
    )
    return f"""\
{table(head, rows)}

`session.cache_entries` is {CACHE_ENTRIES:,}, more than there are sessions. Each session has had its
turn before a figure is taken. Redis commands are those that Redis counts, within scripts as well:
what is left of them is activity, written once a minute for each session, many in one step.
"""
