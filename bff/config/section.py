"""The base of every section: frozen, typed, and closed to unknown keys."""

from typing import get_args, get_origin

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


def section_of(annotation: object) -> type[Section] | None:
    """The section that an annotation such as `tuple[RouteSettings, ...]` speaks of."""
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None
