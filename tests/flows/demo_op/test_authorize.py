"""The demo OP's authorization endpoint and forms, driven as a browser would. The OP must be right,
because the gateway's tests lean on it."""

from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bff.clock import ManualClock
from spa_demo.op.settings import SECOND_STEP_CODE
from spa_demo.op.tokens import half_hash
from tests.parts.browser import Browser
from tests.parts.demo_rp import DemoRp, callback
from tests.parts.demo_servers import CALLBACK, SETTINGS, SPA

# --- metadata


async def test_metadata_names_exact_issuer_and_security_features(rp: DemoRp) -> None:
    """OIDC Discovery section 4.3 (issuer exact), RFC 9207 section 3, RFC 8414 section 2 (PKCE)."""
    answer = await rp.get("/.well-known/openid-configuration")
    metadata = answer.json
    assert metadata["issuer"] == rp.op.issuer
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["backchannel_logout_supported"] is True
    assert metadata["backchannel_logout_session_supported"] is True
    assert set(metadata["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic",
        "client_secret_jwt",
        "client_secret_post",
        "private_key_jwt",
    }
    for endpoint in ("authorization", "token", "userinfo", "end_session", "revocation"):
        assert metadata[f"{endpoint}_endpoint"].startswith(f"{rp.op.issuer}/")


async def test_jwks_publishes_no_private_part(rp: DemoRp) -> None:
    """RFC 7517 section 9.2: a published set holds public keys; after a rotation both of them."""
    rp.op.keys.rotate()
    keys = (await rp.get("/jwks")).json["keys"]
    assert len({key["kid"] for key in keys}) == 2
    for key in keys:
        assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
        assert not {"d", "p", "q", "dp", "dq", "qi"} & key.keys()


# --- the code flow


async def test_login_and_consent_forms_lead_to_tokens(rp: DemoRp, browser: Browser) -> None:
    """OIDC Core sections 3.1.2 and 3.1.3: the whole flow; RFC 9207: `iss` comes with the code."""
    asking = rp.ask()
    login = await browser.navigate(asking.url)
    assert login.has_form("login")
    page = await browser.log_in_at_op(login, "alice")
    came = callback(page)
    assert came["state"] == asking.state
    assert came["iss"] == rp.op.issuer
    assert page.request_headers["Sec-Fetch-Site"] == "cross-site"

    answer = await rp.redeem(came["code"], asking.verifier)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 60
    assert answer.json["scope"].split() == SPA.scope.split()


async def test_id_token_says_who_when_and_how(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """OIDC Core sections 2 and 3.1.3.6: iss, aud, nonce, auth_time, acr, sid, at_hash."""
    asking = rp.ask()
    page = await browser.log_in_at_op(await browser.navigate(asking.url), "bob")
    tokens = (await rp.redeem(callback(page)["code"], asking.verifier)).json
    header, claims = rp.read_jwt(tokens["id_token"])
    now = int(clock.now())
    assert header["typ"] == "JWT"
    assert (claims["iss"], claims["aud"], claims["sub"]) == (rp.op.issuer, "spa", "bob")
    assert (claims["iat"], claims["exp"], claims["auth_time"]) == (now, now + 300, now)
    assert claims["nonce"] == asking.nonce
    assert claims["at_hash"] == half_hash(tokens["access_token"])
    assert claims["acr"] == SETTINGS.acr_values[0]
    assert claims["sid"] == rp.op.state.sessions("bob")[0].sid
    assert claims["email"] == "bob@example.test"


async def test_access_token_follows_the_jwt_profile(rp: DemoRp, browser: Browser) -> None:
    """RFC 9068 section 2: type at+jwt, and iss, exp, aud, sub, client_id, iat, jti, scope."""
    tokens = await rp.log_in(browser, "bob")
    header, claims = rp.read_jwt(tokens["access_token"])
    assert header["typ"] == "at+jwt"
    assert claims["iss"] == rp.op.issuer
    assert claims["aud"] == "urn:demo:api"
    assert (claims["sub"], claims["client_id"]) == ("bob", "spa")
    assert claims["exp"] - claims["iat"] == 60
    assert claims["jti"]
    assert "api:read" in claims["scope"].split()


@pytest.mark.parametrize(
    ("user", "api_scope"),
    [("alice", {"api:read", "api:write"}), ("bob", {"api:read"}), ("carol", set())],
)
async def test_scope_is_narrowed_to_what_the_user_may_grant(
    rp: DemoRp, browser: Browser, user: str, api_scope: set[str]
) -> None:
    """RFC 6749 sections 3.3 and 5.1: less may be granted than asked, and the response tells."""
    tokens = await rp.log_in(browser, user, scope="openid api:read api:write api:admin invented")
    assert set(tokens["scope"].split()) == {"openid"} | api_scope
    assert set(rp.read_jwt(tokens["access_token"])[1]["scope"].split()) == {"openid"} | api_scope


async def test_consent_lists_the_scopes_that_would_be_granted(rp: DemoRp, browser: Browser) -> None:
    """The user sees what is granted, and no more: bob has no api:write to give."""
    login = await browser.navigate(rp.ask().url)
    form = {"username": "bob", "password": "builder"}
    consent = await browser.submit(login.form("login"), form, button="login")
    assert consent.has_form("consent")
    assert "<code>api:read</code>" in consent.text
    assert "<code>api:write</code>" not in consent.text


async def test_a_session_still_meets_the_consent_form(rp: DemoRp, browser: Browser) -> None:
    """With a session and a remembered consent the user still acts: no silent redirect."""
    await rp.log_in(browser)
    again = await browser.navigate(rp.ask().url)
    assert again.has_form("consent")
    assert not again.has_form("login")


async def test_wrong_password_shows_the_form_again(rp: DemoRp, browser: Browser) -> None:
    """No session begins with a wrong password, and no browser is redirected."""
    page = await browser.log_in_at_op(
        await browser.navigate(rp.ask().url), "alice", "looking-glass"
    )
    assert page.has_form("login")
    assert "alert" in page.text
    assert rp.op.state.sessions() == []


@pytest.mark.parametrize("form_id", ["login", "consent"])
async def test_cancel_is_access_denied(rp: DemoRp, browser: Browser, form_id: str) -> None:
    """RFC 6749 section 4.1.2.1, with the issuer named in the error too (RFC 9207 section 2)."""
    asking = rp.ask()
    page = await browser.navigate(asking.url)
    if form_id == "login":
        page = await browser.submit(page.form("login"), button="cancel")
    else:
        page = await browser.log_in_at_op(page, "alice", decision="cancel")
    came = callback(page)
    assert came["error"] == "access_denied"
    assert came["state"] == asking.state
    assert came["iss"] == rp.op.issuer
    assert "code" not in came


async def test_another_account_can_be_chosen_at_the_consent_form(
    rp: DemoRp, browser: Browser
) -> None:
    """Switching ends the other user's session, and the client of that session is told."""
    await rp.log_in(browser, "alice")
    consent = await browser.navigate(rp.ask().url)
    login = await browser.submit(consent.form("consent"), button="switch")
    page = await browser.log_in_at_op(login, "bob")
    assert "code" in callback(page)
    assert [session.user.sub for session in rp.op.state.sessions()] == ["bob"]
    await rp.op.back_channel.settle()
    assert len(rp.logout_tokens) == 1


# --- requests that are refused


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "stranger"},
        {"client_id": None},
        {"redirect_uri": "http://localhost:1/callback"},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": 'http://evil.test/"\u00e9'},
        {"redirect_uri": None},
    ],
)
async def test_unknown_client_or_redirect_uri_is_a_page(
    rp: DemoRp, browser: Browser, changes: dict[str, str | None]
) -> None:
    """RFC 6749 section 4.1.2.1, RFC 9700 section 4.11: never a redirect elsewhere."""
    page = await browser.navigate(rp.ask(**changes).url, follow=False)
    assert page.status == 400
    assert page.location is None
    assert "evil" not in page.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "\u0663"}, "invalid_request"),
        ({"request": "e30."}, "request_not_supported"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_errors_go_to_the_client_with_state_and_issuer(
    rp: DemoRp, browser: Browser, changes: dict[str, str | None], error: str
) -> None:
    """RFC 6749 section 4.1.2.1, RFC 7636 section 4.4.1, OIDC Core section 3.1.2.6, RFC 9207."""
    asking = rp.ask(**changes)
    came = callback(await browser.navigate(asking.url))
    assert came["error"] == error
    assert (came["state"], came["iss"]) == (asking.state, rp.op.issuer)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "nonce", "unheard_of"])
async def test_repeated_parameters_are_refused(rp: DemoRp, browser: Browser, name: str) -> None:
    """RFC 6749 section 3.1: parameters must not be included more than once."""
    page = await browser.navigate(f"{rp.ask().url}&{name}=x&{name}=x", follow=False)
    assert (page.status, page.location) == (400, None)


async def test_what_an_error_text_may_not_hold_is_refused_all_the_same(
    rp: DemoRp, browser: Browser
) -> None:
    """RFC 6749 section 4.1.2.1: error texts are ASCII; a value that is not must not break us."""
    page = await browser.navigate(rp.ask(response_type='c\u00f6de"').url, follow=False)
    assert (page.status, page.location) == (400, None)


# --- prompt, max_age, acr


async def test_prompt_none_answers_without_a_form(rp: DemoRp, browser: Browser) -> None:
    """OIDC Core section 3.1.2.1: with session and consent the code comes at once."""
    await rp.log_in(browser, scope="openid profile")
    asking = rp.ask(prompt="none", scope="openid")
    came = callback(await browser.navigate(asking.url))
    tokens = (await rp.redeem(came["code"], asking.verifier)).json
    assert rp.read_jwt(tokens["id_token"])[1]["nonce"] == asking.nonce


async def test_prompt_none_without_consent_is_consent_required(
    rp: DemoRp, browser: Browser
) -> None:
    """OIDC Core section 3.1.2.6: what was consented to does not cover api:read."""
    await rp.log_in(browser, scope="openid")
    came = callback(await browser.navigate(rp.ask(prompt="none", scope="openid api:read").url))
    assert came["error"] == "consent_required"


@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "60"}])
async def test_a_fresh_login_can_be_demanded(
    rp: DemoRp, browser: Browser, clock: ManualClock, changes: dict[str, str | None]
) -> None:
    """OIDC Core section 3.1.2.1: the user logs in again; `auth_time` is new, `sid` is not."""
    first = rp.read_jwt((await rp.log_in(browser))["id_token"])[1]
    clock.advance(61)
    asking = rp.ask(**changes)
    login = await browser.navigate(asking.url)
    assert login.has_form("login")
    page = await browser.log_in_at_op(login, "alice")
    tokens = (await rp.redeem(callback(page)["code"], asking.verifier)).json
    claims = rp.read_jwt(tokens["id_token"])[1]
    assert claims["auth_time"] == first["auth_time"] + 61
    assert claims["sid"] == first["sid"]


async def test_max_age_is_silent_while_the_login_is_recent(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """OIDC Core section 3.1.2.1: only an older login is repeated; prompt=none then reports it."""
    await rp.log_in(browser)
    clock.advance(60)
    assert "code" in callback(await browser.navigate(rp.ask(prompt="none", max_age="60").url))
    clock.advance(1)
    came = callback(await browser.navigate(rp.ask(prompt="none", max_age="60").url))
    assert came["error"] == "login_required"


async def test_a_stronger_acr_needs_a_login_and_is_echoed(rp: DemoRp, browser: Browser) -> None:
    """OIDC Core section 3.1.2.1 (acr_values): unknown values are passed over."""
    strong = SETTINGS.acr_values[1]
    weak = rp.read_jwt((await rp.log_in(browser))["id_token"])[1]
    assert weak["acr"] == SETTINGS.acr_values[0]
    came = callback(await browser.navigate(rp.ask(prompt="none", acr_values=strong).url))
    assert came["error"] == "login_required"
    stepped_up = await rp.log_in(browser, acr_values=f"urn:unknown {strong}")
    assert rp.read_jwt(stepped_up["id_token"])[1]["acr"] == strong
    assert rp.read_jwt(stepped_up["access_token"])[1]["acr"] == strong
    assert "code" in callback(await browser.navigate(rp.ask(prompt="none", acr_values=strong).url))
    content = await rp.log_in(browser, acr_values=SETTINGS.acr_values[0])
    assert rp.read_jwt(content["id_token"])[1]["acr"] == SETTINGS.acr_values[0]


async def test_login_hint_preselects_the_account(rp: DemoRp, browser: Browser) -> None:
    """OIDC Core section 3.1.2.1: a hint only; an unknown one changes nothing."""
    hinted = await browser.navigate(rp.ask(login_hint="carol").url)
    assert ("username", "carol") in hinted.form("login").fields
    other = await browser.navigate(rp.ask(login_hint="<mallory>").url)
    assert ("username", "alice") in other.form("login").fields
    assert "mallory" not in other.text


# --- the forms defend themselves


async def test_forms_are_bound_to_browser_and_token(rp: DemoRp, browser: Browser) -> None:
    """An interaction belongs to one browser, and a form without its token is refused."""
    login = await browser.navigate(rp.ask().url)
    form = login.form("login")
    good = {"username": "alice", "password": "wonderland"}
    forged = await browser.submit(form, {**good, "form_token": "0" * 64}, button="login")
    assert forged.status == 403
    async with Browser() as other:
        assert (await other.navigate(login.url)).status == 410
        assert (await other.submit(form, good, button="login")).status == 410
    assert rp.op.state.sessions() == []


async def test_consent_cannot_be_posted_before_the_login(rp: DemoRp, browser: Browser) -> None:
    """Every step judges the request anew: the second form does not skip the first."""
    await rp.log_in(browser)
    login = await browser.navigate(rp.ask(prompt="login").url)
    form = login.form("login")
    skipping = replace(form, action=form.action.replace("/login", "/consent"))
    page = await browser.submit(skipping, {"decision": "allow"})
    assert page.has_form("login")
    assert page.location is None


async def test_an_interaction_is_used_once_and_expires(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """The back button after the redirect finds nothing to repeat; nor does a tab left open."""
    consent = await browser.navigate(rp.ask().url)
    await browser.log_in_at_op(consent, "alice")
    assert (await browser.navigate(consent.url)).status == 410
    waiting = await browser.navigate(rp.ask().url)
    clock.advance(SETTINGS.interaction_seconds)
    assert (await browser.navigate(waiting.url)).status == 410


async def test_pages_carry_a_strict_policy(rp: DemoRp, browser: Browser) -> None:
    """CSP level 3: nothing is loaded, no page frames the form, and the form may lead to the client.

    Chromium applies `form-action` to the redirects after a form, so the client must be in it.
    """
    page = await browser.navigate(rp.ask().url)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert f"form-action 'self' {rp.origin};" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "<script" not in page.text
    assert browser.cookies.rejected == []
    assert all(cookie.http_only for cookie in browser.cookies)


async def test_authorize_takes_a_form_as_well(rp: DemoRp, browser: Browser) -> None:
    """OIDC Core section 3.1.2.1: the endpoint must support GET and POST."""
    asking = rp.ask()
    query = dict(parse_qs(urlsplit(asking.url).query))
    body = urlencode({name: values[0] for name, values in query.items()})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with rp.http.post(
        f"{rp.op.issuer}/authorize", data=body, headers=headers, allow_redirects=False
    ) as response:
        assert response.status == 303
        assert response.headers["Location"].startswith("/interaction/")


async def test_a_stronger_acr_takes_a_second_step(rp: DemoRp, browser: Browser) -> None:
    """A password alone is refused; the code that the page prints is taken."""
    page = await browser.navigate(rp.ask(acr_values=SETTINGS.acr_values[1]).url)
    values = {"username": "alice", "password": "wonderland", "code": "000000"}
    page = await browser.submit(page.form("login"), values, button="login")
    assert "do not match" in page.text
    values["code"] = SECOND_STEP_CODE
    page = await browser.submit(page.form("login"), values, button="login")
    assert page.has_form("consent")
