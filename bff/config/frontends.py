"""The applications of a gateway, each with the whole configuration that holds for it."""

from dataclasses import dataclass, field

from bff.config.settings import Settings
from bff.model import DEFAULT_FRONTEND


@dataclass(frozen=True, slots=True)
class Frontend:
    """`settings` are those of the file, with the application's own in their place. `base_path` is
    what all its paths begin with, such as `/shop`; empty where it has a whole origin."""

    name: str
    settings: Settings = field(repr=False)
    base_path: str = ""


def frontends_of(settings: Settings) -> tuple[Frontend, ...]:
    """All of them, in the order of the file."""
    return (Frontend(DEFAULT_FRONTEND, settings),)
