"""docs/performance.md and its picture, from what the cases have found."""

from collections.abc import Mapping

from bench import plot
from bench.cases import small_json
from bench.cases.all import CASES
from bench.peers.all import PROGRAMS
from bench.processes import ROOT
from bench.results import Kept
from bench.tables import median, table
from bench.targets import TARGETS, Results

DOCUMENT = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
PICTURE_TITLE = "CPU time per small API call, one core"
NOT_MEASURED = "Not measured yet.\n"

TEXT = """\
# Performance

<!-- Written by `make bench` from a run on one machine. Do not edit. -->

What an API call through the gateway costs, next to what people would run instead: in the same run,
on the same machine, in front of the same API, with the same requests. Read the ratios; times are
those of one machine on one day.
{picture}
## Targets

Authentication on, sessions in Redis, one core, metrics on. *Ratios* are gateway / other, the median
of the ratios of {rounds} rounds.

{targets}

## How it is measured

{machine}

- The program under test is pinned to one processor; wrk, the API (nginx with a file of 1 KB), Redis
  and the OP share another. Programs are measured in turn, round by round.
- *CPU per request* is user and system time of the program's processes, children included, from
  `/proc/PID/stat`, divided by the requests that wrk counts. It moves far less than requests per
  second when a machine has other guests. A run with a single failed request is thrown away.
- The request is that of a browser's `fetch` behind another proxy: 18 header fields, among them the
  session cookie between two others and `X-CSRF`.
- *Latency* comes from a driver of our own that sends at fixed times, whatever the program does. A
  request that has to wait for a free connection counts from when it was due, so that a program that
  stalls pays for all requests it kept waiting. The driver, the API and wrk share a processor: read
  latencies next to each other.
- nginx and Caddy authenticate no user: they are the limit, not an alternative. The others log in at
  the same OP, keep sessions in the same Redis, and add the bearer token. Every program is
  configured as in [bench/peers](../bench/peers).
- The gateway is `bff serve` with the settings in
  [bench/peers/gateway.py](../bench/peers/gateway.py): one worker, and `session.cache_entries` above
  the number of sessions; everything else that matters here is a default.
- It runs under the Python of its virtual environment. One that was built without profile-guided
  optimisation takes 1.6 times as long for everything; `make clean` and
  `make bench PYTHON=/usr/bin/python3` measure with that of the distribution.

{missing}{sections}
## Do it again

```sh
make bench                                   # all of it, and this page: a quarter of an hour
make bench BENCH_ARGS="--only transfers"     # one case; repeat --only for more
make bench BENCH_ARGS="--quick"              # see that it works; the figures mean nothing
make bench BENCH_ARGS="--report --write"     # this page, from what was measured before
```

What is found is kept in `build/bench`. Programs that are not installed are named and left out.
"""


def document(everything: Mapping[str, Kept], rounds: int) -> str:
    """The whole page. `everything`: by the cases' names; one that is missing is said to be."""
    results = {name: kept["found"] for name, kept in everything.items()}
    sections = []
    for case in CASES:
        found = results.get(case.NAME)
        text = case.section(found) if found else NOT_MEASURED
        sections.append(f"## {case.TITLE}\n\n{text}")
    return TEXT.format(
        picture=f"\n![{PICTURE_TITLE}]({PICTURE.name})\n" if small_json.NAME in results else "",
        targets=targets(results),
        rounds=rounds,
        machine=_machine(everything),
        missing=_missing(results),
        sections="\n".join(sections),
    )


def targets(results: Results) -> str:
    """Each target, what was measured, and whether it is met."""
    rows = [(target.text, target.wanted, *target.verdict(results)) for target in TARGETS]
    return table(("against", "target", "measured", ""), rows)


def picture(results: Results) -> str | None:
    """The chart, when its case was measured."""
    if small_json.NAME not in results:
        return None
    programs = results[small_json.NAME]["programs"]
    values = [(entry["title"], median(entry["rounds"], "cpu_us")) for entry in programs.values()]
    values.sort(key=lambda item: item[1])
    return plot.bars(PICTURE_TITLE, values, ours=programs["gateway"]["title"])


def _machine(everything: Mapping[str, Kept]) -> str:
    if not everything:
        return NOT_MEASURED.strip()
    lines = {f"Measured on {kept['day']}: {kept['machine']}." for kept in everything.values()}
    others = [kept["others"] for kept in everything.values()]
    versions: dict[str, str] = {}
    for kept in everything.values():
        versions |= kept["versions"]
    programs = ", ".join(f"{name} {version}" for name, version in versions.items())
    noise = (
        "While a case was measured, processes that have nothing to do with it used "
        f"{min(others):.0%} to {max(others):.0%}\nof the machine's processors."
    )
    return "\n".join([*sorted(lines), f"Programs: {programs}.", noise])


def _missing(results: Results) -> str:
    if small_json.NAME not in results:
        return ""
    measured = results[small_json.NAME]["programs"]
    lacking = [program.title for program in PROGRAMS if program.name not in measured]
    return f"Not installed where this was measured: {', '.join(lacking)}.\n\n" if lacking else ""
