"""The demo OP's token endpoint: codes, refresh rotation, client authentication."""

import asyncio
from dataclasses import replace

import pytest

from bff.clock import ManualClock
from spa_demo.op.tokens import half_hash
from tests.parts.browser import Browser
from tests.parts.demo_rp import DemoRp, callback, running_rp
from tests.parts.demo_servers import API, CALLBACK, SETTINGS, SPA
from tests.polling import until

# --- the token endpoint


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": CALLBACK},
        {"redirect_uri": ""},
        {"code": "invented"},
    ],
)
async def test_a_code_needs_its_verifier_and_redirect_uri(
    rp: DemoRp, browser: Browser, changes: dict[str, str]
) -> None:
    """RFC 7636 section 4.6, RFC 6749 section 4.1.3."""
    asking = rp.ask()
    page = await browser.log_in_at_op(await browser.navigate(asking.url), "alice")
    answer = await rp.redeem(callback(page)["code"], asking.verifier, **changes)
    assert answer.status == 400
    expected = "invalid_request" if changes == {"code_verifier": ""} else "invalid_grant"
    assert answer.json["error"] == expected


async def test_a_code_is_of_use_to_its_own_client_only(browser: Browser) -> None:
    """RFC 6749 section 4.1.3: the code was issued to the client that presents it."""
    thief = replace(SPA, client_id="thief", client_secret="thief-secret")
    async with running_rp(replace(SETTINGS, clients=(SPA, thief))) as rp:
        asking = rp.ask()
        page = await browser.log_in_at_op(await browser.navigate(asking.url), "alice")
        form = {
            "grant_type": "authorization_code",
            "code": callback(page)["code"],
            "redirect_uri": f"{rp.origin}/callback",
            "code_verifier": asking.verifier,
        }
        stolen = await rp.post("/token", form, auth=("thief", "thief-secret"))
        assert (stolen.status, stolen.json["error"]) == (400, "invalid_grant")
        assert (await rp.redeem(form["code"], asking.verifier)).status == 200


async def test_a_code_expires(rp: DemoRp, browser: Browser, clock: ManualClock) -> None:
    """RFC 6749 section 4.1.2: codes are short-lived."""
    asking = rp.ask()
    page = await browser.log_in_at_op(await browser.navigate(asking.url), "alice")
    clock.advance(SETTINGS.code_seconds)
    answer = await rp.redeem(callback(page)["code"], asking.verifier)
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")


async def test_a_code_used_twice_revokes_what_it_gave(rp: DemoRp, browser: Browser) -> None:
    """RFC 6749 section 4.1.2: deny the second use and revoke the tokens of the first."""
    asking = rp.ask()
    page = await browser.log_in_at_op(await browser.navigate(asking.url), "alice")
    code = callback(page)["code"]
    tokens = (await rp.redeem(code, asking.verifier)).json
    again = await rp.redeem(code, asking.verifier)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    assert (await rp.refresh(tokens["refresh_token"])).json["error"] == "invalid_grant"
    assert (await rp.get("/userinfo", tokens["access_token"])).status == 401
    assert rp.op.state.counters.code_reuse_detected == 1
    assert rp.op.state.counters.reuse_detected == 0


async def test_refresh_rotates_and_returns_an_id_token_without_nonce(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """RFC 6749 section 6, OIDC Core section 12.2: same iss, sub, aud, auth_time; no nonce."""
    first = await rp.log_in(browser)
    clock.advance(30)
    answer = await rp.refresh(first["refresh_token"])
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["refresh_token"] != first["refresh_token"]
    old, new = (rp.read_jwt(t["id_token"])[1] for t in (first, answer.json))
    assert "nonce" not in new
    for name in ("iss", "sub", "aud", "auth_time", "acr", "sid"):
        assert new[name] == old[name]
    assert new["iat"] == old["iat"] + 30
    assert new["at_hash"] == half_hash(answer.json["access_token"])


async def test_a_spent_refresh_token_ends_its_family(rp: DemoRp, browser: Browser) -> None:
    """RFC 9700 section 4.14.2: reuse is detected, counted, and the successor dies with it."""
    first = await rp.log_in(browser)
    second = (await rp.refresh(first["refresh_token"])).json
    third = (await rp.refresh(second["refresh_token"])).json
    replayed = await rp.refresh(first["refresh_token"])
    assert (replayed.status, replayed.json) == (400, {"error": "invalid_grant"})
    assert (await rp.refresh(third["refresh_token"])).status == 400
    counters = rp.op.state.counters
    assert (counters.refreshes, counters.reuse_detected) == (2, 1)
    assert list(counters.reuse_by_family.values()) == [1]
    assert rp.op.state.active_families() == []


async def test_another_login_of_the_user_survives_reuse(rp: DemoRp, browser: Browser) -> None:
    """RFC 9700 section 4.14.2: it is the family that dies, not the user's other sessions."""
    first = await rp.log_in(browser)
    async with Browser() as elsewhere:
        other = await rp.log_in(elsewhere)
    await rp.refresh(first["refresh_token"])
    await rp.refresh(first["refresh_token"])
    assert (await rp.refresh(other["refresh_token"])).status == 200


async def test_refresh_may_narrow_but_not_widen(rp: DemoRp, browser: Browser) -> None:
    """RFC 6749 section 6; the next refresh has the original scope again."""
    first = await rp.log_in(browser, scope="openid api:read")
    widened = await rp.refresh(first["refresh_token"], scope="openid api:read api:write")
    assert (widened.status, widened.json["error"]) == (400, "invalid_scope")
    narrowed = (await rp.refresh(first["refresh_token"], scope="api:read")).json
    assert narrowed["scope"] == "api:read"
    assert "id_token" not in narrowed
    assert (await rp.refresh(narrowed["refresh_token"])).json["scope"] == "openid api:read"


async def test_a_refresh_token_expires(rp: DemoRp, browser: Browser, clock: ManualClock) -> None:
    """An expired refresh token is invalid_grant, and no sign of a leak."""
    tokens = await rp.log_in(browser)
    clock.advance(SETTINGS.refresh_token_seconds)
    assert (await rp.refresh(tokens["refresh_token"])).json["error"] == "invalid_grant"
    assert rp.op.state.counters.reuse_detected == 0


async def test_client_credentials_give_an_api_token_only(rp: DemoRp) -> None:
    """RFC 6749 section 4.4.3: no refresh token, and no scope that speaks of a user."""
    form = {"grant_type": "client_credentials", "scope": "openid api:read api:admin"}
    answer = await rp.post("/token", form)
    assert answer.json["scope"] == "api:read"
    assert not {"refresh_token", "id_token"} & answer.json.keys()
    assert rp.read_jwt(answer.json["access_token"])[1]["sub"] == "spa"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request"),
        ({"grant_type": "authorization_code"}, 400, "invalid_request"),
        ({"grant_type": "client_credentials", "client_secret": "x"}, 400, "invalid_request"),
    ],
)
async def test_malformed_token_requests(
    rp: DemoRp, form: dict[str, str], status: int, error: str
) -> None:
    """RFC 6749 sections 5.2 and 2.3 (one authentication method a request)."""
    answer = await rp.post("/token", form)
    assert (answer.status, answer.json["error"]) == (status, error)


@pytest.mark.parametrize("auth", [("spa", "wrong"), ("stranger", "spa-secret"), ("spa", ""), None])
async def test_wrong_client_credentials_are_invalid_client(
    rp: DemoRp, auth: tuple[str, str] | None
) -> None:
    """RFC 6749 section 5.2: 401 with a challenge, for every endpoint that clients call."""
    form = {"grant_type": "client_credentials", "token": "x"}
    for path in ("/token", "/revoke", "/introspect"):
        answer = await rp.post(path, form, auth=auth)
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_a_client_may_not_use_a_grant_it_was_not_given(rp: DemoRp) -> None:
    """RFC 6749 section 5.2: the API client introspects and does nothing else."""
    credentials = (API.client_id, API.client_secret)
    answer = await rp.post("/token", {"grant_type": "client_credentials"}, auth=credentials)
    assert answer.json["error"] == "unauthorized_client"


async def test_client_secret_post_is_accepted(rp: DemoRp) -> None:
    """RFC 6749 section 2.3.1: credentials in the body, as the metadata says."""
    form = {"grant_type": "client_credentials", "client_id": "spa", "client_secret": "spa-secret"}
    assert (await rp.post("/token", form, auth=None)).status == 200


async def test_basic_credentials_are_form_decoded(clock: ManualClock) -> None:
    """RFC 6749 section 2.3.1: id and secret are form-url-encoded, `+` for a space included."""
    odd = replace(API, client_id="a:b c", client_secret="p%+&/=:\u00fc x")
    async with running_rp(replace(SETTINGS, clients=(SPA, odd)), clock) as rp:
        answer = await rp.post(
            "/introspect", {"token": "x"}, auth=(odd.client_id, odd.client_secret)
        )
        assert (answer.status, answer.json) == (200, {"active": False})


async def test_a_token_request_with_a_repeated_parameter(rp: DemoRp) -> None:
    """RFC 6749 section 3.2: parameters must not be included more than once."""
    body = "grant_type=client_credentials&scope=api:read&scope=api:write"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with rp.http.post(f"{rp.op.issuer}/token", data=body, headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "invalid_request"


async def test_tokens_are_not_logged(
    rp: DemoRp, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """No token, code or secret reaches a log, at any level."""
    caplog.set_level("DEBUG")
    asking = rp.ask()
    page = await browser.log_in_at_op(await browser.navigate(asking.url), "alice")
    code = callback(page)["code"]
    tokens = (await rp.redeem(code, asking.verifier)).json
    await rp.refresh(tokens["refresh_token"])
    await rp.refresh(tokens["refresh_token"])
    secrets = [code, asking.verifier, SPA.client_secret, "wonderland"]
    secrets += [tokens[name] for name in ("access_token", "refresh_token", "id_token")]
    assert "reuse detected" in caplog.text
    for secret in secrets:
        assert secret not in caplog.text


async def test_a_delayed_answer_has_already_rotated(browser: Browser) -> None:
    """What a slow network does: the new token is in force, and only the answer holds it."""
    async with running_rp(replace(SETTINGS, token_delay_seconds=2)) as rp:
        tokens = await rp.log_in(browser)
        refresh = asyncio.create_task(rp.refresh(tokens["refresh_token"]))
        await until(lambda: rp.op.state.counters.refreshes == 1)
        assert not refresh.done()
        assert (await refresh).status == 200


async def test_the_lifetime_of_the_refresh_token_is_announced_on_demand(browser: Browser) -> None:
    """`refresh_expires_in` is no registered member: only a setting brings it."""
    async with running_rp(replace(SETTINGS, announce_refresh_lifetime=True)) as rp:
        tokens = await rp.log_in(browser)
        assert tokens["refresh_expires_in"] == SETTINGS.refresh_token_seconds
