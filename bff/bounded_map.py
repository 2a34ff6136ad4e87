"""What is remembered within a bound, since what fills it may come from anywhere."""

from collections import OrderedDict
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedMap(OrderedDict[Key, Value]):
    """A dictionary of at most `most` entries. One more drops the entry that was set longest ago, or
    moved to the end longest ago, where the user of it keeps the order of use."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)

    def keep(self, key: Key, value: Value) -> Value:
        """Set it; returns the value."""
        self[key] = value
        return value
