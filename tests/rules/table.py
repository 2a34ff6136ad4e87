"""The table of security rules, read from `table.toml`."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("table.toml")


@dataclass(frozen=True, slots=True)
class Row:
    """One rule, or one advisory of a peer. `where` names the code that enforces the rule, as
    `module:object`; with `not_built` the row is out of scope, for that reason."""

    id: str
    group: str
    threat: str
    rule: str
    source: str
    where: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    not_built: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    rules: tuple[Row, ...]
    advisories: tuple[Row, ...]

    @property
    def rows(self) -> dict[str, Row]:
        return {row.id: row for row in (*self.rules, *self.advisories)}


@cache
def the_table() -> Table:
    document = tomllib.loads(FILE.read_text())
    return Table(
        tuple(row for group in document["groups"] for row in _rules(group)),
        tuple(_advisory(entry) for entry in document["advisories"]),
    )


def _rules(group: dict[str, Any]) -> Iterator[Row]:
    for entry in group["rules"]:
        given = {**entry, "where": tuple(entry.get("where", ()))}
        yield Row(group=group["title"], **given)


def _advisory(entry: dict[str, Any]) -> Row:
    return Row(
        id=entry["id"],
        group="Advisories",
        threat=entry["mechanism"],
        rule=entry.get("shown", ""),
        source=entry["system"],
        also=tuple(entry.get("also", ())),
        not_built=entry.get("not_built"),
    )
