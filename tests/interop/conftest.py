"""Keycloak, which is started once for all tests; and the table of the story: which OP came through
which step."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.register_assert_rewrite("tests.interop.story")

from tests.interop.ops import keycloak  # noqa: E402
from tests.interop.ops.provider import Place, a_place  # noqa: E402
from tests.interop.story import STEPS  # noqa: E402  its asserts are to be explained
from tests.parts.redis_server import own_redis  # noqa: E402

__all__ = ["own_redis"]

Table = dict[str, dict[str, str]]
StartedKeycloak = tuple[Place, "subprocess.Popen[bytes]"]
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


@pytest.fixture(scope="session", autouse=True)
def early_keycloak(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartedKeycloak | None]:
    """Keycloak starts while the other OPs are at work, if it is wanted at all."""
    at_real_ops = (one for one in request.session.items if one.get_closest_marker("real_op"))
    if not any("keycloak" in item.name for item in at_real_ops):
        yield None
        return
    place = a_place(tmp_path_factory.mktemp("keycloak"))
    with keycloak.starting(place) as process:
        yield place, process


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
