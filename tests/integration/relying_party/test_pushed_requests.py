"""What a relying party makes of the answers to a pushed request (RFC 9126): a reference that can be
used, or no login. A request never takes the other way because one has failed."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.errors import (
    BffError,
    ClientRejected,
    LoginRefused,
    OpAnswerMalformed,
    OpMetadataRefused,
    OpUnavailable,
)
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from tests.parts.scripted_op import CLIENT_ID, Answer, Received, ScriptedOp

REFERENCE = "urn:ietf:params:oauth:request_uri:a-reference"
GOOD = {"request_uri": REFERENCE, "expires_in": 60}


@pytest.fixture(autouse=True)
def offers_par(op: ScriptedOp) -> None:
    op.metadata_changes["pushed_authorization_request_endpoint"] = f"{op.issuer}/par"
    op.answers["par"] = Answer(GOOD, 201)


@pytest.mark.rule("FP-01")
@pytest.mark.rule("FP-02")
async def test_all_parameters_are_pushed_with_the_clients_credentials(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    request = await rp.authorization_request(LoginRequest(login_hint="alice", max_age=5))
    assert parse_qsl(urlsplit(request.url).query) == [
        ("client_id", CLIENT_ID),
        ("request_uri", REFERENCE),
    ]
    pushed = op.last("par")
    assert pushed.method == "POST"
    assert pushed.headers["Authorization"].startswith("Basic ")
    assert pushed.form == dict(request.parameters)
    assert pushed.form["state"] == request.state
    assert pushed.form["nonce"] == request.nonce
    assert pushed.form["login_hint"] == "alice"
    assert "request_uri" not in pushed.form
    assert "alice" not in repr(request)


@pytest.mark.rule("FP-02")
@pytest.mark.rule("FP-03")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer({"error": "invalid_request"}, 400), LoginRefused),
        (Answer({"error": "invalid_client"}, 401), ClientRejected),
        (Answer({"error": "unauthorized_client"}, 400), ClientRejected),
        (Answer(b"too large", 413), OpAnswerMalformed),
        (Answer(b"", 429), OpUnavailable),
        (Answer(b"", 500), OpUnavailable),
        (Answer(b"", 503), OpUnavailable),
        (Answer(drop=True), OpUnavailable),
        (Answer(b"", 302, {"Location": "https://elsewhere.example/"}), OpAnswerMalformed),
        (Answer(b"[]", 201), OpAnswerMalformed),
        (Answer({"expires_in": 60}, 201), OpAnswerMalformed),
        (Answer({"request_uri": REFERENCE}, 201), OpAnswerMalformed),
        (Answer({**GOOD, "request_uri": "a b"}, 201), OpAnswerMalformed),
        (Answer({**GOOD, "request_uri": ["urn:a"]}, 201), OpAnswerMalformed),
        (Answer({**GOOD, "request_uri": "urn:" + "a" * 3000}, 201), OpAnswerMalformed),
        (Answer({**GOOD, "expires_in": 0}, 201), OpAnswerMalformed),
        (Answer({**GOOD, "expires_in": 1}, 201), OpAnswerMalformed),
        (Answer({**GOOD, "expires_in": "soon"}, 201), OpAnswerMalformed),
    ],
)
async def test_a_push_that_fails_is_a_login_that_fails(
    rp: RelyingParty, op: ScriptedOp, answer: Answer, error: type[BffError]
) -> None:
    """With its reason; nothing of the request reaches the browser."""
    op.answers["par"] = answer
    with pytest.raises(error) as caught:
        await rp.authorization_request(LoginRequest(login_hint="alice"))
    assert type(caught.value) is error
    assert "alice" not in str(caught.value)
    assert op.count("par") == 1


@pytest.mark.rule("FP-01")
async def test_a_reference_cannot_bring_parameters_of_its_own(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    hostile = "urn:x&redirect_uri=https://evil.example/"
    op.answers["par"] = Answer({**GOOD, "request_uri": hostile}, 201)
    request = await rp.authorization_request(LoginRequest())
    assert dict(parse_qsl(urlsplit(request.url).query))["request_uri"] == hostile
    assert "redirect_uri" not in dict(parse_qsl(urlsplit(request.url).query))


@pytest.mark.rule("FP-03")
async def test_an_endpoint_that_is_not_https_or_a_query_with_ours_is_refused(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.metadata_changes["authorization_endpoint"] = f"{op.issuer}/authorize?request_uri=urn:x"
    with pytest.raises(OpMetadataRefused):
        await rp.authorization_request(LoginRequest())
    assert op.count("par") == 0


async def test_a_rejected_secret_is_not_tried_again(rp: RelyingParty, op: ScriptedOp) -> None:
    """Without a file there is no other one."""

    def refuse(received: Received) -> Answer:
        return Answer({"error": "invalid_client"}, 401)

    op.answers["par"] = refuse
    with pytest.raises(ClientRejected):
        await rp.authorization_request(LoginRequest())
    assert op.count("par") == 1
