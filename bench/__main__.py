"""`python -m bench`: the gateway next to its peers, on this machine."""

import time
from collections.abc import Collection

import click

from bench import machine, results
from bench.cases.all import CASES
from bench.neighbours import Neighbours
from bench.peers.all import not_installed
from bench.report import DOCUMENT, PICTURE, document, picture, targets
from bench.sampling import Bench
from bench.scale import FULL, QUICK, Scale
from bench.site import running_site

NEEDED = ("wrk", "nginx", "redis-server", "taskset")
NAMES = [case.NAME for case in CASES]


@click.command()
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="This case; repeatable.")
@click.option("--quick", is_flag=True, help="One short round: does it work?")
@click.option("--write", is_flag=True, help=f"Write docs/{DOCUMENT.name} from what is measured.")
@click.option("--report", is_flag=True, help="Measure nothing; show what was measured before.")
def main(*, only: tuple[str, ...], quick: bool, write: bool, report: bool) -> None:
    """Measure, and print the figures."""
    scale = QUICK if quick else FULL
    if quick and write:
        raise click.UsageError("figures of --quick are not fit to be written down")
    failed = [] if report else measure(only or tuple(NAMES), scale)
    everything = {name: kept for name in NAMES if (kept := results.kept(name, scale.name))}
    found = {name: kept["found"] for name, kept in everything.items()}
    for case in CASES:
        if case.NAME in (only or NAMES) and case.NAME in found:
            click.echo(f"\n## {case.TITLE}\n\n{case.section(found[case.NAME])}")
    click.echo(f"\n## Targets\n\n{targets(found)}")
    if write:
        DOCUMENT.write_text(document(everything, scale.rounds))
        chart = picture(found)
        if chart is not None:
            PICTURE.write_text(chart)
    if failed:
        raise SystemExit(f"bench: failed: {', '.join(failed)}")


def measure(names: Collection[str], scale: Scale) -> list[str]:
    """Run these cases, and keep what each has found; the names of those that failed.

    Raises:
        SystemExit: something without which nothing can be measured is not installed.
    """
    lacking = [name for name in NEEDED if machine.find(name) is None]
    if lacking:
        raise SystemExit(f"bench: not installed: {', '.join(lacking)}")
    for title, lack in not_installed().items():
        click.echo(f"not measured: {title} ({lack} is not installed)", err=True)
    machine.stay_on_load_core()
    machine.allow_many_files()
    where = machine.describe()
    click.echo(where, err=True)
    failed: list[str] = []
    with running_site() as site:
        for case in CASES:
            if case.NAME not in names:
                continue
            began_at, neighbours = time.monotonic(), Neighbours()
            try:
                found = case.run(Bench(site, scale))
            except Exception as error:  # noqa: BLE001 - the others are still worth their time
                click.echo(f"{case.NAME}: {type(error).__name__}: {error}", err=True)
                failed.append(case.NAME)
                continue
            others = neighbours.share()
            results.keep(case.NAME, found, scale=scale.name, where=where, others=others)
            seconds = time.monotonic() - began_at
            click.echo(f"{case.NAME}: {seconds:.0f} s, others used {others:.0%}", err=True)
    return failed


if __name__ == "__main__":
    main()
