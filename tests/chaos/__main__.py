"""`python -m tests.chaos`: the long form of every scenario, as a table."""

import asyncio
import dataclasses
import os
import platform
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.chaos.document import DOCUMENT, document
from tests.chaos.installation import Installation
from tests.chaos.report import Row, table
from tests.chaos.run import run
from tests.chaos.scenarios import LONG, SCENARIOS, SHORT, Scale, Scenario


@click.command()
@click.option("--short", is_flag=True, help="The size that the tests use.")
@click.option("--only", multiple=True, help="Scenarios whose name contains this.")
@click.option("--seconds", type=float, help="How long each scenario's load lasts.")
@click.option("--users", type=int, help="How many users there are.")
@click.option("--write", is_flag=True, help=f"Put the table into docs/{DOCUMENT.name}.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the processes' logs here.")
def main(
    *,
    short: bool,
    only: tuple[str, ...],
    seconds: float | None,
    users: int | None,
    write: bool,
    keep: Path | None,
) -> None:
    """Break everything, one thing at a time, and count what the users saw."""
    scale = SHORT if short else LONG
    if seconds is not None:
        scale = dataclasses.replace(scale, seconds=seconds)
    if users is not None:
        scale = dataclasses.replace(scale, users=users)
    chosen = [s for s in SCENARIOS if not only or any(part in s.name for part in only)]
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    rows = asyncio.run(run_all(chosen, scale, keep))
    click.echo(table(rows))
    if write:
        DOCUMENT.write_text(document(rows, scale, machine(), datetime.now(UTC).date()))
    if any(found.avoidable or found.tally.foreign for found in rows):
        raise SystemExit("logins were lost that could have been kept, or answers went astray")


async def run_all(scenarios: list[Scenario], scale: Scale, keep: Path | None) -> list[Row]:
    """Each with an installation of its own."""
    rows = []
    for scenario in scenarios:
        directory = Path(tempfile.mkdtemp(prefix="bff-chaos-", dir=keep))
        found = await run_alone(scenario, scale, directory, explain=keep is not None)
        if keep is None:
            shutil.rmtree(directory)
        click.echo(f"{scenario.name}: {dict(found.tally.statuses)}", err=True)
        rows.append(found)
    return rows


async def run_alone(scenario: Scenario, scale: Scale, directory: Path, *, explain: bool) -> Row:
    installation = Installation(
        scenario.topology(),
        directory,
        users=scale.users,
        access_token_seconds=scale.access_token_seconds,
    )
    try:
        await installation.start()
        found = await run(installation, scenario, scale)
    finally:
        await installation.stop()
    if explain:
        _explain(found, directory)
    return found


def machine() -> str:
    """In words: processor, cores, what else it was doing."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.partition(": ")[2] for line in lines if line.startswith("model name")}
    busy = os.getloadavg()[2]
    return (
        f"{', '.join(sorted(names)) or platform.machine()}, {os.cpu_count()} cores for everything, "
        f"load average {busy:.1f} over the last quarter of an hour, "
        f"Python {platform.python_version()}"
    )


def _explain(found: Row, directory: Path) -> None:
    """What went wrong when, beside the processes' logs."""
    lines = [f"faults {found.faults_at}"]
    lines += [f"{began:.3f} {end - began:6.2f} s {kind}" for began, end, kind in found.troubles]
    lines += [str(refresh) for refresh in found.ledger]
    (directory / "troubles.txt").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
