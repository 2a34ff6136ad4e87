"""Connections that lie idle until the next request.

The newest is used first, so that the others can grow old and close.
"""

from bff.proxy.upstream.connection import UpstreamConnection


class IdleConnections:
    """At most `most` of them: a `ConnectionPool`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: dict[UpstreamConnection, None] = {}  # in the order in which they came back

    def take(self) -> UpstreamConnection | None:
        """The one that was used last, if any. One whose other end is closed is passed over; where
        that is still on its way to us, the next request finds out."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.is_usable:
                return connection
        return None

    def keep(self, connection: UpstreamConnection) -> bool:
        """Take one back; False when there are enough."""
        if len(self._idle) >= self._most:
            return False
        self._idle[connection] = None
        return True

    def forget(self, connection: UpstreamConnection) -> None:
        """It is closed."""
        self._idle.pop(connection, None)

    def close_idle(self) -> None:
        while self._idle:
            self._idle.popitem()[0].close()
