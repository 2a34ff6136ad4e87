"""`python -m tests.wire.fuzz`: the long form. Ends with 1 if anything was wrong.

--cases 100000      how many, half of them requests
--seed 7            instead of one by chance
--timeout 5         seconds for which a busy machine may stand still without a finding that is none
NAME ...            these cases only, as they were reported
"""

import argparse
import logging
import secrets
import sys
import time
from collections.abc import Iterator

import structlog
import uvloop

from tests.wire.fuzz.running import KINDS, name_of, play

MOST_REPORTED = 20
SAY_EVERY = 10_000


def main() -> int:
    """Play, tell, count."""
    options = argparse.ArgumentParser(prog="python -m tests.wire.fuzz")
    options.add_argument("--cases", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=secrets.randbelow(1 << 31))
    options.add_argument("--timeout", type=int, default=1)
    options.add_argument("names", nargs="*")
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wrong: list[str] = []

    def report(what: str) -> None:
        wrong.append(what)
        if len(wrong) <= MOST_REPORTED:
            _say(what)

    began = time.monotonic()
    names = iter(chosen.names) if chosen.names else _names(chosen.seed, chosen.cases)
    played = uvloop.run(play(names, report, timeout_seconds=chosen.timeout))
    seconds = time.monotonic() - began
    _say(f"{played} cases, seed {chosen.seed}, {seconds:.0f} s; {len(wrong)} findings")
    return 1 if wrong else 0


def _names(seed: int, cases: int) -> Iterator[str]:
    for number in range(cases):
        if number and number % SAY_EVERY == 0:
            _say(f"{number} cases")
        yield name_of(KINDS[number % len(KINDS)], seed, number)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
