"""`python -m tests.fuzz [target ...]`: the long form, as a table. Ends with 1 if anything is wrong.

--cases 200000      how many for each target
--seed 7            instead of one by chance
--replay FILE       one case only, a file like those in tests/fuzz/regressions
"""

import secrets
import sys
from pathlib import Path

import click

from tests.fuzz.everything import all_targets
from tests.fuzz.growth import too_much_time
from tests.fuzz.regressions import read
from tests.fuzz.running import Found, Row, fuzz, judged

MOST_SHOWN = 4000
HEAD = ("target", "cases", "accepted", "refused", "findings", "seconds", "seed")


@click.command()
@click.argument("names", metavar="[TARGET]...", nargs=-1, type=click.Choice(list(all_targets())))
@click.option("--cases", type=click.IntRange(min=1), default=200_000, show_default=True)
@click.option("--seed", type=int, help="Instead of one by chance.")
@click.option("--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(*, names: tuple[str, ...], cases: int, seed: int | None, replay: Path | None) -> None:
    """Feed every target with generated and mutated input; print what is wrong, and a table."""
    if replay is not None:
        sys.exit(_replay(replay))
    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    click.echo(_line(HEAD))
    findings = 0
    for name, target in all_targets().items():
        if names and name not in names:
            continue
        row = fuzz(target, chosen, cases)
        for steep in too_much_time(target):
            row.add(Found(b"", f"grows too fast with {steep}"))
        click.echo(_line(_columns(row)))
        for found in row.kept:
            _show(name, found)
        findings += row.findings
    sys.exit(1 if findings else 0)


def _replay(file: Path) -> int:
    name, case = read(file)
    found = judged(all_targets()[name], case)
    if isinstance(found, Found):
        _show(name, found)
        return 1
    click.echo(f"{name}: {'accepted' if found else 'refused'}, as it should be")
    return 0


def _show(name: str, found: Found) -> None:
    click.echo(f"  {name}: {found.what}\n    {found.case!r}"[:MOST_SHOWN])


def _columns(row: Row) -> tuple[str, ...]:
    counts = (row.cases, row.accepted, row.refused, row.findings)
    return (row.name, *map(str, counts), f"{row.seconds:.0f}", str(row.seed))


def _line(columns: tuple[str, ...]) -> str:
    first, *rest = columns
    return f"{first:<14}" + "".join(f"{column:>11}" for column in rest)


if __name__ == "__main__":
    main()
