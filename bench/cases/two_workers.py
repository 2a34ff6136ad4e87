"""Two workers against one, where the load generator has no machine of its own.

With two processors for everything, two workers share them with wrk and the API. So two comparisons
are made: against one worker that has both processors as well, which leaves to the load what it does
not use; and against one worker with everything on one processor, which is half of the machine.
"""

from bench.machine import LOAD_CORE, PROGRAM_CORE
from bench.peers.gateway import Gateway
from bench.sampling import Bench, Found, cookie_file, running, sample
from bench.tables import median, ratio, spread, table

NAME = "two-workers"
TITLE = "Two workers"

BOTH = (PROGRAM_CORE, LOAD_CORE)
CONNECTIONS = 64
SETUPS = {
    "one worker, everything on one processor": (1, (PROGRAM_CORE,)),
    "one worker, everything on two processors": (1, BOTH),
    "two workers, everything on two processors": (2, BOTH),
}
HALF, ONE, TWO = SETUPS


def run(bench: Bench) -> Found:
    site, scale = bench.site, bench.scale
    found: Found = {setup: {"rounds": []} for setup in SETUPS}
    try:
        for _ in range(scale.rounds):
            for setup, (workers, cores) in SETUPS.items():
                site.use_cores(cores)
                program = Gateway(workers=workers, cores=cores)
                load = ",".join(map(str, cores))
                with running(program, site) as gateway:
                    cookies = cookie_file(site, "workers", [gateway.cookie])
                    for seconds in (scale.warm_up_seconds, scale.seconds):
                        taken = sample(
                            site,
                            gateway,
                            cookies,
                            seconds=seconds,
                            connections=CONNECTIONS,
                            cores=load,
                        )
                found[setup]["rounds"].append(taken.as_found())
    finally:
        site.use_cores((LOAD_CORE,))
    return found


def section(found: Found) -> str:
    rows = [
        (
            setup,
            f"**{median(entry['rounds'], 'per_second'):,.0f}**",
            spread(entry["rounds"], "per_second", 0),
            f"{median(entry['rounds'], 'cpu_us'):.1f}",
            f"{median(entry['rounds'], 'busy'):.2f}",
        )
        for setup, entry in found.items()
    ]
    head = ("setup", "requests/s", "rounds", "CPU µs per request", "processors used by the gateway")
    more = ratio(found[TWO]["rounds"], found[ONE]["rounds"], "per_second")
    double = ratio(found[TWO]["rounds"], found[HALF]["rounds"], "per_second")
    dearer = ratio(found[TWO]["rounds"], found[ONE]["rounds"], "cpu_us")
    return f"""\
{table(head, rows)}

The load (wrk with {CONNECTIONS} connections, and the API) shares the processors with the workers.
Two workers answer {more:.2f} times what one does when both may use two processors, and
{double:.2f} times what one does with everything on one processor. A request costs two workers
{dearer:.2f} times the CPU that it costs one; with the load elsewhere, two processors would so do
{2 / dearer:.2f} times the work of one.
"""
