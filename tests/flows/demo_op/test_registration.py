"""The demo OP registers clients (RFC 7591), strict about where codes may go, and lets each manage
itself (RFC 7592). Each attempt leaves an audit entry without a secret."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.parts.demo_rp import DemoRp, running_rp
from tests.parts.demo_servers import API, CALLBACK, SETTINGS

INITIAL = "initial-access-token-of-a-test"
ASKED = {
    "redirect_uris": ["https://app.example.com/bff/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid email",
}


@pytest.fixture
async def rp() -> AsyncIterator[DemoRp]:
    async with running_rp(replace(SETTINGS, initial_access_token=INITIAL)) as running:
        yield running


async def call(
    rp: DemoRp, method: str, url: str, token: str | None, document: object = None
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    url = url if url.startswith("http") else f"{rp.op.issuer}{url}"
    async with rp.http.request(method, url, headers=headers, json=document) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json() if answer.status != 204 else None


async def register(rp: DemoRp, **changes: object) -> tuple[int, Any]:
    return await call(rp, "POST", "/register", INITIAL, {**ASKED, **changes})


async def test_an_op_without_an_initial_access_token_registers_no_client() -> None:
    async with running_rp() as plain:
        assert (
            "registration_endpoint"
            not in (await plain.get("/.well-known/openid-configuration")).json
        )
        async with plain.http.post(f"{plain.op.issuer}/register", json=ASKED) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("token", [None, "", "x", INITIAL[:-1]])
async def test_only_the_initial_access_token_registers(rp: DemoRp, token: str | None) -> None:
    """RFC 7591 section 3: by a bearer token (RFC 6750)."""
    status, answer = await call(rp, "POST", "/register", token, ASKED)
    assert (status, answer["error"]) == (401, "invalid_token")
    assert rp.op.state.counters.registrations == {"register refused": 1}


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/callback",
        "https://*.example.com/callback",
        "https://app.example.com/*",
        "https://app.example.com/callback#x",
        "https://app.example.com/callback#",
        "https://user@app.example.com/callback",
        "app.example.com/callback",
        "javascript:alert(1)",
        "https:///callback",
        "",
        None,
        7,
    ],
)
async def test_a_redirect_uri_is_complete_and_safe(rp: DemoRp, uri: object) -> None:
    """RFC 9700 section 2.1: https or loopback, no wildcard; RFC 6749 section 3.1.2: no fragment."""
    status, answer = await register(rp, redirect_uris=[CALLBACK, uri])
    assert (status, answer["error"]) == (400, "invalid_redirect_uri")
    assert rp.op.state.counters.registrations == {"register refused": 1}


@pytest.mark.parametrize("uris", [None, [], "https://app.example.com/", ["https://a.example"] * 11])
async def test_redirect_uris_are_a_list_of_a_few(rp: DemoRp, uris: object) -> None:
    status, answer = await register(rp, redirect_uris=uris)
    assert (status, answer["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
        ({"response_types": ["code token"]}, "invalid_client_metadata"),
        ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
        ({"post_logout_redirect_uris": ["https://*.example.com/"]}, "invalid_client_metadata"),
        ({"backchannel_logout_uri": "http://app.example.com/"}, "invalid_client_metadata"),
        ({"client_name": "a\nname"}, "invalid_client_metadata"),
        ({"scope": 7}, "invalid_client_metadata"),
        ({"software_statement": "e30.e30."}, "unapproved_software_statement"),
    ],
)
async def test_what_this_op_cannot_do_is_refused(
    rp: DemoRp, change: dict[str, object], code: str
) -> None:
    """RFC 7591 section 3.2.2."""
    status, answer = await register(rp, **change)
    assert (status, answer["error"]) == (400, code)


@pytest.mark.parametrize("body", [[], "x", None])
async def test_a_body_that_is_no_object_is_refused(rp: DemoRp, body: object) -> None:
    status, answer = await call(rp, "POST", "/register", INITIAL, body)
    assert (status, answer["error"]) == (400, "invalid_client_metadata")


async def test_the_answer_says_what_was_registered(rp: DemoRp) -> None:
    """RFC 7591 section 3.2.1: with defaults, without the scope and the members that are unknown."""
    status, answer = await register(rp, scope="openid email nothing", software_version="1")
    assert status == 201
    assert answer["scope"] == "openid email"
    assert answer["token_endpoint_auth_method"] == "client_secret_basic"
    assert answer["client_secret_expires_at"] == 0
    assert "software_version" not in answer
    assert answer["registration_client_uri"].startswith(f"{rp.op.issuer}/register/")


async def test_a_registered_client_manages_itself_and_no_other(
    rp: DemoRp, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 7592: read, update (with a new token) and delete, each by the token of that client."""
    caplog.set_level(logging.INFO, "spa_demo.op.audit")
    _, one = await register(rp)
    _, other = await register(rp)
    url, token = one["registration_client_uri"], one["registration_access_token"]
    for wrong in (None, INITIAL, other["registration_access_token"], one["client_secret"]):
        for method in ("GET", "PUT", "DELETE"):
            assert (await call(rp, method, url, wrong, ASKED))[0] == 401
    status, read = await call(rp, "GET", url, token)
    assert (status, read["redirect_uris"]) == (200, ASKED["redirect_uris"])
    moved = {**ASKED, "client_id": one["client_id"], "redirect_uris": ["https://b.example/cb"]}
    for stolen in (
        {"client_id": other["client_id"]},
        {"client_secret": other["client_secret"]},
        {"redirect_uris": ["https://*.example/"]},
    ):
        assert (await call(rp, "PUT", url, token, {**moved, **stolen}))[0] == 400
    status, updated = await call(rp, "PUT", url, token, moved)
    assert (status, updated["redirect_uris"]) == (200, ["https://b.example/cb"])
    assert (await call(rp, "GET", url, token))[0] == 401, "the token was replaced"
    assert (await call(rp, "DELETE", url, updated["registration_access_token"]))[0] == 204
    assert (await call(rp, "GET", url, updated["registration_access_token"]))[0] == 401
    assert (await call(rp, "GET", "/register/spa", ""))[0] == 401, "configured by hand"

    entries = "\n".join(record.getMessage() for record in caplog.records)
    for action in ("register done", "read done", "update refused", "update done", "delete done"):
        assert f'client "{one["client_id"]}": {action}' in entries
    assert "https://b.example/cb" in entries
    for answer in (one, other, updated):
        for name in ("client_secret", "registration_access_token"):
            assert answer.get(name, "?" * 9) not in entries


async def test_the_grants_of_a_client_end_with_it(rp: DemoRp) -> None:
    """RFC 7592 section 2.3."""
    _, client = await register(rp, grant_types=["client_credentials"])
    secrets = {name: client[name] for name in ("client_id", "client_secret")}
    form = {"grant_type": "client_credentials", **secrets}
    access_token = (await post(rp, "/token", form))["access_token"]
    about = {"token": access_token, "client_id": "api", "client_secret": API.client_secret}
    assert (await post(rp, "/introspect", about))["active"] is True
    token = client["registration_access_token"]
    assert (await call(rp, "DELETE", client["registration_client_uri"], token))[0] == 204
    assert (await post(rp, "/introspect", about))["active"] is False
    assert (await post(rp, "/token", form))["error"] == "invalid_client"


async def test_a_client_has_the_grant_types_that_it_registered(rp: DemoRp) -> None:
    _, client = await register(rp)
    secrets = {name: client[name] for name in ("client_id", "client_secret")}
    answer = await post(rp, "/token", {"grant_type": "client_credentials", **secrets})
    assert answer["error"] == "unauthorized_client"


async def post(rp: DemoRp, path: str, form: dict[str, str]) -> Any:
    async with rp.http.post(f"{rp.op.issuer}{path}", data=form) as answer:
        return await answer.json()


async def test_there_is_an_end_to_what_a_demo_remembers(rp: DemoRp) -> None:
    for _ in range(100):
        assert (await register(rp))[0] == 201
    assert (await register(rp))[0] == 400
