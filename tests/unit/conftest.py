"""What many units need beside them: metrics, and sessions in a store that does as it is told."""

from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from bff.observability.metrics import Metrics
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from tests.parts.record_owner import OWNER
from tests.parts.scripted_store import ScriptedStore, store

__all__ = ["store"]

SECRET = "a secret of at least 32 bytes, or some more"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def sessions(store: ScriptedStore, clock: ManualClock) -> AsyncIterator[Sessions]:
    opened = Sessions(store, Keyring([SECRET], OWNER), clock, SessionPolicy(1800, 3600))
    await opened.start()
    yield opened
    await opened.close()
