"""Time for others to save what they hold, before a refresh token is spent.

While the store was out of reach another process may have got tokens from the OP that it could not
write yet; its lease may have lapsed meanwhile. The record still names the spent token, and who used
it now would make an OP that detects reuse end the whole grant (RFC 9700 section 4.14.2).
"""

import asyncio

# Longer than the processes of an installation may differ in finding the store again.
SECONDS = 3.0


class Calm:
    """Told of trouble with the store; says how long to wait, by the loop's time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._until: float | None = None

    def troubled(self) -> None:
        """The store did not answer, or its stream of changes broke off."""
        self._until = asyncio.get_running_loop().time() + self._seconds

    def on_watch(self, watching: bool) -> None:
        """The stream of changes was lost or gained; gaining it for the first time is no trouble."""
        if not watching or self._until is not None:
            self.troubled()

    def remaining_seconds(self) -> float:
        """Zero when nobody needs to be waited for."""
        if self._until is None:
            return 0.0
        return max(0.0, self._until - asyncio.get_running_loop().time())
