"""Every scenario, small: no user is logged out by infrastructure, and no user sees another's
answer.

The promises of the product, in the order in which they are judged here; `python -m tests.chaos`
makes the same run with ten times the load.
"""

import asyncio

import pytest

from tests.chaos.conftest import Installations
from tests.chaos.report import Row
from tests.chaos.run import run
from tests.chaos.scenarios import SCENARIOS, SHORT, Scenario

pytestmark = pytest.mark.chaos

# Access tokens expire with a full second, and are due in the last third of what is left of them.
SHORTEST_LIFE_SECONDS = SHORT.access_token_seconds - 1
LEAST_INTERVAL_SECONDS = SHORTEST_LIFE_SECONDS * 2 / 3 - 0.2
RECOVERY_SECONDS = 15.0
CHOSEN = [scenario for scenario in SCENARIOS if scenario.in_short]


@pytest.mark.parametrize("scenario", CHOSEN, ids=[scenario.name for scenario in CHOSEN])
@pytest.mark.rule("TK-06")
@pytest.mark.rule("TK-07")
@pytest.mark.rule("TK-09")
def test_no_login_is_lost(scenario: Scenario, installations: Installations) -> None:
    """Promises 3 and 4: trouble of the store, the OP or a gateway is a 503 at worst."""
    installation = installations(scenario.topology)
    found = asyncio.run(run(installation, scenario, SHORT))
    assert found.tally.foreign == 0, "an answer for another user's token"
    assert found.other == {}, "an answer that was neither 200 nor 503"
    assert found.avoidable == 0, f"{found.avoidable} sessions ended that could have been kept"
    assert scenario.may_lose or found.logouts == 0
    assert found.reuse <= found.logouts or scenario.may_lose, "a refresh token was spent twice"
    assert found.recovery_seconds < RECOVERY_SECONDS
    assert found.tally.statuses["200"] > 0
    if scenario.strike is None:
        require_one_refresh_per_expiry(found)


def require_one_refresh_per_expiry(found: Row) -> None:
    """Without a fault: no refusal, and no refresh before the token of the one before was due."""
    assert found.unavailable == 0
    assert found.rotated == len(found.ledger) >= found.users, "each session was refreshed"
    assert found.shortest_interval_seconds >= LEAST_INTERVAL_SECONDS
    assert found.rotated <= found.users * (found.seconds / LEAST_INTERVAL_SECONDS + 1)
