"""The same call with many live sessions in rotation: what a cache, an index or a leak would show.

Rotation is the hardest order for a cache: every other session comes between two calls of one. It is
measured with the settings' default for `session.cache_max_age`, after which an entry is read from
Redis again, and with its highest value.
"""

from bench.live_sessions import create
from bench.peers.gateway import CACHE_ENTRIES, Gateway
from bench.peers.program import Running
from bench.sampling import Bench, Found, cookie_file, running, sample
from bench.tables import median, megabytes, ratio, spread, table, times

NAME = "many-sessions"
TITLE = "Many live sessions in rotation"

SETTLE_SECONDS = 5.0
LEAST_RATE = 4000
"""Requests a second, by which every session has had its turn when measuring begins."""


def run(bench: Bench) -> Found:
    cookies = create(bench.site, max(bench.scale.sessions))
    found: Found = {"max_ages": {}}
    for seconds in bench.scale.max_ages_seconds:
        program = Gateway(cache_max_age=f"{seconds}s")
        with running(program, bench.site, logged_in=False) as gateway:
            found["max_ages"][program.cache_max_age] = _by_count(bench, gateway, cookies, seconds)
    return found


def _by_count(bench: Bench, gateway: Running, cookies: list[str], max_age: int) -> Found:
    site, scale = bench.site, bench.scale
    files = {n: cookie_file(site, f"{n}", cookies[:n]) for n in scale.sessions}
    found: Found = {str(count): {"rounds": []} for count in scale.sessions}
    for _ in range(scale.rounds):
        for count, file in files.items():
            settle = max(max_age + SETTLE_SECONDS, count / LEAST_RATE)
            seconds = settle if count > 1 else scale.warm_up_seconds
            sample(site, gateway, file, seconds=seconds)
            taken = sample(site, gateway, file, seconds=scale.seconds)
            found[str(count)]["rounds"].append(taken.as_found())
            found[str(count)]["resident_bytes"] = gateway.process.resident_bytes()
    return found


def section(found: Found) -> str:
    rows = []
    for max_age, by_count in found["max_ages"].items():
        one = by_count["1"]["rounds"]
        for count, entry in by_count.items():
            rows.append(
                (
                    max_age,
                    f"{int(count):,}",
                    f"**{median(entry['rounds'], 'cpu_us'):.1f}**",
                    spread(entry["rounds"], "cpu_us"),
                    times(ratio(entry["rounds"], one, "cpu_us")),
                    f"{median(entry['rounds'], 'per_second'):,.0f}",
                    f"{median(entry['rounds'], 'redis_per_call'):.4f}",
                    megabytes(entry["resident_bytes"]),
                )
            )
    head = (
        "`cache_max_age`",
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

`session.cache_entries` is {CACHE_ENTRIES:,}, more than there are sessions. Before each figure the
sessions rotate for longer than a cache entry lives. An entry that is older than `cache_max_age` is
read again from Redis: with many sessions in rotation at saturation, the time between two calls of
one session approaches that age, and then nearly every call is such a read.
"""
