"""Records appended to a Redis stream, over the connections of the session store. The stream keeps
the newest, about as many as it is told to."""

from collections.abc import Awaitable, Callable, Sequence

from bff.audit.chain import Stamped
from bff.audit.sinks import SinkFailed
from bff.errors import StoreUnavailable

MOST_ENTRIES = 100_000

Append = Callable[[str, Sequence[str], int], Awaitable[None]]


class RedisStreamSink:
    """`append(stream, lines, most)` is the store's."""

    name = "redis-stream"

    def __init__(self, append: Append, stream: str, most_entries: int = MOST_ENTRIES) -> None:
        self._append = append
        self._stream = stream
        self._most_entries = most_entries

    async def open(self) -> None:
        """The store is opened by others."""

    async def write(self, records: Sequence[Stamped]) -> None:
        try:
            await self._append(self._stream, [one.line for one in records], self._most_entries)
        except StoreUnavailable as error:
            raise SinkFailed(error.log_detail) from None

    async def close(self) -> None:
        """The store is closed by others."""
