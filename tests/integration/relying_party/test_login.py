"""Logins at an OP that can be told to misbehave, over real sockets."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, unquote_plus, urlsplit

import pytest

from bff.errors import (
    CodeRejected,
    IdTokenInvalid,
    IssuerMismatch,
    OpAnswerMalformed,
    OpMetadataRefused,
    StepUpNotMet,
)
from bff.model import LoginTransaction
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest, s256_challenge
from bff.oidc.steps.callback import AuthorizationResponse
from tests.integration.relying_party.steps import MakeRp, begin, log_in, settings_for
from tests.parts.scripted_op import (
    CLIENT_ID,
    CLIENT_SECRET,
    Answer,
    ScriptedOp,
    b64json,
    signing_key,
)
from tests.parts.written_log import written_log


async def test_a_login_without_a_refresh_token_is_told_of_once(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """By default offline_access is not asked for, and some OPs give one for that scope only: then
    sessions end with their first access token, which an operator must be able to explain."""
    with written_log() as log:
        await log_in(rp, op)
        assert log.of("no_refresh_token") == []
        op.token_changes = {"refresh_token": None}
        at_another = rp.at("https://other.example/bff/callback", "https://other.example/", ())
        for party in (rp, at_another, rp):
            await log_in(party, op)
        told = [(entry["provider"], entry["scope"]) for entry in log.of("no_refresh_token")]
        assert told == [("default", "openid profile")]


# --- the login --------------------------------------------------------------------------------


async def test_a_login_brings_a_verified_identity(rp: RelyingParty, op: ScriptedOp) -> None:
    op.id_token_changes = {"sid": "s1", "acr": "1", "auth_time": 1_699_999_990, "name": "Alice"}
    identity = await rp.redeem("the-code", await begin(rp, op))
    assert (identity.issuer, identity.sub, identity.sid) == (op.issuer, "alice", "s1")
    assert (identity.acr, identity.auth_time) == ("1", 1_699_999_990)
    assert identity.claims["name"] == "Alice"
    assert identity.tokens.access_token == "at-1"
    assert identity.tokens.expires_at == op.clock.now() + 60
    assert identity.tokens.scope == "openid profile"
    assert op.count("userinfo") == 0, "it is asked where that is configured"


@pytest.mark.rule("AZ-02")
@pytest.mark.rule("TK-01")
async def test_the_code_goes_with_its_verifier_and_the_clients_credentials(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """RFC 7636 section 4.5, RFC 6749 section 4.1.3."""
    request = await rp.authorization_request(LoginRequest())
    query = parse_qs(urlsplit(request.url).query)
    op.nonce = request.nonce
    transaction = LoginTransaction(
        op.issuer, request.code_verifier, request.nonce, "", "/", op.clock.now()
    )
    await rp.redeem("the-code", transaction)
    sent = op.last("token")
    assert sent.form == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": "https://app.example.test/bff/callback",
        "code_verifier": request.code_verifier,
    }
    assert query["code_challenge"] == [s256_challenge(sent.form["code_verifier"])]
    assert sent.headers["Authorization"].startswith("Basic ")


@pytest.mark.rule("TK-02")
async def test_basic_credentials_arrive_exactly_whatever_their_characters(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    """RFC 6749 section 2.3.1: form-urlencoded before base64, and the only credential."""
    client_id, secret = "a:b c", "p%+&/=:ü"
    rp = make_rp(client_id=client_id, client_secret=secret)
    await rp.start()
    with pytest.raises(IdTokenInvalid, match="aud"):
        await rp.redeem("c", await begin(rp, op))
    sent = op.last("token")
    pair = b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode("ascii")
    assert [unquote_plus(part) for part in pair.split(":")] == [client_id, secret]
    assert "client_secret" not in sent.body
    assert "?" not in sent.path


@pytest.mark.rule("TK-02")
async def test_post_credentials_are_in_the_form_and_nowhere_else(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    rp = make_rp(client_auth="client_secret_post")
    await rp.start()
    await log_in(rp, op)
    sent = op.last("token")
    assert (sent.form["client_id"], sent.form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
    assert "Authorization" not in sent.headers


@pytest.mark.rule("TK-01")
async def test_an_op_that_lists_other_client_authentication_gets_no_request(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.metadata_changes = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "none"]}
    transaction = await begin(rp, op)
    with pytest.raises(OpMetadataRefused, match="client_secret_basic"):
        await rp.redeem("c", transaction)
    with pytest.raises(OpMetadataRefused):
        await rp.check()
    assert op.count("token") == 0


@pytest.mark.rule("AZ-08")
async def test_a_transaction_of_another_issuer_sends_nothing(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """RFC 9700 section 4.4: the code only goes to the OP that the login was begun with."""
    transaction = await begin(rp, op, issuer="https://other.example.test")
    op.received.clear()
    with pytest.raises(IssuerMismatch):
        await rp.redeem("c", transaction)
    assert op.received == []


@pytest.mark.rule("AZ-07")
async def test_the_response_issuer_is_compared_with_the_discovered_one(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """RFC 9207 section 2.4."""
    op.metadata_changes = {"authorization_response_iss_parameter_supported": True}
    await rp.require_response_issuer(AuthorizationResponse("s", "c", op.issuer))
    for iss in (None, op.issuer + "/", op.issuer.upper()):
        with pytest.raises(IssuerMismatch):
            await rp.require_response_issuer(AuthorizationResponse("s", "c", iss))


async def test_a_rejected_code_is_said_as_such(rp: RelyingParty, op: ScriptedOp) -> None:
    """RFC 6749 section 5.2."""
    transaction = await begin(rp, op)
    op.answers["token"] = Answer({"error": "invalid_grant"}, status=400)
    with pytest.raises(CodeRejected):
        await rp.redeem("used", transaction)


async def test_a_login_without_an_id_token_is_refused(rp: RelyingParty, op: ScriptedOp) -> None:
    """OIDC Core section 3.1.3.3: an ID token is required, whatever else the answer holds."""
    op.token_changes = {"id_token": None}
    with pytest.raises(IdTokenInvalid, match="missing"):
        await rp.redeem("c", await begin(rp, op))


@pytest.mark.rule("ID-09")
async def test_the_id_token_of_another_login_is_refused(rp: RelyingParty, op: ScriptedOp) -> None:
    first = await begin(rp, op)
    await begin(rp, op)
    with pytest.raises(IdTokenInvalid, match="nonce"):
        await rp.redeem("c", first)


@pytest.mark.rule("nextjs-auth0-4.23.1")
@pytest.mark.rule("ID-13")
@pytest.mark.parametrize(
    ("login", "claims"),
    [
        (LoginRequest(max_age=60), {}),
        (LoginRequest(max_age=60), {"auth_time": 1_699_999_000}),
        (LoginRequest(acr_values=("gold",)), {"acr": "silver"}),
    ],
)
async def test_a_step_up_that_the_op_did_not_do_is_refused(
    rp: RelyingParty, op: ScriptedOp, login: LoginRequest, claims: dict[str, object]
) -> None:
    op.id_token_changes = claims
    with pytest.raises(StepUpNotMet):
        await rp.redeem("c", await begin(rp, op, login))


# --- userinfo ---------------------------------------------------------------------------------


async def test_userinfo_adds_claims_but_never_replaces_verified_ones(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    rp = make_rp(userinfo=True)
    await rp.start()
    op.answers["userinfo"] = Answer({"sub": "alice", "email": "a@x.test", "iss": "https://evil"})
    identity = await rp.redeem("c", await begin(rp, op))
    assert identity.claims["email"] == "a@x.test"
    assert identity.claims["iss"] == op.issuer
    assert op.last("userinfo").headers["Authorization"] == "Bearer at-1"


@pytest.mark.rule("ID-15")
async def test_userinfo_about_another_user_fails_the_login(make_rp: MakeRp, op: ScriptedOp) -> None:
    """OIDC Core section 5.3.2: token substitution."""
    rp = make_rp(userinfo=True)
    await rp.start()
    op.answers["userinfo"] = Answer({"sub": "bob"})
    with pytest.raises(IdTokenInvalid, match="userinfo_sub"):
        await rp.redeem("c", await begin(rp, op))


async def test_userinfo_that_the_op_does_not_have_is_the_operators_fault(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    rp = make_rp(userinfo=True)
    await rp.start()
    op.metadata_changes = {"userinfo_endpoint": None}
    with pytest.raises(OpMetadataRefused, match="userinfo"):
        await rp.redeem("c", await begin(rp, op))


@pytest.mark.parametrize("status", [401, 403])
async def test_userinfo_that_is_refused_leaves_the_claims_of_the_id_token(
    make_rp: MakeRp, op: ScriptedOp, status: int
) -> None:
    """RFC 6750 section 3.1: an access token that is made for an API is none for UserInfo (Entra ID,
    ADFS). That is no outage, and the operator is told."""
    rp = make_rp(userinfo=True)
    await rp.start()
    op.answers["userinfo"] = Answer({"error": "invalid_token"}, status=status)
    op.id_token_changes = {"email": "of-the-id-token@x.test"}
    with written_log() as log:
        identity = await rp.redeem("c", await begin(rp, op))
    assert identity.claims["email"] == "of-the-id-token@x.test"
    assert [entry["status"] for entry in log.of("userinfo_refused")] == [status]


def as_jwt(text: str) -> Answer:
    return Answer(text.encode(), headers={"Content-Type": "application/jwt;charset=utf-8"})


@pytest.mark.rule("ID-15")
@pytest.mark.parametrize("named", [{}, {"iss": "ISSUER"}, {"iss": "ISSUER", "aud": [CLIENT_ID]}])
async def test_signed_userinfo_is_verified(
    make_rp: MakeRp, op: ScriptedOp, named: dict[str, object]
) -> None:
    """OIDC Core section 5.3.2: it should name issuer and audience, and need not."""
    rp = make_rp(userinfo=True)
    await rp.start()
    claims = {name: op.issuer if value == "ISSUER" else value for name, value in named.items()}
    op.answers["userinfo"] = as_jwt(op.keys[0].sign({"sub": "alice", "email": "a@b", **claims}))
    identity = await rp.redeem("c", await begin(rp, op))
    assert identity.claims["email"] == "a@b"


FALSE_USERINFO: dict[str, tuple[Callable[[ScriptedOp], str], str]] = {
    "of another user": (lambda op: op.keys[0].sign({"sub": "bob"}), "userinfo_sub"),
    "without sub": (lambda op: op.keys[0].sign({"email": "a@b"}), "userinfo_sub"),
    "of another issuer": (
        lambda op: op.keys[0].sign({"sub": "alice", "iss": "https://evil"}),
        "userinfo_iss",
    ),
    "for another client": (
        lambda op: op.keys[0].sign({"sub": "alice", "aud": "other"}),
        "userinfo_aud",
    ),
    "by another key": (
        lambda op: signing_key(number=2).sign({"sub": "alice"}),
        "userinfo_signature",
    ),
    "not signed": (
        lambda op: f"{b64json({'alg': 'none'})}.{b64json({'sub': 'alice'})}.",
        "userinfo_alg",
    ),
    "of another type": (
        lambda op: op.keys[0].sign({"sub": "alice"}, typ="logout+jwt"),
        "userinfo_typ",
    ),
    "encrypted": (lambda op: "a.b.c.d.e", "userinfo_shape"),
    "no JWT": (lambda op: '{"sub":"alice"}', "userinfo_shape"),
}


@pytest.mark.rule("ID-15")
@pytest.mark.parametrize("name", FALSE_USERINFO)
async def test_signed_userinfo_that_does_not_hold_fails_the_login(
    make_rp: MakeRp, op: ScriptedOp, name: str
) -> None:
    make, check = FALSE_USERINFO[name]
    rp = make_rp(userinfo=True)
    await rp.start()
    op.answers["userinfo"] = as_jwt(make(op))
    with pytest.raises(IdTokenInvalid) as caught:
        await rp.redeem("c", await begin(rp, op))
    assert caught.value.check == check


@pytest.mark.parametrize("status", [400, 404])
async def test_a_signed_answer_that_is_an_error_is_no_userinfo(
    make_rp: MakeRp, op: ScriptedOp, status: int
) -> None:
    rp = make_rp(userinfo=True)
    await rp.start()
    op.answers["userinfo"] = replace(as_jwt(op.keys[0].sign({"sub": "alice"})), status=status)
    with pytest.raises(OpAnswerMalformed):
        await rp.redeem("c", await begin(rp, op))


@pytest.mark.rule("ID-16")
async def test_userinfo_that_would_swell_every_session_is_refused(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    rp = make_rp(userinfo=True)
    await rp.start()
    op.answers["userinfo"] = Answer({"sub": "alice", "photo": "x" * 70_000})
    with pytest.raises(OpAnswerMalformed):
        await rp.redeem("c", await begin(rp, op))


# --- what leaks -------------------------------------------------------------------------------


@pytest.mark.rule("TK-12")
async def test_no_secret_is_in_a_repr_or_an_error(rp: RelyingParty, op: ScriptedOp) -> None:
    op.id_token_changes = {"name": "Alice"}
    request = await rp.authorization_request(LoginRequest(login_hint="alice@example.test"))
    session = await log_in(rp, op)
    refreshed = await rp.refresh(session)
    shown = f"{request!r} {session.tokens!r} {refreshed!r} {settings_for(op.issuer)!r}"
    op.answers["token"] = Answer({"error": "x", "error_description": "CANARY"}, status=418)
    with pytest.raises(OpAnswerMalformed) as caught:
        await rp.refresh(session)
    shown += f" {caught.value!r} {caught.value.log_detail} {caught.value.title}"
    assert session.tokens.id_token is not None
    secrets = [request.state, request.nonce, request.code_verifier, "at-1", "rt-1", "rt-2"]
    secrets += [CLIENT_SECRET, session.tokens.id_token, "CANARY", "alice@example.test"]
    assert [secret for secret in secrets if secret in shown] == []


async def test_an_unsigned_token_is_refused_although_the_metadata_lists_none(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """RFC 8725 section 3.1: the configuration decides about algorithms, not the OP."""
    op.metadata_changes = {"id_token_signing_alg_values_supported": ["none", "RS256"]}
    transaction = await begin(rp, op)
    now = int(op.clock.now())
    claims = {"iss": op.issuer, "sub": "a", "aud": CLIENT_ID, "nonce": op.nonce}
    unsigned = f"{b64json({'alg': 'none'})}.{b64json({**claims, 'iat': now, 'exp': now + 60})}."
    op.token_changes = {"id_token": unsigned}
    with pytest.raises(IdTokenInvalid, match="alg"):
        await rp.redeem("c", transaction)
