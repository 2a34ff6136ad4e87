"""What an OP can be asked before any login: each of its answers means one thing."""

import pytest

from bff.errors import ClientRejected, OpAnswerMalformed, OpError, OpUnavailable
from bff.model import Tokens
from bff.oidc.probe import SilentLogin
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from tests.integration.relying_party.steps import settings_for
from tests.parts.scripted_op import Answer, ScriptedOp

BACK = settings_for("https://op.example.test").redirect_uri
LOGIN = "https://op.example.test/login"
LED = {
    BACK: SilentLogin(302, came_back=True),
    f"{BACK}?code=c": SilentLogin(302, came_back=True),
    f"{BACK}?error=login_required": SilentLogin(302, came_back=True, error="login_required"),
    f"{BACK}#error=access_denied": SilentLogin(302, came_back=True, error="access_denied"),
    f"{BACK}/other": SilentLogin(302, elsewhere="app.example.test/bff/callback/other"),
    f"{BACK}2?error=x": SilentLogin(302, elsewhere="app.example.test/bff/callback2"),
    f"{LOGIN}?user=alice&back={BACK}": SilentLogin(302, elsewhere="op.example.test/login"),
}


@pytest.mark.parametrize("location", LED)
async def test_a_login_that_may_show_nothing_came_back_or_went_elsewhere(
    rp: RelyingParty, op: ScriptedOp, location: str
) -> None:
    """The redirect URI is compared whole, and of another address no query is repeated."""
    op.answers["other"] = Answer(status=302, headers={"Location": location})
    request = await rp.authorization_request(LoginRequest())
    assert await rp.probe().silent_login(request) == LED[location]
    assert f"{op.issuer}{op.last('other').path}" == request.url


async def test_an_op_that_shows_a_page_leads_nowhere(rp: RelyingParty, op: ScriptedOp) -> None:
    op.answers["other"] = Answer(b"<p>no such client", status=400)
    request = await rp.authorization_request(LoginRequest())
    assert await rp.probe().silent_login(request) == SilentLogin(400)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer({"error": "invalid_grant"}, status=400), None),
        (Answer({"error": "invalid_client"}, status=401), ClientRejected),
        (Answer({"error": "unauthorized_client"}, status=400), ClientRejected),
        (Answer(status=503), OpUnavailable),
        (Answer(b"<html>"), OpAnswerMalformed),
    ],
)
async def test_a_client_is_known_when_only_its_code_is_refused(
    rp: RelyingParty, op: ScriptedOp, answer: Answer, expected: type[OpError] | None
) -> None:
    """The code has to be another each time, so that none that was ever given is spent."""
    op.answers["token"] = answer
    said = [await rp.probe().client() for _ in range(2)]
    assert [None if each is None else type(each) for each in said] == [expected] * 2
    forms = [received.form for received in op.received if received.endpoint == "token"]
    assert {form["redirect_uri"] for form in forms} == {BACK}
    for name in ("code", "code_verifier"):
        assert len({form[name] for form in forms}) == len(forms)


async def test_an_op_that_redeems_a_code_it_never_gave_is_at_fault(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    said = await rp.probe().client()
    assert type(said) is OpError
    assert said.log_detail == "token: a code that was never given has been redeemed"


async def test_the_metadata_is_shown_as_written_if_it_is_an_object(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.metadata_changes = {"issuer": "https://other.example.test"}
    assert await rp.probe().document() == op.metadata()
    op.answers["discovery"] = Answer(["no", "object"])
    assert await rp.probe().document() == {}


async def test_userinfo_is_asked_by_itself(rp: RelyingParty, op: ScriptedOp) -> None:
    tokens = Tokens("at-7", obtained_at=0.0, expires_at=60.0)
    claims = await rp.probe().userinfo(tokens, op.sub, op.issuer)
    assert claims["email"] == "alice@example.test"
    assert op.last("userinfo").headers["Authorization"] == "Bearer at-7"
