"""Environment over file: what happens when both speak of the same key."""

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from bff.config.problems import Fault, KeyPath
from bff.config.secret_files import SUFFIX


def overlay(
    tables: Mapping[str, object], values: Mapping[KeyPath, object]
) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A copy of the tables with the values put in, and those that found no place."""
    result: dict[str, Any] = copy.deepcopy(dict(tables))
    faults = tuple(
        Fault(path, "comes after a gap: routes are numbered from 0, in order")
        for path in sorted(values, key=_outer_first)
        if not _put(result, path, values[path])
    )
    _drop_counterparts(result, values)
    return result, faults


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
        if len(path) == 2 and (*path[:-1], other) not in values:
            table = tables.get(str(path[0]))
            if isinstance(table, dict):
                table.pop(other, None)
