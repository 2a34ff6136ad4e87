"""`bff sessions`: see and end sessions, through the admin listener of a running gateway."""

import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from bff.admin.selection import MOST_ON_A_PAGE, ON_A_PAGE
from bff.cli.admin_client import AdminFailed, ask_admin_now
from bff.cli.options import config_option
from bff.config import Settings
from bff.model import DEFAULT_FRONTEND

NOT_ANSWERED = 1
COLUMNS = ("ID", "SUB", "CREATED", "LAST SEEN", "EXPIRES", "ADDRESS", "CLIENT")

by_sub = click.option("--sub", help="All sessions of a user, by the OP's subject identifier.")
by_sid = click.option("--sid", help="Those that belong to one session at the OP.")
by_id = click.option("--id", "public_id", help="One session, by the id that the list shows.")
of_issuer = click.option(
    "--issuer", help="Whose sub or sid it is; by default that of the configuration."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group()
def sessions() -> None:
    """See and end sessions of a running gateway.

    Exit code 0: done. 1: the gateway or its session store did not answer. 2: the command or the
    configuration is not valid.
    """


@sessions.command("list")
@config_option
@by_sub
@by_sid
@by_id
@of_issuer
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_ON_A_PAGE),
    default=ON_A_PAGE,
    show_default=True,
    help="At most so many, where no user or session is named.",
)
@click.option("--after", help="Go on behind this id, where an earlier list was cut.")
@as_json
def list_sessions(
    settings: Settings,
    /,
    *,
    limit: int,
    after: str | None,
    as_json: bool,
    **selectors: str | None,
) -> None:
    """Show sessions: of which user, since when, from what program. All of them, a page at a time,
    unless a user or a session is named."""
    if any(value is not None for value in selectors.values()):
        if after is not None:
            raise click.UsageError("--after goes with the list of all.")
        parameters = _parameters(selectors)
    else:
        parameters = {"limit": str(limit), **({"after": after} if after else {})}
    answer = _ask(settings, "GET", parameters)
    found, after = answer.get("sessions", []), answer.get("after")
    if as_json:
        rest = {} if after is None else {"after": after}
        shown = json.dumps({"sessions": found, **rest}, indent=2)
        click.echo(shown.replace("\x7f", "\\u007f"))
    elif found:
        click.echo(table(_rows(found)))
    else:
        click.echo("No session.")
    if after is not None and not as_json:
        click.echo(f"There are more: --after {printable(str(after))}", err=True)


@sessions.command()
@config_option
@by_sub
@by_sid
@by_id
@of_issuer
@click.option("--all", "all_sessions", is_flag=True, help="The sessions of all users.")
@as_json
def revoke(
    settings: Settings, /, *, all_sessions: bool, as_json: bool, **selectors: str | None
) -> None:
    """End sessions: their users have to log in again."""
    parameters = _parameters({**selectors, "all": "true" if all_sessions else None})
    answer = _ask(settings, "DELETE", parameters)
    ended, foreign = answer.get("ended", 0), answer.get("foreign", 0)
    if as_json:
        click.echo(json.dumps({"ended": ended, "foreign": foreign}))
        return
    click.echo(f"{ended} session{'s'[: ended != 1]} ended.")
    if foreign:
        records = f"{foreign} record{'s'[: foreign != 1]}"
        click.echo(f"{records} of another gateway, client or secret left alone.")


def _parameters(selectors: Mapping[str, str | None]) -> dict[str, str]:
    given = {name: value for name, value in selectors.items() if value is not None}
    issuer = given.pop("issuer", None)
    if "public_id" in given:
        given["id"] = given.pop("public_id")
    if len(given) != 1 or not all(given.values()):
        names = " or ".join(f"--{n.replace('public_id', 'id')}" for n in selectors if n != "issuer")
        raise click.UsageError(f"Say which sessions: one of {names}.")
    if issuer is not None:
        if not given.keys() & {"sub", "sid"}:
            raise click.UsageError("--issuer goes with --sub or --sid.")
        given["issuer"] = issuer
    return given


def _ask(settings: Settings, method: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    try:
        return ask_admin_now(settings.server.admin_listen, method, "/sessions", parameters)
    except AdminFailed as error:
        click.echo(f"bff: {printable(str(error))}", err=True)
        sys.exit(NOT_ANSWERED)


def _rows(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The frontend stands in a column of its own where there are others than the default one."""
    rows = [COLUMNS, *map(_row, found)]
    if {one.get("frontend") for one in found} <= {DEFAULT_FRONTEND}:
        return rows
    names = ["FRONTEND", *(printable(str(one.get("frontend", ""))) for one in found)]
    return [(*row[:1], name, *row[1:]) for row, name in zip(rows, names, strict=True)]


def _row(session: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        printable(str(session.get("id", ""))),
        printable(str(session.get("sub", ""))),
        *(_time(session.get(name)) for name in ("created_at", "last_seen_at", "expires_at")),
        printable(str(session.get("address") or "-")),
        printable(str(session.get("client") or "")),
    )


def _time(epoch_seconds: object) -> str:
    if not isinstance(epoch_seconds, int):
        return "?"
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor: some of it comes from elsewhere."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
