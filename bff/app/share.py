"""What one process of a gateway serves and shares with the others, if there are any."""

from dataclasses import dataclass, field
from pathlib import Path

from bff.app.listening import Addresses, Listening
from bff.config.sections.server import ServerSettings
from bff.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Share:
    """`health` and `auth` are None when they are not served. `metrics_directory` is None for a
    process that is alone; `replaces`: a worker that died."""

    public: Listening
    admin: Listening
    health: Listening | None = None
    auth: Listening | None = None
    metrics_directory: Path | None = None
    replaces: bool = False

    @classmethod
    def alone(cls, server: ServerSettings) -> "Share":
        """All of it."""
        health, auth = (
            Listening(address) if address is not None else None
            for address in (server.health_listen, server.auth_listen)
        )
        return cls(Listening(server.listen), Listening(server.admin_listen), health, auth)

    @property
    def addresses(self) -> Addresses:
        """Where all of it is served."""
        return Addresses(
            *(
                (one.address,) if one is not None else ()
                for one in (self.public, self.admin, self.health, self.auth)
            )
        )

    @property
    def inherited(self) -> tuple[int, ...]:
        """The file descriptors that a process with this share needs."""
        listeners = (self.public, self.admin, self.health, self.auth)
        found = (one.inherited for one in listeners if one is not None)
        return tuple(number for number in found if number is not None)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a supervisor tells a new worker. `number` starts at 1."""

    number: int
    settings: Settings = field(repr=False)
    share: Share
