"""What `/bff/user` tells a page of its session."""

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.stack import running_stack

LIMITS = 'idle_timeout = "30m"\nabsolute_timeout = "1h"'


async def test_it_counts_the_seconds_that_are_left_and_names_no_provider_where_there_is_one() -> (
    None
):
    clock = ManualClock()
    async with (
        running_stack(clock=clock, session=LIMITS, access_token_seconds=60) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)

        async def left(query: str = "?slide=false") -> tuple[int, int, int]:
            about = (await browser.fetch("GET", f"/bff/user{query}")).json()["bff"]
            assert "idp" not in about
            assert about["logout_url"].startswith("/bff/logout?sid=")
            assert "idp" not in about["logout_url"]
            return (
                about["session_expires_in"],
                about["idle_expires_in"],
                about["access_token_expires_in"],
            )

        assert await left() == (3600, 1800, 60)
        clock.advance(50)
        assert await left() == (3550, 1750, 10)
        clock.advance(50)
        assert await left() == (3500, 1700, 0)  # the token's time is over: no negative number
        assert await left("") == (3500, 1800, 0)  # to ask is to be there, unless a page says no
