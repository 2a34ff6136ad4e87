"""`python -m tests.abuse [scenario ...]`: the long form, as a table."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from bench.machine import allow_many_files
from tests.abuse.report import DOCUMENT, document, table
from tests.abuse.scenario import LONG, SHORT, Row, Scale, Scenario, run
from tests.abuse.scenarios import SCENARIOS
from tests.abuse.site import a_site
from tests.chaos.__main__ import machine


@click.command()
@click.argument("names", nargs=-1, metavar="[SCENARIO ...]")
@click.option("--short", is_flag=True, help="The size that the tests use.")
@click.option("--write", is_flag=True, help=f"Put the table into docs/{DOCUMENT.name}.")
def main(*, names: tuple[str, ...], short: bool, write: bool) -> None:
    """Treat a gateway badly, in each way there is or in those whose name contains SCENARIO."""
    allow_many_files()
    scale = SHORT if short else LONG
    chosen = [s for s in SCENARIOS if not names or any(name in s.name for name in names)]
    rows = asyncio.run(run_all(chosen, scale))
    click.echo(table(rows))
    if write:
        DOCUMENT.write_text(document(rows, scale, machine(), datetime.now(UTC).date()))
    broken = [f"{row.scenario}: {rule}" for row in rows for rule in row.broken]
    if broken:
        raise SystemExit("\n".join(broken))


async def run_all(scenarios: Sequence[Scenario], scale: Scale) -> list[Row]:
    """Each with an installation of its own."""
    rows = []
    for scenario in scenarios:
        async with a_site(scale.max_connections, scale.patience_seconds) as site:
            row = await run(scenario, site, scale)
        click.echo(f"{row.scenario}: {row.memory.in_mib()} MiB; {row.visits}", err=True)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
