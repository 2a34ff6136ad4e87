"""What one process of a gateway serves and shares with the others, if there are any."""

from dataclasses import dataclass
from pathlib import Path

from bff.app.listening import Listening
from bff.config.server import ServerSettings


@dataclass(frozen=True, slots=True)
class Share:
    """`metrics_directory` is None when there is one process only."""

    public: Listening
    admin: Listening
    metrics_directory: Path | None = None

    @classmethod
    def alone(cls, server: ServerSettings) -> "Share":
        """All of it."""
        return cls(Listening(server.listen), Listening(server.admin_listen))
