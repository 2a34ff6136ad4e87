"""What a relying party sends of its keys (RFC 9449), and what it makes of an OP's answers: no
bearer token in the place of a bound one, and one retry for a nonce.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.errors import (
    AccessTokenUnusable,
    ApiTokenRefused,
    BffError,
    ClientRejected,
    CodeRejected,
    GrantRejected,
    OpAnswerMalformed,
    OpMetadataRefused,
)
from bff.model import TokenTarget
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from spa_demo.dpop import ProofJudge
from tests.integration.relying_party.steps import MakeRp, begin, log_in
from tests.parts.scripted_op import Answer, Received, ScriptedOp

USE_NONCE = {"error": "use_dpop_nonce"}
TARGET = TokenTarget(resource="https://orders.example.test")


class Judged:
    """The keys that requests were made with, by a judge that takes each proof once."""

    def __init__(self, op: ScriptedOp) -> None:
        self._op = op
        self._judge = ProofJudge(op.clock)

    def key_of(self, received: Received, access_token: str | None = None) -> str:
        url = self._op.issuer + received.path.partition("?")[0]
        proofs = [value for name, value in received.headers.items() if name == "DPoP"]
        return self._judge.thumbprint(proofs, received.method, url, access_token)


def nonce_of(received: Received) -> object:
    return parts_of(received)[1].get("nonce")


def parts_of(received: Received) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of the proof."""
    first, second, _ = received.headers["DPoP"].split(".")
    header, claims = (json.loads(urlsafe_b64decode(f"{part}===")) for part in (first, second))
    return header, claims


def sent_to(op: ScriptedOp, endpoint: str) -> list[Received]:
    return [received for received in op.received if received.endpoint == endpoint]


@pytest.fixture
def judged(op: ScriptedOp) -> Judged:
    return Judged(op)


@pytest.fixture(autouse=True)
def binds_tokens(op: ScriptedOp) -> None:
    op.metadata_changes["dpop_signing_alg_values_supported"] = ["RS256", "ES256", "EdDSA"]
    op.token_changes["token_type"] = "DPoP"


@pytest.fixture
async def rp(make_rp: MakeRp) -> RelyingParty:
    """One that wants bound tokens."""
    relying_party = make_rp(dpop=True)
    await relying_party.start()
    return relying_party


def asked_key(request_url: str) -> str:
    (found,) = parse_qs(urlsplit(request_url).query)["dpop_jkt"]
    return found


@pytest.mark.rule("FP-04")
@pytest.mark.rule("FP-09")
async def test_code_tokens_and_refresh_are_bound_to_the_key_of_the_login(
    rp: RelyingParty, op: ScriptedOp, judged: Judged
) -> None:
    """RFC 9449 section 10. Each request has a proof of its own, with the public half alone."""
    transaction = await begin(rp, op)
    session = await log_in(rp, op)
    redeemed = judged.key_of(op.last("token"))
    await rp.refresh(session)
    assert judged.key_of(op.last("token")) == redeemed
    header, claims = parts_of(op.last("token"))
    assert header.keys() == {"typ", "alg", "jwk"}
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}
    assert claims.keys() == {"jti", "htm", "htu", "iat"}
    # The first login, which has not come back, has another.
    op.nonce = transaction.nonce
    await rp.redeem("the-code", transaction)
    assert judged.key_of(op.last("token")) != redeemed


@pytest.mark.rule("FP-04")
async def test_the_request_names_the_key_that_the_code_is_for(
    rp: RelyingParty, op: ScriptedOp, judged: Judged
) -> None:
    request = await rp.authorization_request(LoginRequest())
    transaction = replace(await begin(rp, op), dpop_key=request.dpop_key)
    await rp.redeem("the-code", transaction)
    assert judged.key_of(op.last("token")) == asked_key(request.url)
    secret = str(request.dpop_key)
    assert '"d":' in secret
    assert secret not in repr(request) + repr(transaction)


@pytest.mark.rule("FP-04")
async def test_a_pushed_request_has_a_proof(
    rp: RelyingParty, op: ScriptedOp, judged: Judged
) -> None:
    """RFC 9449 section 10.1."""
    op.metadata_changes["pushed_authorization_request_endpoint"] = f"{op.issuer}/par"
    op.answers["par"] = Answer({"request_uri": "urn:a", "expires_in": 60}, 201)
    await rp.authorization_request(LoginRequest())
    pushed = op.last("par")
    assert judged.key_of(pushed) == pushed.form["dpop_jkt"]


@pytest.mark.rule("FP-04")
@pytest.mark.parametrize(
    ("listed", "alg"),
    [
        (["ES256", "EdDSA"], "ES256"),
        (["RS256", "EdDSA"], "EdDSA"),
        (["Ed25519", "ES512"], "Ed25519"),
        (None, "ES256"),
        ("ES256", "ES256"),  # no list is as good as none
    ],
)
async def test_the_algorithm_is_one_that_the_op_lists(
    rp: RelyingParty, op: ScriptedOp, judged: Judged, listed: object, alg: str
) -> None:
    op.metadata_changes["dpop_signing_alg_values_supported"] = listed
    session = await log_in(rp, op)
    assert parts_of(op.last("token"))[0]["alg"] == alg
    await rp.refresh(session)
    assert parts_of(op.last("token"))[0]["alg"] == alg
    for received in sent_to(op, "token"):
        assert judged.key_of(received)


@pytest.mark.rule("FP-04")
async def test_no_login_begins_at_an_op_that_takes_no_algorithm_of_ours(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.metadata_changes["dpop_signing_alg_values_supported"] = ["RS256", "none"]
    with pytest.raises(OpMetadataRefused, match="dpop_signing_alg_values_supported"):
        await rp.authorization_request(LoginRequest())


@pytest.mark.rule("TK-04")
@pytest.mark.rule("FP-05")
@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "mac", "", None, ["DPoP"]])
async def test_a_token_that_is_not_bound_is_not_taken(
    rp: RelyingParty, op: ScriptedOp, token_type: object
) -> None:
    op.token_changes["token_type"] = token_type
    with pytest.raises(OpAnswerMalformed, match="token_type is not DPoP"):
        await rp.redeem("the-code", await begin(rp, op))


@pytest.mark.rule("TK-04")
async def test_the_type_of_a_token_is_read_in_any_case(rp: RelyingParty, op: ScriptedOp) -> None:
    op.token_changes["token_type"] = "dPoP"
    assert (await log_in(rp, op)).tokens.dpop_key is not None


@pytest.mark.rule("FP-05")
@pytest.mark.rule("TK-07")
async def test_a_refresh_that_brings_a_bearer_token_loses_no_refresh_token(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    session = await log_in(rp, op)
    op.token_changes["token_type"] = "Bearer"
    with pytest.raises(AccessTokenUnusable) as caught:
        await rp.refresh(session)
    kept = caught.value.tokens
    assert (kept.access_token, kept.refresh_token) == ("at-1", "rt-2")
    assert kept.dpop_key == session.tokens.dpop_key


@pytest.mark.rule("FP-06")
@pytest.mark.rule("FP-08")
async def test_a_nonce_is_learnt_by_one_retry_and_the_newest_is_used(
    rp: RelyingParty, op: ScriptedOp, judged: Judged
) -> None:
    """The grant is presented again with everything it had, the code included; each 2xx may have
    another one, and every session's proofs have it."""

    def with_nonce(answer: Answer, nonce: str) -> Answer:
        return replace(answer, headers={"DPoP-Nonce": nonce})

    op.answers["token"] = lambda _: (
        with_nonce(Answer(USE_NONCE, 400), "n1")
        if op.count("token") == 1
        else with_nonce(op.token_answer(), f"n{op.count('token')}")
    )
    session = await log_in(rp, op)
    first, second = sent_to(op, "token")
    assert (nonce_of(first), nonce_of(second)) == (None, "n1")
    assert first.form == second.form
    assert judged.key_of(first) == judged.key_of(second)
    await rp.refresh(session)
    await log_in(rp, op)
    assert [nonce_of(received) for received in sent_to(op, "token")] == [None, "n1", "n2", "n3"]


@pytest.mark.rule("FP-06")
@pytest.mark.parametrize(
    ("headers", "tries"),
    [
        ({"DPoP-Nonce": "n"}, 2),
        ({}, 1),
        ({"DPoP-Nonce": ""}, 1),
        ({"DPoP-Nonce": 'a "b"'}, 1),
        ({"DPoP-Nonce": "n" * 2000}, 1),
    ],
)
@pytest.mark.parametrize("status", [400, 401])
async def test_an_op_that_is_never_content_is_asked_twice_at_most(
    rp: RelyingParty, op: ScriptedOp, headers: Mapping[str, str], tries: int, status: int
) -> None:
    """It is the operator's to see to, and ends no session."""
    session = await log_in(rp, op)
    op.received.clear()
    op.answers["token"] = Answer(USE_NONCE, status, headers)
    with pytest.raises(ClientRejected, match="use_dpop_nonce"):
        await rp.refresh(session)
    assert op.count("token") == tries


@pytest.mark.rule("FP-06")
async def test_a_grant_that_was_judged_is_never_presented_again(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """Whatever nonce comes with the refusal."""
    session = await log_in(rp, op)
    op.received.clear()
    op.answers["token"] = Answer({"error": "invalid_grant"}, 400, {"DPoP-Nonce": "n"})
    with pytest.raises(GrantRejected):
        await rp.refresh(session)
    with pytest.raises(CodeRejected):
        await rp.redeem("the-code", await begin(rp, op))
    assert op.count("token") == 2


@pytest.mark.rule("FP-06")
@pytest.mark.parametrize("target", [None, TARGET])
async def test_a_proof_that_is_refused_ends_no_session(
    rp: RelyingParty, op: ScriptedOp, target: TokenTarget | None
) -> None:
    """A clock that is wrong, say."""
    session = await log_in(rp, op)
    op.answers["token"] = Answer({"error": "invalid_dpop_proof"}, 400)
    with pytest.raises(BffError) as caught:
        await rp.refresh(session, target)
    assert type(caught.value) is ClientRejected
    with pytest.raises(BffError) as caught:
        await rp.exchange(session, TARGET)
    assert not isinstance(caught.value, ApiTokenRefused)


@pytest.mark.rule("FP-05")
@pytest.mark.rule("FP-08")
async def test_userinfo_gets_the_token_with_a_proof_and_has_nonces_of_its_own(
    make_rp: MakeRp, op: ScriptedOp, judged: Judged
) -> None:
    """RFC 9449 section 9: it is a resource server."""
    rp = make_rp(dpop=True, userinfo=True)
    await rp.start()
    challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "of-userinfo"}
    claims = {"sub": op.sub, "email": "alice@example.test"}
    op.answers["userinfo"] = [Answer(b"", 401, challenge), Answer(claims)]
    op.answers["token"] = lambda _: replace(
        op.token_answer(), headers={"DPoP-Nonce": "of-the-token-endpoint"}
    )
    session = await log_in(rp, op)
    first, second = sent_to(op, "userinfo")
    assert first.headers["Authorization"] == second.headers["Authorization"] == "DPoP at-1"
    assert judged.key_of(first, "at-1") == judged.key_of(op.last("token"))
    assert judged.key_of(second, "at-1")
    assert (nonce_of(first), nonce_of(second)) == (None, "of-userinfo")
    await rp.refresh(session)
    assert nonce_of(op.last("token")) == "of-the-token-endpoint"
    op.answers["userinfo"] = Answer(b"", 401, {"DPoP-Nonce": "another"})
    await log_in(rp, op)  # UserInfo does not answer to the token: that is no end to a login
    assert op.count("userinfo") == 4


@pytest.mark.rule("FP-09")
async def test_tokens_of_single_apis_are_bound_to_the_session_and_the_gateways_own_to_its_key(
    rp: RelyingParty, op: ScriptedOp, judged: Judged
) -> None:
    session = await log_in(rp, op)
    of_session = judged.key_of(op.last("token"))
    await rp.refresh(session, TARGET)
    assert judged.key_of(op.last("token")) == of_session
    op.token_changes["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
    exchanged = await rp.exchange(session, TARGET)
    assert judged.key_of(op.last("token")) == of_session
    assert exchanged.dpop_key == session.tokens.dpop_key
    keys = set()
    for target in (TARGET, TokenTarget(scope="api:read")):
        own = await rp.client_credentials(target)
        keys.add(judged.key_of(op.last("token")))
        assert own.dpop_key not in (None, session.tokens.dpop_key)
    assert len(keys) == 1
    assert of_session not in keys


@pytest.mark.rule("FP-09")
async def test_a_session_keeps_its_key_whatever_the_configuration_says_later(
    rp: RelyingParty, make_rp: MakeRp, op: ScriptedOp, judged: Judged
) -> None:
    """And one from before gets a key with its first refresh."""
    session = await log_in(rp, op)
    key = judged.key_of(op.last("token"))
    without = make_rp()
    await without.start()
    await without.refresh(session)
    assert judged.key_of(op.last("token")) == key
    op.token_changes["token_type"] = "Bearer"
    unbound = await log_in(without, op)
    assert "DPoP" not in op.last("token").headers
    op.token_changes["token_type"] = "DPoP"
    bound = await rp.refresh(unbound)
    first = judged.key_of(op.last("token"))
    await rp.refresh(replace(unbound, tokens=bound.tokens))
    assert judged.key_of(op.last("token")) == first


@pytest.mark.rule("FP-05")
async def test_without_it_nothing_is_different(make_rp: MakeRp, op: ScriptedOp) -> None:
    """Whatever the OP offers; and a bound token is then none of those that were asked for."""
    rp = make_rp(userinfo=True)
    await rp.start()
    op.token_changes["token_type"] = "Bearer"
    request = await rp.authorization_request(LoginRequest())
    assert "dpop_jkt" not in request.url
    session = await log_in(rp, op)
    assert session.tokens.dpop_key is None
    assert op.last("userinfo").headers["Authorization"] == "Bearer at-1"
    assert not any("DPoP" in received.headers for received in op.received)
    op.token_changes["token_type"] = "DPoP"
    with pytest.raises(OpAnswerMalformed, match="token_type is not Bearer"):
        await rp.redeem("the-code", await begin(rp, op))
