"""Introspection (RFC 7662) at the certified OP, which answers for its opaque access tokens only."""

import pytest

from tests.interop.installation import Client, running_installation
from tests.parts.browser import Browser

ROUTE = "introspect = true"


@pytest.mark.rule("TK-23")
async def test_a_grant_that_was_revoked_at_the_op_lets_no_call_pass() -> None:
    async with (
        running_installation(Client(jwt_tokens=False), route=ROUTE) as site,
        Browser() as browser,
    ):
        await site.log_in(browser, "alice")
        assert (await browser.fetch("GET", "/api/whoami")).status == 200
        calls = len(site.api.calls)
        (issued,) = await site.op.wait_for("token_issued", sub="alice")
        await site.op.revoke(issued["refresh_token"], client_id="basic")
        site.clock.advance(31)  # the access token itself is good for another 29 s
        refused = await browser.fetch("GET", "/api/whoami")
        assert (refused.status, refused.json()["code"]) == (401, "session_ended")
        assert len(site.api.calls) == calls


@pytest.mark.rule("TK-24")
async def test_an_op_that_does_not_answer_for_jwts_is_not_down() -> None:
    """It refuses the question: a fault of the configuration, which opens no gate."""
    allow = f'{ROUTE}\nintrospect_when_op_down = "allow"'
    async with running_installation(route=allow) as site, Browser() as browser:
        await site.log_in(browser, "alice")
        refused = await browser.fetch("GET", "/api/whoami")
        assert (refused.status, refused.json()["code"]) == (503, "op_metadata_refused")
        assert site.api.calls == []
