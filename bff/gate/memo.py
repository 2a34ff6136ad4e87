"""What is remembered of requests, within a bound: a browser may send anything."""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(dict[Key, Value]):
    """At most `most` entries. A full one is emptied: what is asked for again and again is back at
    once, and keeping the order of use would cost more than that."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: Key, value: Value) -> Value:
        """Remember it; returns the value."""
        if len(self) >= self._most:
            self.clear()
        self[key] = value
        return value
