"""What each table of the configuration knows, looked up by its path."""

from bff.config.problems import KeyPath
from bff.config.section import Section, section_of
from bff.config.settings import Settings


def keys_at(path: KeyPath) -> tuple[str, ...]:
    """The keys that a table of the configuration knows."""
    model = model_at(path)
    return tuple(model.model_fields) if model is not None else ()


def model_at(path: KeyPath) -> type[Section] | None:
    """The section model behind a path such as `("routes", 0)`."""
    model: type[Section] | None = Settings
    for part in path:
        if isinstance(part, str):
            if model is None or part not in model.model_fields:
                return None
            model = section_of(model.model_fields[part].annotation)
    return model


def is_required(path: KeyPath, key: str) -> bool:
    """Whether a key of a table has no default."""
    model = model_at(path)
    return model is not None and key in model.model_fields and model.model_fields[key].is_required()
