"""The demo OP's userinfo, revocation, introspection, counts, and the program itself."""

from dataclasses import replace
from pathlib import Path

import aiohttp

from bff.clock import ManualClock
from tests.parts.browser import Browser
from tests.parts.command import running_command
from tests.parts.demo_rp import DemoRp, running_rp
from tests.parts.demo_servers import API, CALLBACK, SETTINGS, SPA
from tests.parts.program import module

ROOT = Path(__file__).parents[3]


# --- userinfo, revocation, introspection


async def test_userinfo_releases_what_the_scope_allows(rp: DemoRp, browser: Browser) -> None:
    """OIDC Core sections 5.3.2 and 5.4: `sub` always, name and e-mail by scope."""
    tokens = await rp.log_in(browser, scope="openid email")
    answer = await rp.get("/userinfo", tokens["access_token"])
    assert answer.json == {
        "sub": "alice",
        "email": "alice@example.test",
        "email_verified": True,
    }


async def test_userinfo_refuses_other_tokens(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """RFC 6750 section 3.1: missing, foreign, expired and insufficient tokens."""
    tokens = await rp.log_in(browser)
    without_openid = (await rp.refresh(tokens["refresh_token"], scope="api:read")).json
    missing = await rp.get("/userinfo")
    assert (missing.status, missing.headers["WWW-Authenticate"]) == (401, "Bearer")
    for wrong in (tokens["id_token"], without_openid["refresh_token"], "x"):
        answer = await rp.get("/userinfo", wrong)
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    answer = await rp.get("/userinfo", without_openid["access_token"])
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    clock.advance(60)
    assert (await rp.get("/userinfo", tokens["access_token"])).status == 401


async def test_revoking_a_refresh_token_ends_the_family(rp: DemoRp, browser: Browser) -> None:
    """RFC 7009 section 2.1: the access tokens of the grant are revoked with it."""
    tokens = await rp.log_in(browser)
    assert (await rp.post("/revoke", {"token": tokens["refresh_token"]})).status == 200
    assert (await rp.refresh(tokens["refresh_token"])).json["error"] == "invalid_grant"
    assert (await rp.get("/userinfo", tokens["access_token"])).status == 401
    counters = rp.op.state.counters
    assert (counters.revocations, counters.reuse_detected) == (1, 0)


async def test_revoking_an_access_token_spares_the_refresh_token(
    rp: DemoRp, browser: Browser
) -> None:
    """RFC 7009 section 2.1 leaves it open; this OP revokes that one token."""
    tokens = await rp.log_in(browser)
    await rp.post("/revoke", {"token": tokens["access_token"]})
    assert (await rp.get("/userinfo", tokens["access_token"])).status == 401
    assert (await rp.refresh(tokens["refresh_token"])).status == 200


async def test_unknown_and_foreign_tokens_at_the_revocation_endpoint(
    rp: DemoRp, browser: Browser
) -> None:
    """RFC 7009 section 2.2: 200 for an unknown token; another client's token is refused."""
    assert (await rp.post("/revoke", {"token": "unknown"})).status == 200
    tokens = await rp.log_in(browser)
    credentials = (API.client_id, API.client_secret)
    foreign = await rp.post("/revoke", {"token": tokens["refresh_token"]}, auth=credentials)
    assert foreign.status == 400
    assert (await rp.refresh(tokens["refresh_token"])).status == 200


async def test_introspection_tells_an_api_about_a_token(
    rp: DemoRp, browser: Browser, clock: ManualClock
) -> None:
    """RFC 7662 section 2.2: active with its meaning; inactive, and nothing else, when it is not."""
    credentials = (API.client_id, API.client_secret)
    tokens = await rp.log_in(browser, scope="openid api:read")
    answer = await rp.post("/introspect", {"token": tokens["access_token"]}, auth=credentials)
    assert answer.json["active"] is True
    assert (answer.json["sub"], answer.json["scope"]) == ("alice", "openid api:read")
    assert answer.json["client_id"] == "spa"
    assert answer.json["exp"] == int(clock.now()) + 60

    renewed = (await rp.refresh(tokens["refresh_token"])).json
    spent = await rp.post("/introspect", {"token": tokens["refresh_token"]}, auth=credentials)
    assert spent.json == {"active": False}
    assert (await rp.post("/introspect", {"token": renewed["refresh_token"]})).json[
        "active"
    ] is True
    clock.advance(60)
    expired = await rp.post("/introspect", {"token": renewed["access_token"]}, auth=credentials)
    assert expired.json == {"active": False}


async def test_a_client_cannot_introspect_the_token_of_another(
    rp: DemoRp, browser: Browser
) -> None:
    """RFC 7662 section 2.2: to a caller without permission the token is just inactive."""
    plain = replace(API, may_introspect=False)
    async with running_rp(replace(SETTINGS, clients=(SPA, plain))) as other:
        tokens = await other.log_in(browser)
        credentials = (plain.client_id, plain.client_secret)
        answer = await other.post(
            "/introspect", {"token": tokens["access_token"]}, auth=credentials
        )
        assert answer.json == {"active": False}


# --- counts and the stand-alone program


async def test_stats_count_and_name_no_token(rp: DemoRp, browser: Browser) -> None:
    """The counts that other tests rely on; served only where a setting asks for it."""
    tokens = await rp.log_in(browser)
    await rp.refresh(tokens["refresh_token"])
    stats = await rp.get("/debug/stats")
    assert stats.json["token_requests"] == {"authorization_code": 1, "refresh_token": 1}
    assert stats.json["refreshes"] == 1
    assert stats.json["refreshes_by_sub"] == {"alice": 1}
    assert stats.json["refreshes_by_sid"] == {rp.op.state.sessions()[0].sid: 1}
    assert (stats.json["reuse_detected"], stats.json["active_families"]) == (0, 1)
    async with running_rp(replace(SETTINGS, expose_test_stats=False)) as quiet:
        assert (await quiet.get("/debug/stats")).status == 404


async def test_the_program_prints_its_address_when_it_is_ready() -> None:
    """`python -m spa_demo.op --port 0` says where it listens, and answers there."""
    options = ("--port", "0", "--client-secret", "s", "--redirect-uri", CALLBACK)
    news = ("--backchannel-logout-uri", "http://localhost:8080/bff/b")
    async with running_command(module("spa_demo.op", *options, *news)) as program:
        issuer = (await program.line_with("http")).split()[-1]
        url = f"{issuer}/.well-known/openid-configuration"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert (await response.json())["issuer"] == issuer
        assert (await program.ended()).code == 0
