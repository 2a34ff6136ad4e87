"""The table of the story: which OP came through which step."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.register_assert_rewrite("tests.interop.story")

from tests.interop.story import STEPS  # noqa: E402  its asserts are to be explained

Table = dict[str, dict[str, str]]
TABLE = pytest.StashKey[Table]()


class Told:
    """The row of one OP. A step that raises is FAILED, and the ones after it are not reached."""

    def __init__(self, row: dict[str, str]) -> None:
        self._row = row

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Put the step's own word, if it gives one, into the list."""
        words: list[str] = []
        self._row[name] = "FAILED"
        yield words
        self._row[name] = words[0] if words else "ok"


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Told:
    table = request.config.stash.setdefault(TABLE, {})
    return Told(table.setdefault(request.node.callspec.id, {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    table = config.stash.get(TABLE, {})
    if not table:
        return
    terminalreporter.section("the story at each OP")
    width = max(map(len, STEPS))
    terminalreporter.write_line(" " * width + "".join(f"  {op:<14}" for op in table))
    for step in STEPS:
        cells = (row.get(step, "not reached") for row in table.values())
        terminalreporter.write_line(f"{step:<{width}}" + "".join(f"  {cell:<14}" for cell in cells))
