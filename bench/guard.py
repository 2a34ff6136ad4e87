"""`python -m bench.guard`: has an API call become more expensive?

Compares instructions per call with those that are kept in `guard.json` for this build of Python. A
count, not a time: the machine may be as slow as it likes.
"""

import json
import platform
from collections.abc import Mapping
from pathlib import Path

import click

from bench import instructions
from bench.peers.gateway import Gateway
from bench.site import running_site

KEPT = Path(__file__).with_name("guard.json")
MOST_GROWTH = 0.03

Counts = Mapping[str, float]
"""Instructions per call, by the title of the call."""


def build_of_python() -> str:
    """What the count depends on beside the code: another build has another number."""
    _, built = platform.python_build()
    return f"{platform.python_version()} {platform.machine()}, built {built}"


def complaints(kept: Counts, counted: Counts) -> list[str]:
    """What has grown by more than is allowed; empty when nothing has."""
    return [
        f"{title}: {counted[title]:,.0f} instructions, {counted[title] / before - 1:+.1%}"
        f" against {before:,.0f}; at most {MOST_GROWTH:+.0%} is allowed"
        for title, before in kept.items()
        if counted[title] > before * (1 + MOST_GROWTH)
    ]


@click.command()
@click.option("--write", is_flag=True, help="Keep what is counted as the number to compare with.")
def main(*, write: bool) -> None:
    """Count, and compare."""
    if lack := instructions.missing():
        raise SystemExit(f"bench: not installed: {lack}")
    build = build_of_python()
    everything: dict[str, dict[str, int]] = json.loads(KEPT.read_text())
    with running_site() as site:
        counted = instructions.count(Gateway(cores=None), site, instructions.CALLS)
    for title, found in counted.items():
        click.echo(f"{title}: {found:,.0f} instructions per call under Python {build}")
    if write:
        everything[build] = {title: round(found) for title, found in counted.items()}
        KEPT.write_text(json.dumps(everything, indent=2, sort_keys=True) + "\n")
        return
    kept = everything.get(build)
    if kept is None:
        click.echo("No number is kept for this build of Python: nothing was compared. Keep one:")
        click.echo("  make benchguard GUARD_ARGS=--write")
        return
    if grown := complaints(kept, counted):
        raise SystemExit("bench: an API call has become more expensive\n" + "\n".join(grown))


if __name__ == "__main__":
    main()
