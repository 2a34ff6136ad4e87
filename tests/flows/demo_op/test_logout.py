"""Ways out of the demo OP: RP-initiated logout, the account page, back-channel logout."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from bff.clock import ManualClock
from spa_demo.op.tokens import LOGOUT_EVENT
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.demo_rp import DemoRp, callback, running_rp
from tests.parts.demo_servers import SETTINGS


def end_session_url(rp: DemoRp, **parameters: str) -> str:
    return f"{rp.op.issuer}/end-session?{urlencode(parameters)}"


async def test_a_valid_hint_ends_the_session_without_asking(rp: DemoRp, browser: Browser) -> None:
    """RP-Initiated Logout sections 2 and 3: session over, back to the registered URI with state."""
    tokens = await rp.log_in(browser)
    url = end_session_url(
        rp,
        id_token_hint=tokens["id_token"],
        client_id="spa",
        post_logout_redirect_uri=f"{rp.origin}/",
        state="s&t",
    )
    page = await browser.navigate(url)
    assert page.url == f"{rp.origin}/?state=s%26t"
    assert [hop.status for hop in page.hops] == [303]
    assert rp.op.state.sessions() == []
    assert browser.cookies.get("demo_op_session") is None
    assert (await browser.navigate(rp.ask().url)).has_form("login")


async def test_an_expired_hint_still_counts(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """RP-Initiated Logout section 2: the OP should accept ID tokens that have expired."""
    tokens = await rp.log_in(browser)
    clock.advance(SETTINGS.id_token_seconds + 1)
    page = await browser.navigate(end_session_url(rp, id_token_hint=tokens["id_token"]))
    assert "Signed out" in page.text
    assert rp.op.state.sessions() == []


@pytest.mark.parametrize("decision", ["yes", "no"])
async def test_a_logout_without_hint_is_confirmed(
    rp: DemoRp, browser: Browser, decision: str
) -> None:
    """RP-Initiated Logout section 6: without a hint any page could end the session."""
    await rp.log_in(browser)
    url = end_session_url(rp, client_id="spa", post_logout_redirect_uri=f"{rp.origin}/", state="x")
    asked = await browser.navigate(url)
    assert len(rp.op.state.sessions()) == 1
    page = await browser.submit(asked.form("confirm-logout"), button=decision)
    assert (page.url == f"{rp.origin}/?state=x") is (decision == "yes")
    assert len(rp.op.state.sessions()) == (0 if decision == "yes" else 1)


async def test_the_hint_of_another_session_is_confirmed(rp: DemoRp, browser: Browser) -> None:
    """RP-Initiated Logout section 2: the hint does not speak for the session in this browser."""
    async with Browser() as elsewhere:
        foreign = await rp.log_in(elsewhere, "bob")
    await rp.log_in(browser, "alice")
    page = await browser.navigate(end_session_url(rp, id_token_hint=foreign["id_token"]))
    assert page.has_form("confirm-logout")
    assert len(rp.op.state.sessions()) == 2


async def test_the_confirmation_needs_its_token(rp: DemoRp, browser: Browser) -> None:
    """A forged confirmation ends nothing."""
    await rp.log_in(browser)
    asked = await browser.navigate(end_session_url(rp))
    page = await browser.submit(
        asked.form("confirm-logout"), {"form_token": "0" * 64}, button="yes"
    )
    assert page.status == 403
    assert len(rp.op.state.sessions()) == 1


def _wrong_uri(rp: DemoRp, token: str) -> dict[str, str]:
    return {"id_token_hint": token, "post_logout_redirect_uri": f"{rp.origin}/else"}


def _no_client(rp: DemoRp, _token: str) -> dict[str, str]:
    return {"post_logout_redirect_uri": f"{rp.origin}/"}


def _other_client(rp: DemoRp, token: str) -> dict[str, str]:
    return {"id_token_hint": token, "client_id": "api"}


def _unknown_client(rp: DemoRp, _token: str) -> dict[str, str]:
    return {"client_id": "stranger"}


def _broken_hint(rp: DemoRp, token: str) -> dict[str, str]:
    return {"id_token_hint": token[:-6] + "AAAAAA"}


@pytest.mark.parametrize(
    "parameters", [_wrong_uri, _no_client, _other_client, _unknown_client, _broken_hint]
)
async def test_contradictory_logout_requests_are_refused(
    rp: DemoRp, browser: Browser, parameters: Callable[[DemoRp, str], dict[str, str]]
) -> None:
    """RP-Initiated Logout sections 2 to 4: an error ends nothing and never redirects."""
    tokens = await rp.log_in(browser)
    url = end_session_url(rp, **parameters(rp, tokens["id_token"]))
    page = await browser.navigate(url, follow=False)
    assert (page.status, page.location) == (400, None)
    assert len(rp.op.state.sessions()) == 1


async def test_the_hint_of_another_issuer_is_refused(rp: DemoRp, browser: Browser) -> None:
    """RP-Initiated Logout section 2: the OP must have issued the hint, whichever party holds its
    key."""
    async with running_rp() as twin, Browser() as elsewhere:
        foreign = await twin.log_in(elsewhere)
    await rp.log_in(browser)
    page = await browser.navigate(end_session_url(rp, id_token_hint=foreign["id_token"]))
    assert page.status == 400


async def test_an_access_token_is_no_hint(rp: DemoRp, browser: Browser) -> None:
    """RFC 8725 section 3.11: tokens of another type are not taken for ID tokens."""
    tokens = await rp.log_in(browser)
    url = end_session_url(rp, id_token_hint=tokens["access_token"])
    assert (await browser.navigate(url)).status == 400


async def test_logout_revokes_what_was_not_offline_access(rp: DemoRp, browser: Browser) -> None:
    """OIDC Core section 11: only offline_access outlives the session at the OP."""
    bound = await rp.log_in(browser, scope="openid api:read")
    offline = await rp.log_in(browser, scope="openid offline_access")
    await browser.navigate(end_session_url(rp, id_token_hint=bound["id_token"]))
    assert (await rp.refresh(bound["refresh_token"])).json["error"] == "invalid_grant"
    assert (await rp.refresh(offline["refresh_token"])).status == 200
    assert rp.op.state.counters.reuse_detected == 0


async def test_a_code_dies_with_its_session(rp: DemoRp, browser: Browser) -> None:
    """A logout between the redirect and the token request leaves nothing to redeem."""
    tokens = await rp.log_in(browser)
    asking = rp.ask(prompt="none")
    code = callback(await browser.navigate(asking.url))["code"]
    await browser.navigate(end_session_url(rp, id_token_hint=tokens["id_token"]))
    assert (await rp.redeem(code, asking.verifier)).json["error"] == "invalid_grant"


async def test_clients_are_told_by_back_channel(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """Back-Channel Logout section 2.4: typ, iss, aud, iat, exp, jti, events, sub, sid; no nonce."""
    tokens = await rp.log_in(browser)
    sid = rp.op.state.sessions()[0].sid
    await browser.navigate(end_session_url(rp, id_token_hint=tokens["id_token"]))
    await rp.op.back_channel.settle()
    header, claims = rp.read_jwt(rp.logout_tokens.pop())
    now = int(clock.now())
    assert header["typ"] == "logout+jwt"
    assert (claims["iss"], claims["aud"]) == (rp.op.issuer, "spa")
    assert (claims["sub"], claims["sid"]) == ("alice", sid)
    assert (claims["iat"], claims["exp"]) == (now, now + 120)
    assert claims["events"] == {LOGOUT_EVENT: {}}
    assert claims["jti"]
    assert "nonce" not in claims
    assert rp.op.state.counters.logout_tokens == {"delivered": 1}


async def test_signing_out_here_spares_the_other_browser(rp: DemoRp, browser: Browser) -> None:
    """The account page ends this browser's session: its `sid`, and no other."""
    async with Browser() as elsewhere:
        await rp.log_in(elsewhere)
        await rp.log_in(browser)
        here = next(s.sid for s in rp.op.state.sessions() if s.cookie in _values(browser))
        await _sign_out(rp, browser, "here")
        assert (await elsewhere.navigate(rp.ask().url)).has_form("consent")
    await rp.op.back_channel.settle()
    assert [rp.read_jwt(token)[1]["sid"] for token in rp.logout_tokens] == [here]


async def test_signing_out_everywhere_ends_all_of_the_user(rp: DemoRp, browser: Browser) -> None:
    """Back-Channel Logout section 2.4: a logout token with `sub` and no `sid` is for all sessions.

    Grants of offline access end too; other users stay.
    """
    async with Browser() as elsewhere, Browser() as bobs:
        first = await rp.log_in(elsewhere)
        await rp.log_in(bobs, "bob")
        await rp.log_in(browser)
        await _sign_out(rp, browser, "everywhere")
        assert (await elsewhere.navigate(rp.ask().url)).has_form("login")
        assert [session.user.sub for session in rp.op.state.sessions()] == ["bob"]
    await rp.op.back_channel.settle()
    assert (await rp.refresh(first["refresh_token"])).json["error"] == "invalid_grant"
    (token,) = rp.logout_tokens
    claims = rp.read_jwt(token)[1]
    assert claims["sub"] == "alice"
    assert "sid" not in claims


async def test_sign_out_needs_its_form_token(rp: DemoRp, browser: Browser) -> None:
    """A page elsewhere cannot sign the user out."""
    await rp.log_in(browser)
    account = await browser.navigate(f"{rp.op.issuer}/account")
    forged = {"form_token": ""}
    page = await browser.submit(account.form("sign-out"), forged, button="everywhere")
    assert page.status == 403
    assert len(rp.op.state.sessions()) == 1


async def test_a_client_that_is_down_does_not_stop_the_logout(browser: Browser) -> None:
    """Back-Channel Logout section 2.5: the outcome is counted, the browser goes on."""
    async with running_rp(backchannel_logout_uri="http://127.0.0.1:9/") as rp:
        tokens = await rp.log_in(browser)
        page = await browser.navigate(end_session_url(rp, id_token_hint=tokens["id_token"]))
        assert "Signed out" in page.text
        await rp.op.back_channel.settle()
        assert rp.op.state.counters.logout_tokens == {"failed": 1}


async def _sign_out(rp: DemoRp, browser: Browser, scope: str) -> Page:
    account = await browser.navigate(f"{rp.op.issuer}/account")
    return await browser.submit(account.form("sign-out"), button=scope)


def _values(browser: Browser) -> set[str]:
    return {cookie.value for cookie in browser.cookies}
