"""A TOML text as tables, and on which line each key stands. `tomllib` does not report lines; it has
accepted the text before the scanner sees it, which finds keys and judges nothing.

TOML 1.0: dotted and quoted keys, tables, arrays of tables, strings of four kinds, arrays, inline
tables.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from bff.config.problems import KeyPath

MOST_LEVELS = 64  # of tables and arrays in each other; keys that are known have fewer than ten
_TOO_DEEP = f"has tables or arrays in each other, more than {MOST_LEVELS} levels deep"

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_\-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
_BASIC = re.compile(r'"(?:\\.|[^"\\])*"')
_LITERAL = re.compile(r"'[^']*'")
_STRINGS = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    _BASIC,
    _LITERAL,
)

Place = tuple[KeyPath, int]


def read_toml(text: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Its tables, and the lines as of `key_lines`.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML.
        ValueError: it is nested too deeply.
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    require_shallow(tables)
    return tables, key_lines(text)


def require_shallow(value: object) -> None:
    """That tables and arrays are not nested more deeply than code that recurses into them can bear.

    Raises:
        ValueError: they are.
    """
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [item for outer in level for item in _items(outer)]
    if level:
        raise ValueError(_TOO_DEEP)


def _items(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def key_lines(text: str) -> dict[KeyPath, int]:
    """The first line, counted from 1, of every key, table and array element."""
    lines: dict[KeyPath, int] = {}
    for path, line in _Scanner(text).places():
        lines.setdefault(path, line)
    return lines


class _Scanner:
    """A cursor over the text. What it has passed is never looked at again."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._array_sizes: dict[KeyPath, int] = {}

    def places(self) -> Iterator[Place]:
        """Every path with its line, in order, some more than once."""
        table: KeyPath = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if self._sees("["):
                line = self._line()
                table = self._header()
                yield from _with_parents(table, line)
            else:
                yield from self._pair(table)
            self._take(_BLANK)

    def _header(self) -> KeyPath:
        """The table that `[a.b]` or `[[a.b]]` opens."""
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path: KeyPath = ()
        parts = self._key()
        for index, part in enumerate(parts):
            path = (*path, part)
            if is_array and index == len(parts) - 1:
                self._array_sizes[path] = self._array_sizes.get(path, 0) + 1
            if path in self._array_sizes:
                path = (*path, self._array_sizes[path] - 1)
        self._at += 2 if is_array else 1
        return path

    def _pair(self, table: KeyPath) -> Iterator[Place]:
        line = self._line()
        path = (*table, *self._key())
        yield from _with_parents(path, line)
        self._at += 1  # the equals sign
        yield from self._value(path)

    def _key(self) -> tuple[str, ...]:
        """A dotted key; the cursor then stands behind it and any blanks."""
        parts: list[str] = []
        while True:
            self._take(_BLANK)
            if self._sees('"') or self._sees("'"):
                quoted = self._take(_BASIC if self._sees('"') else _LITERAL)
                parts.append(tomllib.loads(f"key = {quoted}")["key"])
            else:
                parts.append(self._take(_BARE_KEY))
            self._take(_BLANK)
            if not self._sees("."):
                return tuple(parts)
            self._at += 1

    def _value(self, path: KeyPath) -> Iterator[Place]:
        self._take(_BLANK)
        if self._sees("["):
            yield from self._array(path)
        elif self._sees("{"):
            yield from self._inline_table(path)
        else:
            for string in _STRINGS:
                if self._take(string):
                    return
            self._take(_SCALAR)

    def _array(self, path: KeyPath) -> Iterator[Place]:
        index = 0
        while self._next_item("]"):
            yield (*path, index), self._line()
            yield from self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> Iterator[Place]:
        while self._next_item("}"):
            yield from self._pair(path)

    def _next_item(self, closing: str) -> bool:
        """Step over an opening bracket or comma; False, and past it, at the closing bracket."""
        self._take(_BLANK)
        if not self._sees(closing):
            self._at += 1
            self._take(_BLANK)
        if not self._sees(closing) and self._at < len(self._text):
            return True
        self._at += 1
        return False

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _sees(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _line(self) -> int:
        return bisect_left(self._line_ends, self._at) + 1


def _with_parents(path: KeyPath, line: int) -> Iterator[Place]:
    for length in range(1, len(path) + 1):
        yield path[:length], line
