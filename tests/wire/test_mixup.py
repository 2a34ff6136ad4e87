"""No byte of one user's answer reaches another: the short form of `python -m tests.wire.mixup`."""

import pytest

from tests.wire.loops import ON_UVLOOP
from tests.wire.mixup import mix


@ON_UVLOOP
@pytest.mark.rule("PX-11")
@pytest.mark.rule("SM-07")
async def test_a_thousand_users_on_shared_connections_get_their_own_answers() -> None:
    tally = await mix(users=1000, requests=1500, seed=0)
    assert tally.findings == []
    assert tally.whole > 1000
    assert min(tally.cut, tally.refused, tally.left) > 50, "too peaceful to prove anything"
