"""Every value that holds, and where it comes from. Secrets stay out of what is returned."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr, WithJsonSchema
from pydantic.fields import FieldInfo

from bff.config.frontends import frontends_of
from bff.config.load import Loaded
from bff.config.problems import KeyPath
from bff.config.sections import annotated, is_table, section_of
from bff.config.settings import Settings, model_at
from bff.config.sources.layers import SUFFIX
from bff.config.values.files import in_directory
from bff.model import DEFAULT_PROVIDER

HIDDEN = "(hidden)"
Kind = Literal["file", "environment", "secret file", "preset", "profile", "default", "derived"]


@dataclass(frozen=True, slots=True)
class Origin:
    """`source` is the name of a file, variable, preset or profile; empty for a default."""

    kind: Kind
    source: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        named = self.kind in ("secret file", "preset", "profile") or not place
        return f"{self.kind} {place}".strip() if named else place


DEFAULT = Origin("default")
DERIVED = Origin("derived")  # from other keys


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """`value` is of a type that JSON has, as a user would write it; None where nothing is set.
    `is_inherited` is for the value of a frontend that stands at the top level."""

    path: KeyPath
    value: object = field(repr=False)
    origins: tuple[Origin, ...]
    is_inherited: bool = False


def effective_values(loaded: Loaded) -> Iterator[EffectiveValue]:
    """All keys, those of one table one after the other. Of a frontend that has no routes or app of
    its own, those of the top level are not repeated."""
    return _Reader(loaded).values()


class _Reader:
    def __init__(self, loaded: Loaded) -> None:
        self._settings = loaded.settings
        self._tables = loaded.tables
        self._origins = loaded.origins
        self._directory = loaded.directory
        self._frontends = frontends_of(loaded.settings)

    def values(self) -> Iterator[EffectiveValue]:
        for name, known in Settings.model_fields.items():
            given = self._tables.get(name)
            if name == "tenants":  # what they inherit stands where it has gone to
                for key in given or {}:
                    yield self._value((name, key), given or {})
            elif is_table(known.annotation):
                if given is not None or name != "oidc":
                    yield from self._table((name,), given or {})
            elif isinstance(given, Mapping):
                for item, table in given.items():
                    yield from self._table((name, item), table)
            elif isinstance(given, list):
                for index, table in enumerate(given):
                    yield from self._table((name, index), table)

    def _table(self, path: KeyPath, given: Mapping[str, Any]) -> Iterator[EffectiveValue]:
        fields = _fields(path)
        tables = [key for key, known in fields.items() if section_of(known.annotation) is not None]
        for key in fields:
            if key not in tables:
                yield self._value((*path, key), given)
        for key in tables:  # of a frontend; in TOML they stand behind its own keys
            yield from self._of_frontend((*path, key), given.get(key))

    def _of_frontend(self, path: KeyPath, own: Any) -> Iterator[EffectiveValue]:
        """The values of one of a frontend's tables."""
        if isinstance(own, list):
            for index, table in enumerate(own):
                yield from self._table((*path, index), table)
        elif path[-1] == "spa":
            if own is not None:
                yield from self._table(path, own)
        elif path[-1] != "routes":
            yield from self._overriding(path, own or {})

    def _overriding(self, path: KeyPath, own: Mapping[str, Any]) -> Iterator[EffectiveValue]:
        name = str(path[-1])
        for key in _fields(path):
            at = (*path, key)
            of_top = self._value((name, key), self._tables.get(name, {}))
            inherited = replace(of_top, path=at, is_inherited=True)
            if key in own:
                yield self._value(at, own)
            elif key == "cookie_name":
                yield self._cookie(int(path[1]), inherited)
            else:
                yield inherited

    def _cookie(self, index: int, of_top: EffectiveValue) -> EffectiveValue:
        """The name of a frontend's cookie, which its address may decide."""
        cookie = self._frontends[index].session_cookie
        return of_top if of_top.value == cookie else EffectiveValue(of_top.path, cookie, (DERIVED,))

    def _value(self, path: KeyPath, given: Mapping[str, Any]) -> EffectiveValue:
        key = str(path[-1])
        known = _fields(path[:-1])[key]
        if given.get(key) is None:
            derived = self._derived(path)
            if derived is not None:
                return EffectiveValue(path, derived, (DERIVED,))
            default = None if known.is_required() else known.default
            return EffectiveValue(path, _shown(default, annotated(known), None), (DEFAULT,))
        value = _shown(given[key], annotated(known), self._directory)
        origins = tuple(self._origins_of(path)) or (DERIVED,)
        if given.get(key + SUFFIX) is not None:
            file = str(in_directory(given[key + SUFFIX], self._directory))
            named = self._origins_of((*path[:-1], key + SUFFIX))
            origins = (Origin("secret file", file), *named)
        return EffectiveValue(path, value, origins)

    def _derived(self, path: KeyPath) -> object:
        """What a key that is not set means, where other keys say so."""
        if path == ("session", "cookie_name") and not self._settings.frontends:
            return self._settings.cookie_name
        if path[0] == "frontends" and path[2:] == ("providers",):
            return [*self._settings.providers]
        if path[0] in ("oidc", "providers") and path[-1] == "label":
            return str(path[1]) if len(path) > 2 else DEFAULT_PROVIDER
        return None

    def _origins_of(self, path: KeyPath) -> Iterator[Origin]:
        """A table of strings may have several. A variable for a whole table hides the file."""
        if path in self._origins.tenants:
            place = self._origins.tenants[path]
            kind: Kind = "environment" if place.is_variable else "file"
            yield Origin(kind, place.source, place.line)
            return
        variables = self._origins.variables
        inner = [name for place, name in variables.items() if place[: len(path)] == path]
        outer = [variables.get(path[:length]) for length in range(1, len(path))]
        if path in self._origins.presets:
            yield Origin("preset", self._origins.presets[path])
        elif path in self._origins.profiles:
            yield Origin("profile", self._origins.profiles[path])
        elif path in self._origins.lines and path not in variables and not any(outer):
            yield Origin("file", self._origins.file, self._origins.lines[path])
        for name in inner or filter(None, outer):
            yield Origin("environment", name)


def _fields(path: KeyPath) -> Mapping[str, FieldInfo]:
    """The keys of a table that is known to exist."""
    model = model_at(path)
    if model is None:
        raise LookupError(path)
    return model.model_fields


# --- values -----------------------------------------------------------------------------------


def _shown(value: object, annotation: object, directory: Path | None) -> object:
    """A value as a user would write it, and no secret: of an address only its passwords are hidden,
    of any other secret everything."""
    kinds = _kinds(annotation)
    if value is None:
        return None
    if "secret URL" in kinds:
        return without_passwords(str(value))
    if SecretStr in kinds:
        return [HIDDEN] * len(value) if isinstance(value, list) else HIDDEN
    if kinds & {"file", "directory"}:
        if isinstance(value, list | tuple):
            return [str(in_directory(one, directory)) for one in value]
        return str(in_directory(value, directory))
    return _plain(value)


@cache
def _kinds(annotation: Any) -> frozenset[object]:
    """The types that an annotation names, at any depth, and what their schemas call them."""
    found: set[object] = {annotation} if isinstance(annotation, type) else set()
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        if isinstance(part, WithJsonSchema):
            found.add((part.json_schema or {}).get("x-kind"))
        elif not isinstance(part, str):
            found |= _kinds(part)
    return frozenset(found)


def without_passwords(url: str) -> str:
    """A URL without user, password, and all of its query that may hold one."""
    parts = urlsplit(url)
    if not parts.scheme or "://" not in url:
        return url if re.fullmatch("[a-z]+", url) else HIDDEN
    if "@" in parts.path + parts.query + parts.fragment:
        return f"{parts.scheme}://{HIDDEN}"  # of a password that was not escaped, perhaps
    credentials, mark, host = parts.netloc.rpartition("@")
    query = "&".join(one for one in parts.query.split("&") if "pass" not in one.lower())
    shown = f"{parts.scheme}://{HIDDEN + mark if credentials or mark else ''}{host}{parts.path}"
    return f"{shown}?{query}" if query else shown


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
