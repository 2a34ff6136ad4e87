"""Logging in and out at the certified OP, for each way the gateway can be registered there."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from tests.interop.certified_op import Event
from tests.interop.installation import Client, Installation, running_installation
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.client_keys import key_file

CLIENTS = {
    "basic": Client("basic", "client_secret_basic"),
    "post": Client("post", "client_secret_post"),
    "jwt": Client("jwt", "client_secret_jwt"),
    "opaque_tokens_and_userinfo": Client("basic", jwt_tokens=False),
    "ES256": Client("es256", id_token_algs='["ES256"]'),
    "PS256": Client("ps256", id_token_algs='["PS256", "ES256"]'),
}


@pytest.mark.rule("FP-01")
@pytest.mark.rule("FP-10")
@pytest.mark.parametrize("kind", ["P-256", "RSA-2048"])
async def test_a_client_with_a_key_of_its_own_pushes_its_requests(
    tmp_path: Path, kind: str
) -> None:
    """RFC 7523 and RFC 9126: request, code and revocation are authenticated by the key."""
    client = Client("key", "private_key_jwt", key_file=key_file(tmp_path / "key.pem", kind))
    async with running_installation(client) as site, Browser() as browser:
        login = await browser.navigate(f"{site.origin}/bff/login", follow=False)
        asked = parse_qsl(urlsplit(login.headers["Location"]).query)
        assert [name for name, _ in asked] == ["client_id", "request_uri"]
        landed = await site.log_in(browser, "alice")
        assert landed.url == f"{site.origin}/"
        assert (await browser.fetch("GET", "/api/whoami")).json()["client_id"] == "key"
        user = (await browser.fetch("GET", "/bff/user")).json()
        await browser.click(user["bff"]["logout_url"], follow=False)
        assert await site.op.wait_for("grant_revoked", route="revocation")


@pytest.mark.rule("FP-14")
@pytest.mark.parametrize("par", ["off", "required"])
@pytest.mark.parametrize("kind", ["P-256", "RSA-2048"])
async def test_a_client_of_which_only_signed_requests_are_taken_logs_in(
    tmp_path: Path, kind: str, par: str
) -> None:
    """RFC 9101 section 10.5, through the browser and pushed (RFC 9126 section 3)."""
    client = Client(
        "signing",
        key_file=key_file(tmp_path / "key.pem", kind),
        further=f'request_object = "signed"\npar = "{par}"',
    )
    async with running_installation(client) as site, Browser() as browser:
        login = await browser.navigate(f"{site.origin}/bff/login", follow=False)
        asked = dict(parse_qsl(urlsplit(login.headers["Location"]).query))
        through_browser = {"client_id", "response_type", "scope", "request"}
        assert asked.keys() == (
            {"client_id", "request_uri"} if par == "required" else through_browser
        )
        landed = await site.log_in(browser, "alice")
        assert landed.url == f"{site.origin}/"
        assert (await browser.fetch("GET", "/api/whoami")).json()["client_id"] == "signing"
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["name"] == "alice of Interop", "the claims parameter is JSON in the JWT"
        assert not site.op.troubles()


@pytest.mark.rule("FP-05")
@pytest.mark.rule("FP-06")
@pytest.mark.parametrize("par", ["off", "required"])
@pytest.mark.parametrize("jwt_tokens", [True, False], ids=["jwt", "opaque"])
async def test_a_client_whose_tokens_are_bound_to_a_key(par: str, *, jwt_tokens: bool) -> None:
    """RFC 9449: the OP gives it no others, and wants a nonce in each proof, UserInfo as well."""
    client = Client("bound", jwt_tokens=jwt_tokens, further=f'dpop = true\npar = "{par}"')
    async with running_installation(client, takes_bound_tokens=True) as site, Browser() as browser:
        landed = await site.log_in(browser, "alice")
        assert landed.url == f"{site.origin}/"
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["name"] == "alice of Interop"
        assert (await browser.fetch("GET", "/api/whoami")).json()["client_id"] == "bound"
        site.clock.advance(61)
        assert (await browser.fetch("GET", "/api/whoami")).json()["sub"] == "alice"
        assert len(site.api.bearers) == 2
        refusals = site.op.happened("token_refused")
        assert [one["code"] for one in refusals] in ([], ["use_dpop_nonce"]), "PAR may learn it"


@pytest.mark.rule("FP-15")
async def test_answers_that_are_signed_bring_users_in_and_errors_back() -> None:
    """JARM sections 2.1 and 2.3.1: what the user cancels comes signed as well."""
    client = Client(further='response_mode = "query.jwt"')
    async with running_installation(client) as site, Browser() as browser:
        page = await browser.navigate(await cancel(site, browser), initiator=site.op.issuer)
        assert (page.status, "login_denied" in page.text) == (403, True)
        landed = await site.log_in(browser, "alice")
        (back,) = (hop.url for hop in landed.hops if "/bff/callback?" in hop.url)
        assert [name for name, _ in parse_qsl(urlsplit(back).query)] == ["response"]
        assert (await browser.fetch("GET", "/api/whoami")).json()["sub"] == "alice"
        landed = await site.log_in(browser, "alice", parameters="?prompt=none&returnUrl=/quiet")
        assert landed.url == f"{site.origin}/quiet"


@pytest.mark.rule("FP-16")
@pytest.mark.parametrize("par", ["off", "required"])
async def test_authorization_details_are_granted_and_shown(par: str) -> None:
    """RFC 9396 sections 2 and 7: those of every login, and those of this one."""
    of_all, of_this = ({"type": "payment", "amount": amount} for amount in ("1", "2"))
    details = f"""par = "{par}"
authorization_details = [{{ type = "payment", amount = "1" }}]
login_authorization_details = [{{ type = "payment", amount = "*" }}]"""
    shown = "authorization_details = true\n"
    async with (
        running_installation(Client(further=details), user=shown) as site,
        Browser() as browser,
    ):
        await site.log_in(browser, "alice")
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["bff"]["authorization_details"] == [of_all]
        asked = f"?authorization_details={quote(json.dumps([of_this]))}"
        await site.log_in(browser, "alice", parameters=asked)
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["bff"]["authorization_details"] == [of_all, of_this]
        site.clock.advance(61)
        assert (await browser.fetch("GET", "/api/whoami")).status == 200
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["bff"]["authorization_details"] == [of_all, of_this]
        assert not site.op.troubles()


@pytest.mark.rule("TK-02")
@pytest.mark.rule("TK-14")
@pytest.mark.rule("LO-02")
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_a_user_logs_in_calls_the_api_and_is_logged_out_everywhere(client: Client) -> None:
    """OIDC Core section 3.1, RFC 6749 section 2.3.1, RFC 7009, RP-Initiated Logout 1.0."""
    async with running_installation(client) as site, Browser() as browser:
        landed = await site.log_in(browser, "alice", parameters="?returnUrl=/notes%3Fa=b")
        assert (landed.status, landed.url) == (200, f"{site.origin}/notes?a=b")

        user = await browser.fetch("GET", "/bff/user")
        assert user.status == 200
        assert {name: user.json()[name] for name in ("sub", "name", "email")} == {
            "sub": "alice",
            "name": "alice of Interop",
            "email": "alice@example.test",
        }

        answer = await browser.fetch("GET", "/api/whoami")
        assert (answer.status, answer.json()) == (
            200,
            {"sub": "alice", "client_id": client.client_id},
        )
        (issued,) = await site.op.wait_for("token_issued", sub="alice")
        assert [call.bearer for call in site.api.calls] == [issued["access_token"]]
        assert_no_token((*landed.hops, landed, user, answer), issued)
        assert (await site.op.introspect(issued["refresh_token"]))["active"] is True

        leaving = await browser.click(user.json()["bff"]["logout_url"], follow=False)
        assert (await browser.fetch("GET", "/bff/user")).status == 401  # before the OP knows
        await site.op.wait_for("grant_revoked", grant_id=issued["grant_id"], route="revocation")
        assert (await site.op.introspect(issued["refresh_token"]))["active"] is False
        asked = end_session_request(site, leaving.location)
        assert asked["id_token_hint"] == issued["id_token"]
        await leave_the_op(site, browser, asked)


@pytest.mark.rule("LO-02")
@pytest.mark.rule("TK-12")
async def test_a_logout_by_fetch_needs_no_id_token_hint() -> None:
    """RP-Initiated Logout 1.0 section 2: `client_id` says whose redirect URI it is as well."""
    async with running_installation() as site, Browser() as browser:
        await site.log_in(browser, "alice")
        (issued,) = await site.op.wait_for("token_issued", sub="alice")
        answer = await browser.fetch("POST", "/bff/logout")
        assert_no_token([answer], issued)
        asked = end_session_request(site, answer.json()["redirect"])
        assert asked["client_id"] == "basic"
        await leave_the_op(site, browser, asked)


@pytest.mark.rule("ID-13")
@pytest.mark.rule("ID-18")
@pytest.mark.rule("ID-19")
async def test_a_step_up_is_what_the_op_says_it_was() -> None:
    """RFC 9470. This OP dates a login where max_age asks for it, and knows no acr."""
    async with (
        running_installation(route='max_auth_age = "5m"') as site,
        Browser() as browser,
    ):
        await site.log_in(browser, "alice")
        refused = await browser.fetch("GET", "/api/whoami")
        assert (refused.status, refused.json()["code"]) == (401, "step_up_required")
        assert site.api.calls == []
        page = await browser.click(f"{site.origin}/bff/login?acr_values=gold")
        page = await site.through_op(browser, page, user="alice")
        assert (page.status, "step_up_not_met" in page.text) == (403, True)
        page = await browser.click(f"{site.origin}{refused.json()['login_url']}")
        page = await site.through_op(browser, page, user="alice")
        assert (page.status, page.url) == (200, f"{site.origin}/")
        assert (await browser.fetch("GET", "/api/whoami")).json()["sub"] == "alice"
        page = await browser.click(f"{site.origin}/bff/login?max_age=0")
        page = await site.through_op(browser, page, user="bob")
        (form,) = page.forms()  # the OP ends its session with alice first, and tells the gateway
        page = await site.through_op(browser, await browser.submit(form), user="bob")
        assert (page.status, "step_up_other_user" in page.text) == (403, True)
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("ID-06")
async def test_an_id_token_of_another_alg_than_configured_is_refused() -> None:
    """OIDC Core section 3.1.3.7 (7): by the configuration, whatever the OP's metadata lists."""
    client = Client("es256", id_token_algs='["RS256", "PS256"]')
    async with running_installation(client) as site, Browser() as browser:
        refused = await site.log_in(browser, "alice")
        assert (refused.status, "id_token_invalid" in refused.text) == (502, True)
        assert browser.cookies.get("bff") is None
        assert (await browser.fetch("GET", "/api/whoami")).status == 401
        assert site.api.calls == []


@pytest.mark.rule("AZ-09")
async def test_a_cancelled_login_shows_a_page_without_the_text_of_the_op() -> None:
    """RFC 6749 section 4.1.2.1: `access_denied` makes no session, and the transaction is spent."""
    async with running_installation() as site, Browser() as browser:
        callback = await cancel(site, browser)
        page = await browser.navigate(callback, initiator=site.op.issuer)
        assert page.status == 403
        assert page.headers["Content-Type"].startswith("text/html")
        assert "login_denied" in page.text
        assert "access_denied" not in page.text
        assert "aborted" not in page.text
        assert browser.cookies.get("bff") is None
        again = await browser.navigate(callback, initiator=site.op.issuer)
        assert "login_expired" in again.text


@pytest.mark.rule("AZ-09")
async def test_a_cancelled_login_is_a_problem_for_scripts() -> None:
    """RFC 9457, and nothing of what the OP wrote in it."""
    async with running_installation() as site, Browser() as browser:
        callback = await cancel(site, browser)
        await browser.navigate(f"{site.origin}/")
        answer = await browser.fetch("GET", callback)
        assert (answer.status, answer.json()["code"]) == (403, "login_denied")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "aborted" not in answer.text


async def test_a_silent_login_without_a_session_at_the_op_returns_quietly() -> None:
    """OIDC Core section 3.1.2.6: `login_required` is an answer to `prompt=none`, not a failure."""
    async with running_installation() as site, Browser() as browser:
        landed = await site.log_in(browser, "alice", parameters="?prompt=none&returnUrl=/quiet")
        assert (landed.status, landed.url) == (200, f"{site.origin}/quiet?bff_error=login_required")
        assert any("error=login_required" in hop.url for hop in landed.hops)
        assert (await browser.fetch("GET", "/bff/user")).status == 401
        assert browser.cookies.get("bff") is None


async def test_a_silent_login_with_a_session_at_the_op_makes_a_session() -> None:
    """OIDC Core section 3.1.2.1: no form is shown, and the user is the one of the OP's session."""
    async with running_installation() as site, Browser() as browser:
        await site.log_in(browser, "alice")
        browser.cookies.delete("bff")
        assert (await browser.fetch("GET", "/bff/user")).status == 401
        await browser.click("/bff/login?prompt=none")
        assert (await browser.fetch("GET", "/bff/user")).json()["sub"] == "alice"
        assert (await browser.fetch("GET", "/api/whoami")).json()["sub"] == "alice"


def end_session_request(site: Installation, url: str | None) -> dict[str, str]:
    """The parameters of a redirect to the OP's logout page."""
    endpoint, _, query = (url or "").partition("?")
    assert endpoint == f"{site.op.issuer}/session/end"
    return dict(parse_qsl(query, strict_parsing=True))


async def leave_the_op(site: Installation, browser: Browser, asked: dict[str, str]) -> None:
    """Confirm the logout at the OP: it returns to the application, and its session is gone too."""
    confirm = await browser.click(f"{site.op.issuer}/session/end?{urlencode(asked)}")
    back = await browser.submit(confirm.form("op.logoutForm"), {"logout": "yes"})
    assert (back.status, back.url) == (200, f"{site.origin}/?state={asked['state']}")
    assert len(site.op.happened("session_ended")) == 1
    assert site.op.happened("request_refused", route="end_session") == []
    login = await browser.click("/bff/login")
    assert ("prompt", "login") in login.forms()[0].fields


async def cancel(site: Installation, browser: Browser) -> str:
    """Start a login and cancel it at the OP: the callback URL, not yet opened."""
    await browser.navigate(f"{site.origin}/")
    form = await browser.click("/bff/login")
    links = re.findall(r'href="([^"]+/abort)"', form.text)
    page = await browser.click(links[0], follow=False)
    while page.location is not None and page.location.startswith(site.op.issuer):
        page = await browser.navigate(page.location, initiator=site.op.issuer, follow=False)
    assert page.location is not None
    assert page.location.startswith(f"{site.origin}/bff/callback?")
    return page.location


def assert_no_token(pages: Iterable[Page], issued: Event) -> None:
    """TK-12: nothing the gateway sent holds a token, nor a JWT's payload on its own."""
    secrets = [issued[name] for name in ("access_token", "refresh_token", "id_token")]
    secrets += [part for secret in secrets for part in secret.split(".")[1:]]
    for page in pages:
        received = page.text + "".join(f"{name}: {value}\n" for name, value in page.headers.items())
        assert not [secret for secret in secrets if secret in received]
