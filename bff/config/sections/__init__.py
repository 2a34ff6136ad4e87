"""The base of every section: frozen, typed, and closed to unknown keys."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict


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
    section: Any = model.model_construct(**known)
    for name in model.model_fields.keys() - known.keys():
        vars(section).pop(name, None)  # not even the default: it is not what the user wrote
    return cast("SectionT", section)


def section_of(annotation: object) -> type[Section] | None:
    """The section that an annotation such as `tuple[RouteSettings, ...]` speaks of."""
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None


def default_of(kind: type, name: str) -> Any:
    """The default of a dataclass's field, for the key that sets it: it stands there alone."""
    return next(known.default for known in dataclasses.fields(kind) if known.name == name)
