"""A relying party in front of a scripted OP; time stands still unless a test moves it."""

from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from bff.oidc.relying_party import RelyingParty
from tests.integration.relying_party.steps import MakeRp, settings_for
from tests.parts.scripted_op import ScriptedOp


@pytest.fixture
async def op(clock: ManualClock) -> AsyncIterator[ScriptedOp]:
    provider = await ScriptedOp(clock).start()
    yield provider
    await provider.close()


@pytest.fixture
async def make_rp(op: ScriptedOp, clock: ManualClock) -> AsyncIterator[MakeRp]:
    made: list[RelyingParty] = []

    def make(**changes: object) -> RelyingParty:
        made.append(RelyingParty(settings_for(op.issuer, **changes), clock))
        return made[-1]

    yield make
    for relying_party in made:
        await relying_party.close()


@pytest.fixture
async def rp(make_rp: MakeRp) -> RelyingParty:
    relying_party = make_rp()
    await relying_party.start()
    return relying_party
