"""The one way to settings: read the file, lay the environment over it, validate, or report every
problem at once. Nothing is fetched; of the file system, only what the configuration names is read.

Pydantic judges each key by itself; `rules` judges what must hold between keys, on the keys that are
valid. The texts are the gateway's own: those of pydantic may repeat the input.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bff.config.frontends import with_public_url
from bff.config.problems import ConfigError, Fault, KeyPath, Problem, suggestion, syntax_problem
from bff.config.rules import broken_rules
from bff.config.rules.frontends import broken_frontends, misplaced_keys
from bff.config.sections import Section, annotated, is_table, partial, section_of
from bff.config.settings import Settings, keys_at
from bff.config.sources.environment import read_environment, variable_of
from bff.config.sources.layers import (
    Origins,
    fill_in_defaults,
    overlay,
    read_secret_files,
    replace_keys,
)
from bff.config.sources.tenants import expand_tenants
from bff.config.sources.toml_lines import read_toml
from bff.config.values.files import read_text, require_certificates
from bff.model import DEFAULT_PROVIDER

MAX_FILE_BYTES = 16 * 1024 * 1024  # thousands of frontends


@dataclass(frozen=True, slots=True)
class _File:
    tables: Mapping[str, object] = field(default_factory=dict, repr=False)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    problem: Problem | None = None


NOTHING: Mapping[KeyPath, object | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what they were made of. `tables` hold what the sources say, secrets read from
    their files, and what presets and profiles add; relative files start at `directory`."""

    settings: Settings
    tables: Mapping[str, Any] = field(repr=False)
    origins: Origins
    directory: Path | None


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    instead: Mapping[KeyPath, object | None] = NOTHING,
) -> Settings:
    """Settings from a TOML file, if one is given, and `BFF_*` variables, which win.

    `instead` wins over both; a key that is None there counts as not given.

    Raises:
        ConfigError: with every problem that could be found.
    """
    return load_with_origins(path, environ, instead=instead).settings


def load_with_origins(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    instead: Mapping[KeyPath, object | None] = NOTHING,
) -> Loaded:
    """As `load`."""
    file = _File() if path is None else _read_file(path)
    environment = read_environment(environ)
    if file.problem is not None:
        raise ConfigError((file.problem, *environment.problems))

    directory = None if path is None else path.parent
    tables, misplaced = overlay(file.tables, environment.values)
    replace_keys(tables, instead)
    origins = Origins("" if path is None else str(path), file.lines, environment.names)
    tenants = expand_tenants(tables, directory, origins.place_of)
    if not tenants.is_whole:
        located = map(origins.locate, misplaced)
        raise _refusal((*tenants.problems, *located, *environment.problems), str(path))
    unreadable, unread = read_secret_files(tables, directory)
    presets, profiles = fill_in_defaults(tables)
    result = validate(tables, directory)

    faults = (*misplaced, *unreadable)
    if not isinstance(result, Settings):
        # A key whose text could not be read is not missing as well.
        left_out = (
            unread | tenants.left_out | (environment.names.keys() - environment.values.keys())
        )
        faults += tuple(fault for fault in result if fault.path not in left_out)
    origins = replace(origins, presets=presets, profiles=profiles, tenants=tenants.places)
    faults = tuple(
        _without_variable(one) if one.path[:2] in tenants.places else one for one in faults
    )
    problems = (*tenants.problems, *map(origins.locate, faults), *environment.problems)
    if problems or not isinstance(result, Settings):
        raise _refusal(problems, str(path))
    return Loaded(result, tables, origins, directory)


def _refusal(problems: Iterable[Problem], main: str) -> ConfigError:
    """Each once: what tenants inherit is judged for each of them."""
    return ConfigError(sorted(dict.fromkeys(problems), key=_reading_order(main)))


def _read_file(path: Path) -> _File:
    try:
        text = read_text(path, most_bytes=MAX_FILE_BYTES)
        return _File(*read_toml(text))
    except tomllib.TOMLDecodeError as error:
        return _File(problem=syntax_problem(str(error), str(path)))
    except ValueError as error:
        return _File(problem=Problem("", str(error), source=str(path)))


def _without_variable(fault: Fault) -> Fault:
    """No variable sets a key of a tenant."""
    variable = variable_of(fault.path)
    message = fault.message.removesuffix(f" or {variable}")
    return replace(fault, message=message.removesuffix(f"; it may also be set as {variable}"))


def _reading_order(main: str) -> Callable[[Problem], tuple[bool, str, int]]:
    """Those with a line first: of the main file, then of the others."""

    def order(problem: Problem) -> tuple[bool, str, int]:
        source = "" if problem.source == main else problem.source
        return problem.line is None, source, problem.line or 0

    return order


_MESSAGES = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "tuple_type": "must be an array",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}


def validate(raw: Mapping[str, object], directory: Path | None) -> Settings | tuple[Fault, ...]:
    """Frozen settings, or all the faults. Relative paths start at `directory`."""
    misplaced = tuple(misplaced_keys(raw))
    raw = with_public_url(raw)
    required = [name for name, known in Settings.model_fields.items() if known.is_required()]
    if not raw.get("providers"):
        required.append("oidc")
    tables = {name: {} for name in required} | dict(raw)
    context = {"directory": directory, "require_certificates": cache(require_certificates)}
    faults: list[Fault] = [*misplaced]
    try:
        settings = Settings.model_validate(tables, context=context)
    except ValidationError as error:
        faults += (_fault(detail) for detail in error.errors(include_url=False))
        settings = _valid_part(Settings, tables, context)
    faults += broken_rules(settings)
    if "oidc" in raw and "providers" in raw:
        faults.append(Fault(("providers",), _TWO_FORMS))
    if faults:
        return tuple(faults)
    settings = _with_the_only_provider(settings)
    return tuple(broken_frontends(settings)) or settings


_TWO_FORMS = (
    "must not be given together with [oidc], the short form of the only one: make that one "
    f"[providers.{DEFAULT_PROVIDER}], which keeps its redirect URI"
)


def _with_the_only_provider(settings: Settings) -> Settings:
    if settings.oidc is None:
        return settings
    return settings.model_copy(update={"providers": {DEFAULT_PROVIDER: settings.oidc}})


def _fault(detail: ErrorDetails) -> Fault:
    path: KeyPath = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        word = str(path[-1])
        return Fault(path, "unknown key" + suggestion(word, keys_at(path[:-1])))
    if detail["type"] == "missing":
        return Fault(path, _missing(path))
    template = _MESSAGES.get(detail["type"], "is not valid")
    return Fault(path, template.format_map(detail.get("ctx", {})))


def _missing(path: KeyPath) -> str:
    in_file = f"{path[-1]}_file"
    others = f"{in_file} or " if in_file in keys_at(path[:-1]) else ""
    return f"is required; it may also be set as {others}{variable_of(path)}"


@cache
def _adapter(model: type[Section], name: str) -> TypeAdapter[Any]:
    return TypeAdapter(annotated(model.model_fields[name]))


def _valid_part(
    model: type[Section], table: Mapping[str, object], context: Mapping[str, object]
) -> Any:
    """An instance of `model` that has only the keys that are valid by themselves."""
    known: dict[str, Any] = {}
    for name, value in _given_or_default(model, table):
        annotation = model.model_fields[name].annotation
        section, container = section_of(annotation), get_origin(annotation)
        if section is not None and is_table(annotation) and isinstance(value, Mapping):
            known[name] = _valid_part(section, value, context)
        elif section is not None and container is tuple and isinstance(value, list):
            known[name] = tuple(_valid_part(section, _table(item), context) for item in value)
        elif section is not None and container is dict and isinstance(value, Mapping):
            known[name] = {
                key: _valid_part(section, _table(item), context) for key, item in value.items()
            }
        else:
            with suppress(ValidationError):
                known[name] = _adapter(model, name).validate_python(value, context=dict(context))
    return partial(model, known)


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _given_or_default(
    model: type[Section], table: Mapping[str, object]
) -> Iterator[tuple[str, object]]:
    for name, known in model.model_fields.items():
        if name in table:
            yield name, table[name]
        elif not known.is_required():
            yield name, known.default
