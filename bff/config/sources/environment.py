"""Environment variables as configuration: `BFF_` and the key's path, joined by `__`.

A variable that starts with `BFF_` and names no key is a problem: a typing error in
`BFF_SERVER__TRUSTED_PROXIES` must not go unnoticed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, get_args, get_origin

from bff.config.problems import KeyPath, Problem, dotted, suggestion
from bff.config.sections import Section, is_table, section_of, without_none
from bff.config.settings import Settings, inner
from bff.config.sources.toml_lines import require_shallow

PREFIX = "BFF_"
PREDECESSOR_VARIABLE = "BFF_PREDECESSOR"  # set by a running gateway for the one that replaces it
# Read by the command line.
RESERVED = frozenset({"BFF_CONFIG", "BFF_INITIAL_ACCESS_TOKEN", PREDECESSOR_VARIABLE})

# What Kubernetes sets in every pod for Services called "bff" or "bff-...".
_SERVICE_LINK = re.compile(
    r"BFF_(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*"
    r"|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
_INDEX = re.compile(r"0|[1-9][0-9]{0,2}")
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the environment says: values by key, the variable of each, and what is wrong."""

    values: Mapping[KeyPath, object] = field(repr=False)
    names: Mapping[KeyPath, str]
    problems: tuple[Problem, ...] = ()


def variable_of(path: KeyPath) -> str:
    """`("server", "public_url")` as `BFF_SERVER__PUBLIC_URL`."""
    return PREFIX + "__".join(str(part).upper() for part in path)


def read_environment(environ: Mapping[str, str]) -> Overlay:
    """Every variable that starts with `BFF_`, read as the type of the key that it names."""
    values: dict[KeyPath, object] = {}
    names: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in RESERVED or _SERVICE_LINK.fullmatch(name):
            continue
        found = _find(name)
        if found is None:
            problems.append(Problem("", _why_unknown(name), source=name))
            continue
        path, annotation = found
        names[path] = name
        try:
            values[path] = _read(annotation, environ[name])
        except ValueError as error:
            problems.append(Problem(dotted(path), str(error), source=name))
    return Overlay(values, names, tuple(problems))


def _find(name: str) -> tuple[KeyPath, object] | None:
    """The key behind a variable and the type of its value."""
    path: KeyPath = ()
    annotation: object = Settings
    for word in name.removeprefix(PREFIX).split("__"):
        step = _step(annotation, word) if word == word.upper() else None
        if step is None:
            return None
        part, annotation = step
        path = (*path, part)
    return None if is_table(annotation) else (path, annotation)


def _step(annotation: object, word: str) -> tuple[str | int, object] | None:
    """What one word of a variable's name leads to."""
    key = word.lower()
    container = get_origin(annotation)
    if container is tuple and not _INDEX.fullmatch(word):
        return None
    part = int(word) if container is tuple else key
    found = inner(annotation, part)
    if found is None and container is dict and key and section_of(annotation) is None:
        found = str  # a table of strings
    return (part, found) if found is not None else None


def _why_unknown(name: str) -> str:
    known = tuple(_variables(Settings, (), name.removeprefix(PREFIX).split("__")))
    inside = [other for other in known if other.startswith(f"{name}__")]
    if inside:
        return f"names a table; set its keys one by one, such as {inside[0]}"
    return "names no key" + suggestion(name, known)


def _variables(model: type[Section], path: KeyPath, words: Sequence[str]) -> Iterator[str]:
    """All there are. Of several tables those that `words` speak of."""
    for name, known in model.model_fields.items():
        section, at = section_of(known.annotation), (*path, name)
        if section is None or not is_table(known.annotation):
            yield variable_of(at)
        if section is None:
            continue
        if is_table(known.annotation):
            yield from _variables(section, at, words)
            continue
        item = words[len(at)] if len(words) > len(at) else ""
        if get_origin(known.annotation) is tuple:
            index = int(item) if _INDEX.fullmatch(item) else 0
            yield from _variables(section, (*at, index), words)
        else:
            yield from _variables(section, (*at, item or "name"), words)


def _read(annotation: object, text: str) -> object:
    """A variable's text as a value of the key's type; what it is not stays text, for pydantic."""
    kind = _plain(annotation)
    if get_origin(kind) is dict:
        return _json(text, dict, "a JSON object")
    if section_of(kind) is not None:
        return _json(text, list, "a JSON array of objects")
    if get_origin(kind) is tuple:
        return _list(text)
    if kind is bool:
        return _SWITCH.get(text.lower(), text)
    if kind is int and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if kind is Path and text:
        return Path(text).absolute()  # unlike those of the file, which start at its directory
    return text


def _plain(annotation: object) -> object:
    """The type inside `Annotated[...]` and `... | None`."""
    kind = without_none(annotation)
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    return kind


def _list(text: str) -> object:
    """`a, b` or a JSON array; an empty text is an empty list."""
    if text.lstrip().startswith("["):
        return _json(text, list, "a JSON array, or values with commas between")
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _json(text: str, kind: type, wanted: str) -> object:
    try:
        value = json.loads(text)
        require_shallow(value)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"must be {wanted}") from None
    return value
