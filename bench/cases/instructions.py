"""One API call, small, in instructions: without a body, and with one of 1 KiB."""

from bench import instructions
from bench.peers.gateway import Gateway
from bench.sampling import Bench, Found
from bench.tables import table

NAME = "instructions"
TITLE = "Instructions of an API call"


def run(bench: Bench) -> Found:
    """The gateway's, by the titles of the calls; nothing where valgrind is missing."""
    if instructions.missing():
        return {"calls": {}}
    return {"calls": instructions.count(Gateway(), bench.site, instructions.CALLS)}


def section(found: Found) -> str:
    calls = found["calls"]
    if not calls:
        return "Not counted: valgrind is not installed.\n"
    rows = [(title, f"{count:,.0f}") for title, count in calls.items()]
    return f"""\
{table(("call", "instructions of the gateway"), rows)}

Those of user space only, as callgrind counts them: the same in every run, whatever else the machine
does, but another number for every build of Python. `make benchguard` compares them with the numbers
that are kept in [bench/guard.json](../bench/guard.json).
"""
