"""How the sources are laid over each other: the environment over the file, the content of `*_file`
keys in the place of the key itself, presets and profiles under everything; and where each key was
given.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_origin

from bff.config.problems import Fault, KeyPath, Place, Problem
from bff.config.sections import Section, is_table, section_of
from bff.config.sections.providers import ProviderSettings
from bff.config.settings import Settings, inner, keys_at
from bff.config.values.files import in_directory, read_text
from bff.oidc.presets import preset_defaults
from bff.oidc.profiles import profile_defaults

SUFFIX = "_file"


def secret_keys(model: type[Section]) -> Iterator[str]:
    """The keys of a section that may also come from a file."""
    for name in model.model_fields:
        if name + SUFFIX in model.model_fields:
            yield name


def read_secret_files(
    tables: dict[str, Any], directory: Path | None
) -> tuple[tuple[Fault, ...], frozenset[KeyPath]]:
    """Put the contents into the tables. Also returns the keys whose file could not be read."""
    faults: list[Fault] = []
    unread: set[KeyPath] = set()
    for path, model, table in _tables(Settings, (), tables):
        for key in secret_keys(model):
            if table.get(key + SUFFIX) is None:
                continue
            try:
                _fill(model, table, key, directory)
            except ValueError as error:
                unread.add((*path, key))
                faults.append(Fault((*path, key + SUFFIX), str(error)))
    return tuple(faults), frozenset(unread)


def _tables(
    annotation: object, path: KeyPath, value: object
) -> Iterator[tuple[KeyPath, type[Section], dict[str, Any]]]:
    """Every table that is given, at any depth."""
    section = section_of(annotation)
    if section is None:
        return
    if is_table(annotation) and isinstance(value, dict):
        yield path, section, value
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        items = list(value.items())  # files that are read are added to it meanwhile
    elif isinstance(value, list):
        items = enumerate(value)
    for part, item in items:
        yield from _tables(inner(annotation, part), (*path, part), item)


def _fill(model: type[Section], table: dict[str, Any], key: str, directory: Path | None) -> None:
    if key in table:
        raise ValueError(f"must not be given together with {key}")
    text = read_text(in_directory(table[key + SUFFIX], directory))
    is_list = get_origin(model.model_fields[key].annotation) is tuple
    table[key] = [line for line in text.splitlines() if line] if is_list else text.rstrip("\r\n")


def overlay(
    tables: Mapping[str, object], values: Mapping[KeyPath, object]
) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A copy of the tables with the values put in, and those that found no place."""
    result: dict[str, Any] = copy.deepcopy(dict(tables))
    faults = tuple(
        Fault(path, f"comes after a gap: {path[0]} are numbered from 0, in order")
        for path in sorted(values, key=_outer_first)
        if not _put(result, path, values[path])
    )
    _drop_counterparts(result, values)
    return result, faults


def replace_keys(tables: dict[str, Any], instead: Mapping[KeyPath, object | None]) -> None:
    """Put the values in the place of those that are there; None takes a key out."""
    for path, value in instead.items():
        _put(tables, path, value)
        if value is None:
            table: object = tables
            for part in path[:-1]:
                table = table.get(str(part)) if isinstance(table, dict) else None
            if isinstance(table, dict):
                table.pop(str(path[-1]), None)


def fill_in_defaults(
    tables: dict[str, Any],
) -> tuple[Mapping[KeyPath, str], Mapping[KeyPath, str]]:
    """Put the values of each provider's preset and profile where the sources say nothing. Returns
    the preset's name for each key that it set, and the profile's."""
    presets: dict[KeyPath, str] = {}
    profiles: dict[KeyPath, str] = {}
    for path, model, table in list(_tables(Settings, (), tables)):
        if model is ProviderSettings:
            for key, value in preset_defaults(table).items():
                table[key] = value
                presets[*path, key] = table["preset"]
            for key, value in profile_defaults(table).items():
                table[key] = value
                profiles[*path, key] = table["profile"]
    return presets, profiles


def _outer_first(path: KeyPath) -> tuple[int, list[str]]:
    return len(path), [str(part).zfill(4) for part in path]


def _put(tables: dict[str, Any], path: KeyPath, value: object) -> bool:
    """Set one value, making tables on the way. False for an index beyond the end."""
    at: Any = tables
    for part, following in pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            if part > len(at):
                return False
            if part == len(at):
                at.append(empty)
            at = at[part]
        else:
            at = at.setdefault(part, empty)
        if not isinstance(at, type(empty)):
            return True  # not a table where one belongs: validation says so
    at[path[-1]] = value
    return True


def _drop_counterparts(tables: dict[str, Any], values: Mapping[KeyPath, object]) -> None:
    """A secret from the environment replaces the file's `*_file`, and the other way round."""
    for path in values:
        key = str(path[-1])
        other = key.removesuffix(SUFFIX) if key.endswith(SUFFIX) else key + SUFFIX
        if other in keys_at(path[:-1]) and (*path[:-1], other) not in values:
            table: Any = tables
            with suppress(LookupError, TypeError):  # not a table where one belongs
                for part in path[:-1]:
                    table = table[part]
                table.pop(other, None)


@dataclass(frozen=True, slots=True)
class Origins:
    """`lines` are those of the file, `variables`, `presets` and `profiles` the names by key; the
    file may be absent. `tenants` are the places of keys that come from tenants."""

    file: str
    lines: Mapping[KeyPath, int]
    variables: Mapping[KeyPath, str]
    presets: Mapping[KeyPath, str] = field(default_factory=dict)
    profiles: Mapping[KeyPath, str] = field(default_factory=dict)
    tenants: Mapping[KeyPath, Place] = field(default_factory=dict)

    def place_of(self, path: KeyPath) -> Place:
        """The nearest that is known: of the key, its table, the file."""
        written = self._as_written(path)
        for length in range(len(path), 0, -1):
            name, rest = path[length - 1], path[length:]
            for spelled in (name, f"{name}{SUFFIX}"):
                known = (*path[: length - 1], spelled)
                if known in self.tenants:
                    place = self.tenants[known]
                    inner = written[length:] if len(written) >= length else rest
                    own = place.path if spelled == name else (*place.path[:-1], name)
                    return replace(place, path=(*own, *inner))
                if known in self.variables:
                    return Place(self.variables[known], None, written, is_variable=True)
                if known in self.lines:
                    return Place(self.file, self.lines[known], written)
        return Place(self.file, None, written)

    def locate(self, fault: Fault) -> Problem:
        """The problem at the nearest place that is known."""
        return self.place_of(fault.path).problem(fault.message)

    def _as_written(self, path: KeyPath) -> KeyPath:
        """Without the index that a single value got when it was made a list of one."""
        is_single = not self._is_known(path) and self._is_known(path[:-1])
        return path[:-1] if is_single and isinstance(path[-1], int) else path

    def _is_known(self, path: KeyPath) -> bool:
        return path in self.lines or path in self.tenants
