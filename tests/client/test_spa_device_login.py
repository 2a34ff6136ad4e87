"""The browser client's part in a login by device code, and the QR code of the demo page."""

import hashlib
from typing import Any

import pytest

from tests.client.spa_node import USER, in_browser, needs_node, problem, run_js

BEGUN = {
    "body": {
        "status_url": "/bff/device/d1",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://op.test/device",
        "verification_uri_complete": "https://op.test/device?user_code=WDJB-MJHT",
        "expires_in": 600,
        "interval": 0.001,
    }
}
PENDING = {"body": {"status": "pending", "interval": 0.001, "expires_in": 599}}
COMPLETE = {"body": {"status": "complete"}}
DECIDE = "const login = await client.deviceLogin(); return attempt(() => login.decided());"


@needs_node
def test_the_page_is_told_what_to_show() -> None:
    shown, asked = in_browser(
        "return [await client.deviceLogin({ idp: 'a b' }), asked];",
        {"body": {**BEGUN["body"], "verification_uri_complete": None}},
    )
    assert shown == {
        "userCode": "WDJB-MJHT",
        "verificationUri": "https://op.test/device",
        "verificationUriComplete": None,
        "expiresIn": 600,
    }
    (begun,) = asked
    assert (begun["method"], begun["csrf"]) == ("POST", "1")
    assert begun["url"] == "https://app.test/bff/device?idp=a+b"


@needs_node
def test_it_asks_until_the_user_has_allowed_it_and_is_the_user_then() -> None:
    """Trouble that may pass ends nothing: no answer, a 503, a 429."""
    user, asked = in_browser(
        "const login = await client.deviceLogin(); return [await login.decided(), asked];",
        BEGUN,
        PENDING,
        None,
        problem(503, code="store_unavailable", retry_after=0),
        problem(429, code="rate_limited", retry_after=0),
        PENDING,
        COMPLETE,
        {"body": USER},
    )
    assert user == USER
    polls = [one for one in asked if one["url"] == "https://app.test/bff/device/d1"]
    assert len(polls) == 6
    assert {(one["method"], one["cache"], one["csrf"]) for one in polls} == {
        ("GET", "no-store", "1")
    }


@needs_node
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(403, code="login_denied"), "login_denied"),
        (problem(400, code="login_expired"), "login_expired"),
        (problem(400, code="login_browser_mismatch"), "login_browser_mismatch"),
        (problem(502, code="id_token_invalid"), "id_token_invalid"),
        ({"body": {"status": "?"}}, "malformed"),
        ({"body": {"status": "pending"}}, "malformed"),
    ],
)
def test_what_ends_the_login_is_thrown(answer: dict[str, Any], code: str) -> None:
    assert in_browser(DECIDE, BEGUN, answer)["code"] == code


@needs_node
def test_it_does_not_ask_for_ever_where_no_answer_comes() -> None:
    """Once the codes are no longer good."""
    begun = {"body": {**BEGUN["body"], "expires_in": 0}}
    got = in_browser(DECIDE, begun, None)
    assert (got["name"], got["code"]) == ("UnavailableError", "unreachable")


@needs_node
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(404, code="not_found"), "not_found"),
        (problem(429, code="rate_limited"), "rate_limited"),
        ({"body": {}}, "malformed"),
        ({"text": "<p>"}, "malformed"),
    ],
)
def test_a_login_that_does_not_begin_is_thrown(answer: dict[str, Any], code: str) -> None:
    assert in_browser("return attempt(() => client.deviceLogin());", answer)["code"] == code


@needs_node
def test_a_page_may_stop_waiting() -> None:
    """It asks no more, and what it was stopped with is thrown."""
    begun = {"body": {**BEGUN["body"], "interval": 3600}}
    work = """
const login = await client.deviceLogin();
const stop = new AbortController();
const stopped = login.decided({ signal: stop.signal }).catch((error) => error);
stop.abort('gone');
const again = await login.decided({ signal: stop.signal }).catch((error) => error);
return [await stopped, again, asked.length];
"""
    assert in_browser(work, begun) == ["gone", "gone", 1]


@needs_node
@pytest.mark.parametrize(
    ("text", "size", "digest"),
    [
        ("a", 21, "bf35b1e154e92eb4"),
        ("http://127.0.0.1:9400/device?user_code=WDJB-MJHT", 29, "07e403699de8ed95"),
        ("z" * 107, 41, "ea204a1ef57ad52b"),
        ("ü" * 60, 41, "fb03e0179bd98152"),
    ],
)
def test_the_qr_code_is_that_of_the_standard(text: str, size: int, digest: str) -> None:
    """Each was compared, module by module, with that of PyPI's `qrcode` for the same mask."""
    rows = run_js(
        f"const {{ qrModules }} = await import(SPA + 'qr-code.js'); return qrModules({text!r});"
    )
    assert {len(row) for row in rows} == {size} == {len(rows)}
    drawn = "\n".join("".join("1" if dark else "0" for dark in row) for row in rows)
    assert hashlib.sha256(drawn.encode()).hexdigest().startswith(digest)


@needs_node
def test_a_text_that_is_too_long_has_no_qr_code() -> None:
    work = "const { qrModules } = await import(SPA + 'qr-code.js');"
    work += "return [qrModules('w'.repeat(134)) !== null, qrModules('w'.repeat(135))];"
    assert run_js(work) == [True, None]
