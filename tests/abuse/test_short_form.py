"""Every scenario, small: `python -m tests.abuse` does the same with far more of everything."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.abuse.scenario import SHORT, Scenario, run
from tests.abuse.scenarios import SCENARIOS
from tests.abuse.site import Site, a_site
from tests.polling import HANG_SECONDS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    """One for all of them: each leaves it as it was."""
    async with a_site(SHORT.max_connections, SHORT.patience_seconds) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
@pytest.mark.rule("SM-06")
async def test_abuse_is_bounded_and_others_are_served(site: Site, scenario: Scenario) -> None:
    """Memory is bounded, a client that does harm is refused or cut off, an honest user is
    served."""
    async with asyncio.timeout(HANG_SECONDS):
        row = await run(scenario, site, SHORT)
    assert row.broken == [], f"{row.outcome.answers} {row.memory.in_mib()} MiB, {row.visits}"
