"""The story at four OPs that we did not write: `make interop`, which fetches them first.

An OP that can't be had is a failure here, never a skip.
"""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.conftest import StartedKeycloak, Told
from tests.interop.ops import certified, keycloak, toolkit, zitadel
from tests.interop.ops.provider import Provider, a_place
from tests.interop.story import STEPS, running_story

OPS = {
    "oidc-provider": certified.running,
    "zitadel": zitadel.running,
    "django": toolkit.running,
}
pytestmark = [pytest.mark.real_op, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", [*OPS, "keycloak"])
async def test_the_story(
    name: str, tmp_path: Path, told: Told, early_keycloak: StartedKeycloak | None
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
