"""Environment variables as configuration: `BFF_` and the key's path, joined by `__`.

A variable that starts with `BFF_` and names no key is a problem: a typing error in
`BFF_SERVER__TRUSTED_PROXIES` must not go unnoticed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from bff.config.problems import KeyPath, Problem, dotted, suggestion
from bff.config.sections import Section, section_of
from bff.config.settings import Settings

PREFIX = "BFF_"
RESERVED = frozenset({"BFF_CONFIG", "BFF_INITIAL_ACCESS_TOKEN"})  # read by the command line

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
    return None if _is_table(annotation) else (path, annotation)


def _step(annotation: object, word: str) -> tuple[str | int, object] | None:
    key = word.lower()
    if isinstance(annotation, type) and issubclass(annotation, Section):
        known = annotation.model_fields.get(key)
        return (key, known.annotation) if known is not None else None
    if section_of(annotation) is not None and _INDEX.fullmatch(word):
        return int(word), section_of(annotation)
    if get_origin(annotation) is dict and key:
        return key, str
    return None


def _is_table(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _why_unknown(name: str) -> str:
    index = re.match(r"BFF_ROUTES__([0-9]+)", name)
    known = tuple(_variables(Settings, (), index=int(index[1]) if index else 0))
    inside = [other for other in known if other.startswith(f"{name}__")]
    if inside:
        return f"names a table; set its keys one by one, such as {inside[0]}"
    return "names no key" + suggestion(name, known)


def _variables(model: type[Section], path: KeyPath, *, index: int) -> Iterator[str]:
    for name, known in model.model_fields.items():
        section = section_of(known.annotation)
        if section is None:
            yield variable_of((*path, name))
        elif _is_table(known.annotation):
            yield from _variables(section, (*path, name), index=index)
        else:
            yield variable_of((*path, name))
            yield from _variables(section, (*path, name, index), index=index)


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
    inner = [arg for arg in get_args(annotation) if arg is not type(None)]
    origin = get_origin(annotation)
    if origin is Annotated or (origin in {Union, UnionType} and len(inner) == 1):
        return _plain(inner[0])
    return annotation


def _list(text: str) -> object:
    """`a, b` or a JSON array; an empty text is an empty list."""
    if text.lstrip().startswith("["):
        return _json(text, list, "a JSON array, or values with commas between")
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _json(text: str, kind: type, wanted: str) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"must be {wanted}") from None
    return value
