"""What one process of a gateway serves and shares with the others, if there are any."""

from dataclasses import dataclass, field
from pathlib import Path

from bff.app.listening import Listening
from bff.config.server import ServerSettings
from bff.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Share:
    """`auth` is None when no proxy asks. `metrics_directory` is None for a process that is alone;
    `replaces`: a worker that died."""

    public: Listening
    admin: Listening
    auth: Listening | None = None
    metrics_directory: Path | None = None
    replaces: bool = False

    @classmethod
    def alone(cls, server: ServerSettings) -> "Share":
        """All of it."""
        auth = Listening(server.auth_listen) if server.auth_listen is not None else None
        return cls(Listening(server.listen), Listening(server.admin_listen), auth)

    @property
    def inherited(self) -> tuple[int, ...]:
        """The file descriptors that a process with this share needs."""
        listeners = (self.public, self.admin, self.auth)
        found = (one.inherited for one in listeners if one is not None)
        return tuple(number for number in found if number is not None)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a supervisor tells a new worker. `number` starts at 1."""

    number: int
    settings: Settings = field(repr=False)
    share: Share
