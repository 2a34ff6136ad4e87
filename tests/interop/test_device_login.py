"""A login by device code (RFC 8628) at the certified OP, whose forms ask for the code, for its
confirmation, for the user and for consent."""

import pytest

from tests.interop.installation import Client, Installation, running_installation
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


async def begin(site: Installation, tv: Browser) -> dict[str, str]:
    await tv.navigate(f"{site.origin}/")
    page = await tv.fetch("POST", "/bff/device")
    assert page.status == 200, page.text
    begun: dict[str, str] = page.json()
    return begun


async def poll(site: Installation, tv: Browser, begun: dict[str, str]) -> Page:
    site.clock.advance(float(begun["interval"]))
    return await tv.fetch("GET", begun["status_url"])


async def enter_code(site: Installation, phone: Browser, begun: dict[str, str]) -> Page:
    """Up to the form that asks whether the code is right."""
    page = await phone.navigate(begun["verification_uri"])
    return await phone.submit(page.form("op.deviceInputForm"), {"user_code": begun["user_code"]})


@pytest.mark.rule("DL-01")
@pytest.mark.rule("DL-06")
async def test_the_session_is_that_of_the_user_who_entered_the_code() -> None:
    """Its ID token has no nonce; the tokens are refreshed as those of any login."""
    async with (
        running_installation(Client(further="device_login = true")) as site,
        Browser() as tv,
        Browser() as phone,
    ):
        begun = await begin(site, tv)
        assert (await poll(site, tv, begun)).json()["status"] == "pending"
        page = await enter_code(site, phone, begun)
        page = await phone.submit(page.form("op.deviceConfirmForm"))
        page = await site.through_op(phone, page, user="alice")
        assert page.status == 200
        done = await poll(site, tv, begun)
        assert done.json() == {"status": "complete"}, done.text
        assert (await tv.fetch("GET", "/bff/user")).json()["name"] == "alice of Interop"
        assert (await poll(site, tv, begun)).json()["code"] == "login_expired"

        site.clock.advance(61)
        assert (await tv.fetch("GET", "/api/whoami")).json()["sub"] == "alice"
        await site.op.wait_for("token_issued", grant_type="refresh_token")
        assert len(site.op.issued(GRANT)) == 1


async def test_a_denial_at_the_op_is_told() -> None:
    async with (
        running_installation(Client(further="device_login = true")) as site,
        Browser() as tv,
        Browser() as phone,
    ):
        begun = await begin(site, tv)
        page = await enter_code(site, phone, begun)
        await phone.submit(page.form("op.deviceConfirmForm"), {"abort": "yes"})
        denied = await poll(site, tv, begun)
        assert (denied.status, denied.json()["code"]) == (403, "login_denied")


async def test_for_a_client_without_the_grant_no_login_begins() -> None:
    """This OP calls it an `invalid_request`."""
    client = Client("post", "client_secret_post", further="device_login = true")
    async with running_installation(client) as site, Browser() as tv:
        await tv.navigate(f"{site.origin}/")
        refused = await tv.fetch("POST", "/bff/device")
        assert (refused.status, refused.json()["code"]) == (502, "login_refused")
