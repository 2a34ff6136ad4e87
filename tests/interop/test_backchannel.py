"""Logging out at the certified OP, which tells the gateway by a logout token of its own making."""

from urllib.parse import urlsplit

import pytest

from tests.interop.installation import Client, Installation, running_installation
from tests.parts.browser import Browser

CLIENTS = {
    "RS256": Client("basic"),
    "ES256": Client("es256", id_token_algs='["ES256"]'),
    "PS256": Client("ps256", id_token_algs='["PS256"]'),
}


@pytest.mark.rule("LO-09")
@pytest.mark.rule("LO-11")
@pytest.mark.rule("LO-12")
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_a_logout_at_the_op_ends_the_session_here(client: Client) -> None:
    """Back-Channel Logout 1.0 sections 2.4 to 2.8: that session of the user, and no other."""
    async with (
        running_installation(client) as site,
        Browser() as desk,
        Browser() as phone,
    ):
        await site.log_in(desk, "alice")
        await site.log_in(phone, "alice")
        await log_out_at_op(site, desk)
        (sent,) = await site.op.wait_for("backchannel_sent", client_id=client.client_id)
        assert (sent["sub"], bool(sent["sid"])) == ("alice", True)
        assert await status_of_user(site, desk) == 401
        assert await status_of_user(site, phone) == 200
        assert site.op.happened("backchannel_failed") == []


@pytest.mark.rule("LO-12")
async def test_the_op_s_answer_to_our_own_logout_finds_no_session_left() -> None:
    """After an RP-initiated logout the OP tells us as well: 200, though the session is gone."""
    async with running_installation() as site, Browser() as browser:
        await site.log_in(browser, "alice")
        url = (await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"]
        confirm = await browser.click(url)
        await browser.submit(confirm.form("op.logoutForm"), {"logout": "yes"})
        await site.op.wait_for("backchannel_sent", sub="alice")
        assert site.op.happened("backchannel_failed") == []


async def log_out_at_op(site: Installation, browser: Browser) -> None:
    """As the user does on the OP's own page: the gateway is not asked."""
    confirm = await browser.navigate(f"{site.op.issuer}/session/end")
    assert urlsplit(confirm.url).netloc == urlsplit(site.op.issuer).netloc
    await browser.submit(confirm.form("op.logoutForm"), {"logout": "yes"})


async def status_of_user(site: Installation, browser: Browser) -> int:
    await browser.navigate(f"{site.origin}/")
    return (await browser.fetch("GET", "/bff/user")).status
