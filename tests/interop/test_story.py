"""The story at four OPs that we did not write: `make interop`, which fetches them first.

An OP that can't be had is a failure here, never a skip.
"""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.conftest import Told
from tests.interop.ops import certified, keycloak, toolkit, zitadel
from tests.interop.ops.provider import Place, Provider
from tests.interop.story import STEPS, running_story
from tests.parts.servers import free_port

OPS = {
    "oidc-provider": certified.running,
    "zitadel": zitadel.running,
    "django": toolkit.running,
}
pytestmark = [pytest.mark.real_op, pytest.mark.timeout(400)]
Started = tuple[Place, "subprocess.Popen[bytes]"]


def a_place(folder: Path) -> Place:
    """The gateway is localhost and the OP 127.0.0.1, so that a browser sees two sites."""
    return Place(free_port(), free_port(), f"http://localhost:{free_port()}", folder)


@pytest.fixture(scope="module", autouse=True)
def early_keycloak(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Started | None]:
    """Keycloak starts while the other OPs are at work, if it is wanted at all."""
    if not any("keycloak" in item.name for item in request.session.items):
        yield None
        return
    place = a_place(tmp_path_factory.mktemp("keycloak"))
    with keycloak.starting(place) as process:
        yield place, process


@pytest.mark.parametrize("name", [*OPS, "keycloak"])
async def test_the_story(
    name: str, tmp_path: Path, told: Told, early_keycloak: Started | None
) -> None:
    """Login to logout, with everything in between that an OP can do to a session."""
    running: AbstractAsyncContextManager[Provider]
    if name == "keycloak":
        assert early_keycloak is not None
        running = keycloak.running(*early_keycloak)
    else:
        running = OPS[name](a_place(tmp_path))
    async with AsyncExitStack() as stack:
        op = await stack.enter_async_context(running)
        story = await stack.enter_async_context(running_story(op))
        for step, play in STEPS.items():
            with told.step(step) as words:
                words.extend(filter(None, [await play(story)]))
