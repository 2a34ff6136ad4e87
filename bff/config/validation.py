"""From raw tables to settings, or to every fault in them.

Pydantic judges each key by itself; `rules` judges what must hold between keys, on the keys that
are valid. Messages are ours: pydantic's may repeat the input.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bff.config.environment import variable_of
from bff.config.problems import Fault, KeyPath, suggestion
from bff.config.rules import broken_rules
from bff.config.section import Section, partial, section_of
from bff.config.settings import Settings
from bff.config.tables import keys_at

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
    required = (name for name, known in Settings.model_fields.items() if known.is_required())
    tables = {name: {} for name in required} | dict(raw)
    context = {"directory": directory}
    faults: list[Fault] = []
    try:
        settings = Settings.model_validate(tables, context=context)
    except ValidationError as error:
        faults += (_fault(detail) for detail in error.errors(include_url=False))
        settings = _valid_part(Settings, tables, context)
    faults += broken_rules(settings)
    return tuple(faults) or settings


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
    field = model.model_fields[name]
    annotated: Any = (
        Annotated[(field.annotation, *field.metadata)] if field.metadata else (field.annotation)
    )
    return TypeAdapter(annotated)


def _valid_part(
    model: type[Section], table: Mapping[str, object], context: Mapping[str, object]
) -> Any:
    """An instance of `model` that has only the keys that are valid by themselves."""
    known: dict[str, Any] = {}
    for name, value in _given_or_default(model, table):
        section = section_of(model.model_fields[name].annotation)
        if section is not None and isinstance(value, Mapping):
            known[name] = _valid_part(section, value, context)
        elif section is not None and isinstance(value, list):
            parts = (item if isinstance(item, Mapping) else {} for item in value)
            known[name] = tuple(_valid_part(section, part, context) for part in parts)
        else:
            with suppress(ValidationError):
                known[name] = _adapter(model, name).validate_python(value, context=dict(context))
    return partial(model, known)


def _given_or_default(
    model: type[Section], table: Mapping[str, object]
) -> Iterator[tuple[str, object]]:
    for name, field in model.model_fields.items():
        if name in table:
            yield name, table[name]
        elif not field.is_required():
            yield name, field.default
