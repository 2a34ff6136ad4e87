"""What one process of a gateway serves and shares with the others, if there are any."""

from dataclasses import dataclass, field
from pathlib import Path

from bff.app.listening import Listening
from bff.config.server import ServerSettings
from bff.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Share:
    """`metrics_directory` is None for a process that is alone; `replaces`: a worker that died."""

    public: Listening
    admin: Listening
    metrics_directory: Path | None = None
    replaces: bool = False

    @classmethod
    def alone(cls, server: ServerSettings) -> "Share":
        """All of it."""
        return cls(Listening(server.listen), Listening(server.admin_listen))


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a supervisor tells a new worker. `number` starts at 1."""

    number: int
    settings: Settings = field(repr=False)
    share: Share
