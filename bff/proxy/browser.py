"""What an exchange asks of the connection that its request came on."""

from typing import Protocol


class Browser(Protocol):
    """The connection a request came on."""

    @property
    def is_full(self) -> bool:
        """Whether the browser takes no more for now."""

    @property
    def is_draining(self) -> bool:
        """Whether each answer is to be the last on its connection."""

    def write(self, data: bytes) -> None: ...

    def hold(self, *, on: bool) -> None:
        """Whether to read no more of the request for now."""

    def exchange_over(self, *, keep_alive: bool, unread: bool) -> None:
        """All has been written. Unless `keep_alive`, nothing more will be, and what may still
        come, `unread`, is drained."""

    def abort(self) -> None:
        """Cut the connection."""
