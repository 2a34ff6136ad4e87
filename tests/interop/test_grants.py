"""What becomes of the grant at the certified OP when a session ends, and of the session when its
grant does. This OP revokes whole grants, and the next login of a browser continues the one it had.
"""

import pytest

from tests.interop.installation import running_installation
from tests.parts.browser import Browser


@pytest.mark.rule("TK-08")
async def test_a_grant_revoked_at_the_op_ends_the_session() -> None:
    """RFC 6749 section 5.2: `invalid_grant` is final; one attempt, 401, the cookie is deleted."""
    async with running_installation() as site, Browser() as browser:
        await site.log_in(browser, "alice")
        (issued,) = await site.op.wait_for("token_issued", sub="alice")
        await site.op.revoke(issued["refresh_token"], client_id="basic")
        browser.cookies.delete("bff-login")  # a login in another tab keeps cookies from deletion
        site.clock.advance(61)

        refused = await browser.fetch("GET", "/api/whoami")
        assert (refused.status, refused.json()["code"]) == (401, "session_ended")
        assert refused.json()["login_url"] == "/bff/login"
        assert browser.cookies.get("bff") is None
        assert (await browser.fetch("GET", "/bff/user")).status == 401
        await site.op.catch_up()
        assert len(site.op.happened("token_refused")) == 1
        assert site.api.calls == []


@pytest.mark.rule("TK-14")
async def test_a_logout_while_the_session_refreshes_leaves_no_token_alive() -> None:
    """RFC 7009 section 2.1: neither the token that was spent nor the one that came for it."""
    async with running_installation() as site, Browser() as browser:
        await site.log_in(browser, "alice")
        await site.op.hold_refreshes()
        site.clock.advance(50)  # due, not expired: the call goes on and a refresh begins
        assert (await browser.fetch("GET", "/api/whoami")).status == 200
        await site.op.wait_for("token_issued", grant_type="refresh_token")
        assert (await browser.fetch("POST", "/bff/logout")).status == 200

        await site.op.release_refreshes()
        await site.stop_gateways()
        await site.op.catch_up()
        for issued in site.op.happened("token_issued"):
            assert (await site.op.introspect(issued["refresh_token"]))["active"] is False


@pytest.mark.rule("SE-02")
async def test_a_new_login_ends_the_old_session_and_keeps_the_grant() -> None:
    """A second login with the same OP session continues the same grant (as most OPs do), which a
    revocation of the old session's tokens would kill."""
    async with running_installation() as site, Browser() as browser:
        await site.log_in(browser, "alice")
        old = browser.cookies.get("bff")
        await site.log_in(browser, "alice")
        assert browser.cookies.get("bff") != old
        first, second = await site.op.wait_for("token_issued", 2, sub="alice")
        assert first["grant_id"] == second["grant_id"]  # else this test proves nothing

        for _ in range(2):
            site.clock.advance(61)
            assert (await browser.fetch("GET", "/api/whoami")).json()["sub"] == "alice"
        replayed = await browser.fetch("GET", "/api/whoami", headers={"Cookie": f"bff={old}"})
        assert replayed.status == 401
        await site.op.catch_up()
        assert len(site.op.issued("refresh_token")) == 2
        assert site.op.troubles() == []


@pytest.mark.rule("SE-02")
async def test_a_new_login_while_the_old_session_refreshes_keeps_the_grant() -> None:
    """The refresh that comes back for a session that is gone must not be revoked with its grant:
    the new session lives on it."""
    async with running_installation() as site, Browser() as browser:
        await site.log_in(browser, "alice")
        await site.op.hold_refreshes()
        site.clock.advance(50)  # due, not expired: the call goes on and a refresh begins
        assert (await browser.fetch("GET", "/api/whoami")).status == 200
        await site.op.wait_for("token_issued", grant_type="refresh_token")
        await site.log_in(browser, "alice")
        assert (await browser.fetch("GET", "/bff/user")).json()["sub"] == "alice"

        await site.op.release_refreshes()
        await site.stop_gateways()  # lets the refresh, and whatever follows from it, finish
        await site.op.catch_up()
        newest = site.op.issued("authorization_code")[-1]
        assert (await site.op.introspect(newest["refresh_token"]))["active"] is True
        assert site.op.troubles() == []
