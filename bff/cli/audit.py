"""`bff audit verify`: whether an audit log is what was written."""

import sys
from pathlib import Path

import click

from bff.audit.verification import Verification

CHANGED = 1
UNREADABLE = 2


@click.group()
def audit() -> None:
    """Look at the audit log."""


@audit.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--part", is_flag=True, help="Chains may begin before the first line and go on after the last."
)
def verify(files: tuple[Path, ...], *, part: bool) -> None:
    """Say which lines of an audit log were changed, moved, added or taken out.

    FILES in the order in which they were written: a rotated one first. `-` is standard input.

    A chain has a beginning and an end of its own. The log of a gateway that runs has no end yet,
    and one whose older files were removed no beginning: verify these with --part.

    Exit code 0: it is whole. 1: it is not. 2: a file can't be read.
    """
    verification = Verification(is_part=part)
    for file in files:
        try:
            with click.open_file(str(file), "rb") as lines:
                verification.read(str(file), lines)
        except OSError as error:
            click.echo(f"bff: {file}: {error.strerror}", err=True)
            sys.exit(UNREADABLE)
    findings = verification.finish()
    for finding in findings:
        click.echo(str(finding))
    click.echo(
        f"records: {verification.records}, chains: {verification.chains} "
        f"({verification.open_chains} without an end), events lost: {verification.lost}, "
        f"problems: {len(findings)}"
    )
    sys.exit(CHANGED if findings else 0)
