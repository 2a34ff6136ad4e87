"""`bff config show`: every value that holds, and where it comes from."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from bff.cli.options import config_file_option, existing_file, loaded_or_exit
from bff.config.effective import EffectiveValue, Origin, effective_values
from bff.config.problems import KeyPath, dotted
from bff.config.reference import toml_value

_WIDEST = 60  # past it a comment stands where its value ends


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@config_file_option
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def show(file: Path | None, *, keys: Sequence[str], as_json: bool) -> None:
    """Print every value that holds, and where it comes from: the file and line, the environment
    variable, the secret's file, the preset, the profile, or the default. Secrets are hidden.

    With KEY only those of a key or table, as --json names them: session, routes[0].path,
    frontends[1].

    The output is TOML for people, and no file to start from: the defaults of a later version may
    be others. Nothing is asked but the files that the configuration names.

    Exit code 0: the configuration is valid. 2: it is not.
    """
    values = list(effective_values(loaded_or_exit(existing_file(file))))
    for key in keys:
        if not any(_is_within(value, key) for value in values):
            raise click.BadParameter(f"there is no value {key!r}", param_hint="KEY")
    if keys:
        values = [value for value in values if any(_is_within(value, key) for key in keys)]
    if as_json:
        document = {dotted(value.path): _json_of(value) for value in values}
        click.echo(json.dumps(document, indent=2))
        return
    for line in _toml_lines(values):
        click.echo(line)


def _is_within(value: EffectiveValue, key: str) -> bool:
    """Whether it is the value of a key, or one of a table or array."""
    rest = dotted(value.path).removeprefix(key)
    return len(rest) < len(dotted(value.path)) and rest[:1] in ("", ".", "[")


def _json_of(value: EffectiveValue) -> dict[str, Any]:
    origins = [_json_of_origin(origin) for origin in value.origins]
    return {"value": value.value, "origins": origins, "inherited": value.is_inherited}


def _json_of_origin(origin: Origin) -> dict[str, Any]:
    members = {"kind": origin.kind, "source": origin.source, "line": origin.line}
    return {name: member for name, member in members.items() if member not in (None, "")}


def _toml_lines(values: Iterable[EffectiveValue]) -> Iterator[str]:
    for index, (table, group) in enumerate(groupby(values, lambda value: value.path[:-1])):
        if index:
            yield ""
        yield _header(table)
        rows = [(_assignment(value), _comment(value)) for value in group]
        width = max((len(text) for text, _ in rows if len(text) <= _WIDEST), default=0)
        for text, comment in rows:
            yield f"{text:<{width}}  # {comment}" if comment else text


def _header(table: KeyPath) -> str:
    name = ".".join(part for part in table if isinstance(part, str))
    return f"[[{name}]]" if isinstance(table[-1], int) else f"[{name}]"


def _assignment(value: EffectiveValue) -> str:
    if value.value is None:
        return f"# {value.path[-1]} is not set"
    return f"{value.path[-1]} = {toml_value(value.value)}"


def _comment(value: EffectiveValue) -> str:
    """One line, whatever a file is called; empty for what is not set."""
    if value.value is None:
        return ""
    text = ", ".join(map(str, value.origins))
    shown = f"top level: {text}" if value.is_inherited else text
    return shown if shown.isprintable() else ascii(shown)
