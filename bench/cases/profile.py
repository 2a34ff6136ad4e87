"""Where the gateway's time goes during small API calls: by kind of code, and by module of ours.

Two profilers look from outside, in a run of their own: perf at machine code, py-spy at Python.
Either may be missing.
"""

import ast
import os
import subprocess
import threading
from collections import Counter, defaultdict
from pathlib import Path

from bench.machine import LOAD_CORE, find
from bench.peers.gateway import Gateway
from bench.peers.program import Running
from bench.processes import ROOT
from bench.sampling import Bench, Found, cookie_file, running, sample
from bench.tables import table

NAME = "profile"
TITLE = "Where the time goes"

HERTZ = 400
LEAST_SHARE = 0.01
MARGIN_SECONDS = 3.0  # the profilers need time to attach
EVENT_LOOP = "bff/cli/serve.py"  # the outermost frame of ours: below it runs the event loop
PARTS = {
    "the kernel: sockets, scheduling": ("[kernel",),
    "the Python interpreter": ("python3", "libpython"),
    "llhttp, through httptools": ("parser.cpython", "url_parser.cpython"),
    "uvloop": ("loop.cpython",),
    "cryptography: hashes": ("libcrypto", "_hashlib", "_sha"),
}
OTHER = "everything else"


def run(bench: Bench) -> Found:
    found: Found = {}
    with running(Gateway(), bench.site) as gateway:
        cookies = cookie_file(bench.site, "profile", [gateway.cookie])
        sample(bench.site, gateway, cookies, seconds=bench.scale.warm_up_seconds)
        for name, profiler in PROFILERS.items():
            if find(name) is None:
                continue
            seconds = bench.scale.seconds
            load = threading.Thread(
                target=sample,
                args=(bench.site, gateway, cookies),
                kwargs={"seconds": seconds + MARGIN_SECONDS},
            )
            load.start()
            try:
                found[name] = profiler(gateway, seconds, bench.site.folder)
            finally:
                load.join()
    return found


def perf(gateway: Running, seconds: float, folder: Path) -> Found:
    """Share of samples by kind of code."""
    data = str(folder / "perf.data")
    record = ["perf", "record", "-q", "-F", str(HERTZ), "-e", "cpu-clock", "-o", data]
    _ran([*record, "-p", str(gateway.process.pid), "--", "sleep", f"{seconds:g}"])
    report = _ran(["perf", "report", "--stdio", "-q", "-i", data, "--sort", "dso"])
    shares: defaultdict[str, float] = defaultdict(float)
    for line in report.splitlines():
        percent, _, name = line.strip().partition("%")
        if name:
            shares[_part(name.strip())] += float(percent) / 100
    return dict(shares)


def py_spy(gateway: Running, seconds: float, folder: Path) -> Found:
    """Share of samples by our innermost module on the stack: with what it calls of others."""
    stacks = folder / "stacks.txt"
    _ran(
        [
            *("py-spy", "record", "--pid", str(gateway.process.pid)),
            *("--duration", str(max(1, round(seconds))), "--rate", str(HERTZ)),
            *("--format", "raw", "--output", str(stacks)),
        ]
    )
    counts: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        files = (frame.partition("(")[2].partition(":")[0] for frame in frames.split(";"))
        ours = [file for file in files if file.startswith("bff/")]
        counts[ours[-1] if ours else EVENT_LOOP] += int(count)
    return {file: count / counts.total() for file, count in counts.items()}


PROFILERS = {"perf": perf, "py-spy": py_spy}


def _ran(command: list[str]) -> str:
    program = find(command[0]) or command[0]
    pinned = ["taskset", "--cpu-list", str(LOAD_CORE), program, *command[1:]]
    ran = subprocess.run(pinned, capture_output=True, text=True, env=dict(os.environ), check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {ran.stderr[-500:]}")
    return ran.stdout


def _part(library: str) -> str:
    for part, starts in PARTS.items():
        if library.startswith(starts):
            return part
    return OTHER


def section(found: Found) -> str:
    texts = []
    if "perf" in found:
        rows = [(f"{share:.0%}", part) for part, share in _largest(found["perf"])]
        texts.append(table(("share", "spent in"), rows))
    if "py-spy" in found:
        modules = [
            (f"{share:.0%}", f"`{file}`", _what(file)) for file, share in _largest(found["py-spy"])
        ]
        texts.append(
            "By module, with what it calls outside of `bff` (system calls included):\n\n"
            + table(("share", "module", "what it is"), modules)
        )
    missing = [name for name in PROFILERS if name not in found]
    if missing:
        texts.append(f"Not installed on this machine: {', '.join(missing)}.")
    return "\n\n".join(texts) + "\n"


def _largest(shares: Found) -> list[tuple[str, float]]:
    kept = [(name, share) for name, share in shares.items() if share >= LEAST_SHARE]
    return sorted(kept, key=lambda item: -item[1])


def _what(file: str) -> str:
    """The first sentence of a module of ours about itself; nothing of one that is no more."""
    if file == EVENT_LOOP:
        return "The event loop itself: waiting, reading from sockets, llhttp."
    if not (ROOT / file).is_file():
        return ""
    text = ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].removesuffix(".") + "."
