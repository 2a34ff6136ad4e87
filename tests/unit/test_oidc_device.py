"""What the OP answers to a device authorization request, and to questions about a device code."""

from collections.abc import Mapping

import pytest

from bff.errors import (
    BffError,
    ClientRejected,
    LoginDenied,
    LoginExpired,
    LoginRefused,
    OpAnswerMalformed,
    OpUnavailable,
)
from bff.oidc.provider.endpoint_url import PlainHttp, is_endpoint_url
from bff.oidc.provider.strict_json import NOT_JSON
from bff.oidc.steps.device import DeviceAuthorization, process_device_response
from bff.oidc.steps.token_endpoint import AuthorizationPending, Grant, process_token_response

ANSWER: dict[str, object] = {
    "device_code": "device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://op.example.test/device",
    "verification_uri_complete": "https://op.example.test/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 7,
}


def process(document: object, status: int = 200) -> DeviceAuthorization:
    return process_device_response(
        status, document, lambda url: is_endpoint_url(url, PlainHttp.NEVER)
    )


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in ANSWER.items() if name not in names}


def test_the_codes_of_an_answer() -> None:
    found = process(ANSWER)
    assert (found.device_code, found.user_code) == ("device-code", "WDJB-MJHT")
    assert (found.expires_in_seconds, found.interval_seconds) == (1800, 7)
    assert found.verification_uri == ANSWER["verification_uri"]
    assert found.verification_uri_complete == ANSWER["verification_uri_complete"]
    assert "device-code" not in repr(found)
    assert "WDJB" not in repr(found)


@pytest.mark.parametrize(
    ("changes", "interval"),
    [({}, 7), ({"interval": None}, 5), ({"interval": 0}, 5), ({"interval": "9"}, 9)],
)
def test_five_seconds_where_the_op_names_no_interval(
    changes: Mapping[str, object], interval: float
) -> None:
    """RFC 8628 section 3.2."""
    assert process({**ANSWER, **changes}).interval_seconds == interval


def test_the_complete_uri_may_be_missing_and_the_uri_have_its_older_name() -> None:
    bare = without("verification_uri", "verification_uri_complete")
    found = process({**bare, "verification_url": "https://op.example.test/d"})
    assert found.verification_uri == "https://op.example.test/d"
    assert found.verification_uri_complete is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        NOT_JSON,
        [],
        *(without(name) for name in ("device_code", "user_code", "verification_uri", "expires_in")),
        {**ANSWER, "device_code": ""},
        {**ANSWER, "device_code": "a\nb"},
        {**ANSWER, "device_code": "x" * 4097},
        {**ANSWER, "user_code": "x" * 65},
        {**ANSWER, "user_code": "a\x00"},
        {**ANSWER, "user_code": 1234},
        {**ANSWER, "verification_uri": "javascript:alert(1)"},
        {**ANSWER, "verification_uri": "http://op.example.test/device"},
        {**ANSWER, "verification_uri_complete": "javascript:alert(1)"},
        {**ANSWER, "verification_uri_complete": 7},
        {**ANSWER, "expires_in": 0},
        {**ANSWER, "expires_in": True},
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(document: object) -> None:
    """A page shows the addresses as links: neither runs a script nor leads out of TLS."""
    with pytest.raises(OpAnswerMalformed):
        process(document)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "invalid_scope", LoginRefused),
        (400, "unauthorized_client", ClientRejected),
        (401, "invalid_client", ClientRejected),
        (404, "", OpAnswerMalformed),
        (302, "", OpAnswerMalformed),
    ],
)
def test_what_a_refusal_means(status: int, code: str, error: type[BffError]) -> None:
    with pytest.raises(error):
        process({"error": code}, status)


def ask(status: int, document: object) -> object:
    return process_token_response(status, document, grant=Grant.DEVICE, now=0.0, scope="openid")


@pytest.mark.rule("DL-03")
@pytest.mark.parametrize(
    ("status", "code", "slow_down"),
    [
        (400, "authorization_pending", False),
        (428, "authorization_pending", False),
        (400, "slow_down", True),
        (403, "slow_down", True),
    ],
)
def test_the_user_has_not_decided(status: int, code: str, *, slow_down: bool) -> None:
    """RFC 8628 section 3.5; some OPs have other 4xx for it."""
    with pytest.raises(AuthorizationPending) as pending:
        ask(status, {"error": code})
    assert pending.value.slow_down is slow_down


@pytest.mark.parametrize(
    ("status", "document", "error"),
    [
        (400, {"error": "access_denied"}, LoginDenied),
        (403, {"error": "access_denied"}, LoginDenied),
        (400, {"error": "expired_token"}, LoginExpired),
        (400, {"error": "invalid_grant"}, LoginExpired),
        (400, {"error": "invalid_request"}, LoginRefused),
        (400, {"error": "unauthorized_client"}, ClientRejected),
        (401, {"error": "invalid_client"}, ClientRejected),
        (400, {"error": "temporarily_unavailable"}, OpUnavailable),
        (404, NOT_JSON, OpAnswerMalformed),
        (302, {"error": "authorization_pending"}, OpAnswerMalformed),
        (200, {"error": "authorization_pending"}, OpAnswerMalformed),
    ],
)
def test_an_answer_that_ends_the_login_or_says_nothing(
    status: int, document: object, error: type[BffError]
) -> None:
    with pytest.raises(error):
        ask(status, document)
