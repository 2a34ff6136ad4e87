"""The base of every section: frozen, typed, and closed to unknown keys."""

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """A table of the configuration. Defaults are written as a user would write them."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )


SectionT = TypeVar("SectionT", bound=Section)


def partial(model: type[SectionT], known: Mapping[str, Any]) -> SectionT:
    """A section that has these keys and no others: to read another one is an AttributeError."""
    section: Any = model.__new__(model)
    # As `model_construct` does, but without the defaults: they are not what the user wrote.
    object.__setattr__(section, "__dict__", dict(known))
    object.__setattr__(section, "__pydantic_fields_set__", set(known))
    object.__setattr__(section, "__pydantic_extra__", None)
    object.__setattr__(section, "__pydantic_private__", None)
    return cast("SectionT", section)


def section_of(annotation: object) -> type[Section] | None:
    """The section that an annotation such as `tuple[RouteSettings, ...]`, `dict[Name, ...]` or
    `... | None` speaks of."""
    kind = without_none(annotation)
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    elif get_origin(kind) is dict:
        kind = get_args(kind)[1]
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def is_table(annotation: object) -> bool:
    """Whether it is one section, and neither an array of them nor a table of named ones."""
    return section_of(annotation) is without_none(annotation)


def without_none(annotation: object) -> object:
    """The type inside `... | None`."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    inner = [kind for kind in get_args(annotation) if kind is not type(None)]
    return inner[0] if len(inner) == 1 else annotation


def annotated(known: FieldInfo) -> Any:
    """The whole type of a key, with what is asked of its values."""
    if not known.metadata:
        return known.annotation
    return Annotated[(known.annotation, *known.metadata)]


def default_of(kind: type, name: str) -> Any:
    """The default of a dataclass's field, for the key that sets it: it stands there alone."""
    return next(known.default for known in dataclasses.fields(kind) if known.name == name)
