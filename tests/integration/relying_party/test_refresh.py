"""Refreshing: only a dead grant is dead, and no rotated token is lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bff.errors import (
    BffError,
    ClientRejected,
    GrantRejected,
    IdTokenInvalid,
    NothingToRefresh,
    OpAnswerMalformed,
    OpUnavailable,
    RefreshRefused,
)
from bff.model import Session
from bff.oidc.relying_party import RelyingParty
from tests.integration.relying_party.steps import log_in
from tests.parts.scripted_op import CLIENT_ID, Answer, ScriptedOp, b64json, signing_key


@pytest.mark.rule("TK-07")
async def test_a_refresh_replaces_the_rotated_token(rp: RelyingParty, op: ScriptedOp) -> None:
    session = await log_in(rp, op)
    op.id_token_changes = {"email": "new@example.test"}
    refreshed = await rp.refresh(session)
    assert op.last("token").form == {"grant_type": "refresh_token", "refresh_token": "rt-1"}
    assert (refreshed.tokens.access_token, refreshed.tokens.refresh_token) == ("at-2", "rt-2")
    assert refreshed.claims is not None
    assert refreshed.claims["email"] == "new@example.test"
    assert refreshed.tokens.id_token != session.tokens.id_token


@pytest.mark.rule("TK-07")
async def test_a_refresh_without_new_tokens_keeps_the_old_ones(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """RFC 6749 section 6; some OPs send neither a refresh token nor an ID token."""
    session = await log_in(rp, op)
    op.token_changes = {"refresh_token": None, "id_token": None}
    refreshed = await rp.refresh(session)
    assert refreshed.tokens.access_token == "at-2"
    assert refreshed.tokens.refresh_token == "rt-1"
    assert refreshed.tokens.id_token == session.tokens.id_token
    assert refreshed.claims is None


@pytest.mark.rule("mod_auth_openidc-2026-07-31")
@pytest.mark.rule("TK-11")
@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"sub": "bob"}, "sub"),
        ({"iss": "https://other.example.test"}, "iss"),
        ({"aud": "other-client"}, "aud"),
        ({"aud": [CLIENT_ID, "other-client"]}, "aud_untrusted"),
        ({"azp": "other-client"}, "azp"),
        ({"nonce": "of-another-login"}, "nonce"),
        ({"events": {}}, "events"),
        ({"at_hash": "wrong"}, "at_hash"),
    ],
)
async def test_a_refreshed_id_token_that_contradicts_the_session_is_an_error(
    rp: RelyingParty, op: ScriptedOp, changes: dict[str, object], check: str
) -> None:
    """OIDC Core section 12.2."""
    session = await log_in(rp, op)
    op.id_token_changes = changes
    with pytest.raises(IdTokenInvalid) as caught:
        await rp.refresh(session)
    assert caught.value.check == check


UNVERIFIABLE: dict[str, Callable[[ScriptedOp, dict[str, object]], str]] = {
    "signed by another key": lambda _op, claims: signing_key(number=2).sign(claims),
    "not signed": lambda _op, claims: f"{b64json({'alg': 'none'})}.{b64json(claims)}.",
    "of an algorithm not configured": lambda _op, claims: signing_key("PS256").sign(claims),
    "of another type": lambda op, claims: op.keys[0].sign(claims, typ="at+jwt"),
    "critical extension": lambda op, claims: op.keys[0].sign(claims, crit=["x"], x=1),
}
UNREADABLE = ["no.token", "a.b.c.d.e", "a.!.c", f"e30.{'e30' * 30_000}.e30"]


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("name", UNVERIFIABLE)
async def test_an_id_token_that_can_not_be_verified_costs_no_session(
    rp: RelyingParty, op: ScriptedOp, name: str
) -> None:
    """A refresh may go without one (OIDC Core section 12.2). Nothing of it is used."""
    session = await log_in(rp, op)
    unverifiable = UNVERIFIABLE[name](op, {**op.id_token_claims(), "email": "new@example.test"})
    op.token_changes = {"id_token": unverifiable}
    refreshed = await rp.refresh(session)
    assert (refreshed.tokens.access_token, refreshed.tokens.refresh_token) == ("at-2", "rt-2")
    assert refreshed.tokens.id_token == session.tokens.id_token
    assert refreshed.claims is None


@pytest.mark.rule("TK-11")
@pytest.mark.parametrize("name", UNVERIFIABLE)
async def test_an_id_token_that_names_another_user_needs_no_signature_to_be_an_error(
    rp: RelyingParty, op: ScriptedOp, name: str
) -> None:
    session = await log_in(rp, op)
    op.token_changes = {"id_token": UNVERIFIABLE[name](op, op.id_token_claims(sub="bob"))}
    with pytest.raises(IdTokenInvalid, match="sub") as caught:
        await rp.refresh(session)
    assert caught.value.tokens is not None
    assert caught.value.tokens.refresh_token == "rt-2"  # to be revoked


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("text", UNREADABLE, ids=["two parts", "five parts", "not base64", "huge"])
async def test_an_id_token_that_can_not_be_read_costs_no_session(
    rp: RelyingParty, op: ScriptedOp, text: str
) -> None:
    """As when an OP begins to encrypt them."""
    session = await log_in(rp, op)
    op.token_changes = {"id_token": text}
    refreshed = await rp.refresh(session)
    assert (refreshed.tokens.access_token, refreshed.tokens.refresh_token) == ("at-2", "rt-2")
    assert refreshed.tokens.id_token == session.tokens.id_token


@pytest.mark.rule("TK-11")
async def test_a_contradiction_is_seen_even_while_the_keys_cannot_be_had(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    session = await log_in(rp, op)
    op.answers["jwks"] = Answer(status=500)
    op.keys = [signing_key(kid="unknown", number=2)]
    op.id_token_changes = {"sub": "bob"}
    with pytest.raises(IdTokenInvalid, match="sub"):
        await rp.refresh(session)


async def test_a_nonce_may_be_absent_from_a_refreshed_id_token(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    session = await log_in(rp, op)
    op.id_token_changes = {"nonce": None}
    assert (await rp.refresh(session)).claims is not None


@pytest.mark.parametrize(
    ("jwks", "changes"),
    [
        (Answer(status=500), {}),
        (Answer({"keys": [signing_key().jwk()]}), {}),
        (None, {"exp": 1_600_000_000}),
        (None, {"iat": 1_800_000_000}),
        (None, {"sid": 7}),
        (None, {"acr": ["gold"]}),
        (None, {"auth_time": "now"}),
    ],
)
async def test_a_refreshed_id_token_that_cannot_be_used_just_now_costs_no_session(
    rp: RelyingParty, op: ScriptedOp, jwks: Answer | None, changes: dict[str, object]
) -> None:
    """The rotated refresh token exists nowhere else: it must come back to the caller."""
    session = await log_in(rp, op)
    if jwks is not None:
        op.answers["jwks"] = jwks
        op.keys = [signing_key(kid="unpublished", number=2)]
    op.id_token_changes = changes
    refreshed = await rp.refresh(session)
    assert refreshed.tokens.refresh_token == "rt-2"
    assert refreshed.tokens.id_token == session.tokens.id_token
    assert refreshed.claims is None


async def test_a_session_without_an_id_token_takes_the_first_that_comes(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """There is then no nonce to compare with."""
    session = await log_in(rp, op)
    session = replace(session, tokens=replace(session.tokens, id_token=None))
    assert (await rp.refresh(session)).claims is not None


async def test_a_refresh_does_not_make_the_authentication_younger(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """OIDC Core section 12.2: auth_time is that of the original authentication."""
    op.id_token_changes = {"auth_time": 1_699_999_990, "acr": "gold"}
    session = await log_in(rp, op)
    op.id_token_changes = {"auth_time": 1_700_000_000, "acr": "silver"}
    refreshed = await rp.refresh(session)
    assert (refreshed.auth_time, refreshed.acr) == (1_699_999_990, "silver")
    op.id_token_changes = {}
    refreshed = await rp.refresh(replace(session, tokens=refreshed.tokens))
    assert (refreshed.auth_time, refreshed.acr) == (1_699_999_990, "gold")


async def test_an_authentication_that_a_login_did_not_date_is_dated_by_a_refresh(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    session = await log_in(rp, op)
    assert session.auth_time is None
    op.id_token_changes = {"auth_time": 1_699_999_990}
    assert (await rp.refresh(session)).auth_time == 1_699_999_990
    op.id_token_changes = {"auth_time": int(session.created_at) + 20}
    assert (await rp.refresh(session)).auth_time == int(session.created_at)


@pytest.mark.rule("TK-08")
@pytest.mark.rule("TK-10")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer({"error": "invalid_grant"}, status=400), GrantRejected),
        (Answer(b"", status=400), GrantRejected),
        (Answer(b"<html>", status=400), RefreshRefused),
        (Answer({"error": "invalid_request"}, status=400), RefreshRefused),
        (Answer({"error": "invalid_client"}, status=401), ClientRejected),
        (Answer({"error": "unauthorized_client"}, status=400), ClientRejected),
        (Answer(drop=True), OpUnavailable),
        (Answer(status=503), OpUnavailable),
        (Answer({"error": "invalid_grant"}, status=500), OpUnavailable),
        (Answer(b"<html>blocked</html>", status=403), OpAnswerMalformed),
    ],
)
async def test_only_a_dead_grant_is_said_to_be_dead(
    rp: RelyingParty, op: ScriptedOp, answer: Answer, error: type[BffError]
) -> None:
    """RFC 6749 section 5.2: and the refresh token has been sent exactly once."""
    session = await log_in(rp, op)
    op.answers["token"] = answer
    with pytest.raises(error) as caught:
        await rp.refresh(session)
    assert type(caught.value) is error
    assert op.count("token") == 2


async def test_without_a_refresh_token_nothing_is_sent(rp: RelyingParty, op: ScriptedOp) -> None:
    op.token_changes = {"refresh_token": None}
    session = await log_in(rp, op)
    with pytest.raises(NothingToRefresh):
        await rp.refresh(session)
    assert op.count("token") == 1


async def test_a_refresh_token_never_goes_to_another_issuer(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    session = await log_in(rp, op)
    foreign = Session(
        **{
            name: getattr(session, name)
            for name in Session.__dataclass_fields__
            if name != "issuer"
        },
        issuer="https://former.example.test",
    )
    with pytest.raises(NothingToRefresh):
        await rp.refresh(foreign)
    assert op.count("token") == 1
