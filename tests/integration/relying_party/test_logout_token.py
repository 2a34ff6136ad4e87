"""Logout tokens as they arrive: which header, whose signature, what costs a question to the OP."""

import hmac
from collections.abc import Callable

import pytest

from bff.clock import ManualClock
from bff.errors import LogoutTokenInvalid, OpUnavailable
from bff.oidc.jwt.logout_token import LOGOUT_EVENT
from bff.oidc.relying_party import RelyingParty
from tests.integration.relying_party.steps import MakeRp, log_in
from tests.parts.scripted_op import (
    CLIENT_ID,
    Answer,
    ScriptedOp,
    SigningKey,
    b64json,
    b64url,
    signing_key,
)


def claims(op: ScriptedOp, **changes: object) -> dict[str, object]:
    """Those of a good logout token; a None removes one."""
    now = int(op.clock.now())
    usual: dict[str, object] = {
        "iss": op.issuer,
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 120,
        "jti": "j1",
        "events": {LOGOUT_EVENT: {}},
        "sub": "alice",
        "sid": "s1",
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def signed(
    op: ScriptedOp, key: SigningKey | None = None, *, typ: object = "logout+jwt", **changes: object
) -> str:
    return (key or op.keys[0]).sign(claims(op, **changes), typ=typ)


async def refused(rp: RelyingParty, token: str) -> str:
    """The check that refuses this token."""
    with pytest.raises(LogoutTokenInvalid) as caught:
        await rp.logout_token(token)
    return caught.value.check


async def test_a_logout_token_says_what_is_over(rp: RelyingParty, op: ScriptedOp) -> None:
    notice = await rp.logout_token(signed(op))
    assert (notice.issuer, notice.sub, notice.sid, notice.jti) == (op.issuer, "alice", "s1", "j1")


@pytest.mark.rule("LO-09")
@pytest.mark.parametrize("typ", ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt"])
async def test_the_type_is_a_media_type(rp: RelyingParty, op: ScriptedOp, typ: str) -> None:
    """RFC 7515 section 4.1.9."""
    assert (await rp.logout_token(signed(op, typ=typ))).sid == "s1"


UNTYPED = [None, "JWT", "jwt", "application/jwt"]
OTHER_TYPES = ["at+jwt", "secevent+jwt", "dpop+jwt", "logout", "", 7, ["logout+jwt"]]


@pytest.mark.rule("LO-09")
@pytest.mark.parametrize("typ", UNTYPED)
async def test_a_token_without_a_type_of_its_own_is_known_by_what_it_says(
    rp: RelyingParty, op: ScriptedOp, typ: object
) -> None:
    """Section 2.4 recommends the type; the certification suite, Hydra, glewlwyd and older Keycloak
    send `JWT`, some OPs none at all."""
    assert (await rp.logout_token(signed(op, typ=typ))).sid == "s1"
    assert await refused(rp, signed(op, typ=typ, exp=None)) == "exp"
    assert await refused(rp, signed(op, typ=typ, events=None)) == "events"
    assert await refused(rp, signed(op, typ=typ, nonce="n1")) == "nonce"


@pytest.mark.rule("LO-09")
@pytest.mark.parametrize("typ", OTHER_TYPES)
async def test_another_type_is_refused(rp: RelyingParty, op: ScriptedOp, typ: object) -> None:
    """Section 2.4, RFC 8725 section 3.11: no other token passes for a logout token."""
    assert await refused(rp, signed(op, typ=typ)) == "typ"


@pytest.mark.rule("LO-09")
async def test_tokens_without_exp_pass_by_a_setting_only(make_rp: MakeRp, op: ScriptedOp) -> None:
    """And are old five minutes after their `iat`; other types stay refused."""
    relaxed = make_rp(allow_logout_tokens_without_exp=True)
    strict = make_rp()
    for relying_party in (relaxed, strict):
        await relying_party.start()
    for typ in ("logout+jwt", *UNTYPED):
        assert (await relaxed.logout_token(signed(op, typ=typ, exp=None))).sid == "s1"
    for other in OTHER_TYPES:
        assert await refused(relaxed, signed(op, typ=other)) == "typ"
    assert await refused(strict, signed(op, exp=None)) == "exp"


@pytest.mark.rule("LO-07")
async def test_an_id_token_never_passes_even_by_that_setting(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    relaxed = make_rp(allow_logout_tokens_without_exp=True)
    await relaxed.start()
    op.nonce = "n1"
    assert await refused(relaxed, op.id_token(sid="s1", jti="j1")) == "events"
    confused = op.id_token(sid="s1", jti="j1", events={LOGOUT_EVENT: {}})
    assert await refused(relaxed, confused) == "nonce"


@pytest.mark.rule("LO-08")
async def test_sid_can_be_required(make_rp: MakeRp, op: ScriptedOp) -> None:
    strict = make_rp(backchannel_logout_session_required=True)
    await strict.start()
    assert (await strict.logout_token(signed(op))).sid == "s1"
    assert await refused(strict, signed(op, sid=None)) == "sid"


def of_no_algorithm(op: ScriptedOp) -> str:
    header = b64json({"alg": "none", "typ": "logout+jwt"})
    return f"{header}.{b64json(claims(op))}."


def of_an_algorithm_not_configured(op: ScriptedOp) -> str:
    op.keys.append(signing_key("ES256", "es"))
    return signed(op, op.keys[-1])


def of_a_shared_secret(op: ScriptedOp) -> str:
    """HMAC with the public key as the secret (RFC 8725 section 2.1)."""
    header = b64json({"alg": "HS256", "kid": op.keys[0].kid, "typ": "logout+jwt"})
    signing_input = f"{header}.{b64json(claims(op))}"
    secret = op.keys[0].key.as_pem(private=False)
    return f"{signing_input}.{b64url(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


def of_another_key(op: ScriptedOp) -> str:
    return signed(op, signing_key(number=2))


def with_other_claims(op: ScriptedOp) -> str:
    header, _, signature = signed(op).split(".")
    return f"{header}.{b64json(claims(op, sub='bob'))}.{signature}"


def critical(op: ScriptedOp) -> str:
    return op.keys[0].sign(claims(op), typ="logout+jwt", crit=["exp"])


def with_its_own_key(op: ScriptedOp) -> str:
    key = signing_key(number=2)
    return key.sign(claims(op), typ="logout+jwt", jwk=key.jwk())


def expired(op: ScriptedOp) -> str:
    return signed(op, exp=int(op.clock.now()) - 31)


@pytest.mark.rule("LO-05")
@pytest.mark.parametrize(
    ("forge", "check"),
    [
        (of_no_algorithm, "alg"),
        (of_an_algorithm_not_configured, "alg"),
        (of_a_shared_secret, "alg"),
        (of_another_key, "signature"),
        (with_other_claims, "signature"),
        (with_its_own_key, "signature"),
        (critical, "crit"),
        (expired, "exp"),
    ],
)
async def test_a_forged_or_stale_token_is_refused(
    rp: RelyingParty, op: ScriptedOp, forge: Callable[[ScriptedOp], str], check: str
) -> None:
    """Section 2.6 (2) to (4)."""
    assert await refused(rp, forge(op)) == check


@pytest.mark.rule("LO-15")
@pytest.mark.parametrize(
    ("token", "check"),
    [
        ("", "shape"),
        ("x", "shape"),
        ("a.b.c.d.e", "shape"),
        ("ä.b.c", "shape"),
        ("!.!.!", "encoding"),
        ("eyJ.eyJ.x", "encoding"),
        (f"{b64url(b'{}')}.{b64url(b'{}')}.x", "encoding"),
        (f"{b64url(b'[]')}.{b64url(b'{}')}.{b64url(b'x')}", "header"),
        (f"{b64json({'alg': 'RS256', 'typ': 'logout+jwt'})}.{b64url(b'[]')}.", "payload"),
        ("a" * 65_537, "size"),
    ],
)
async def test_what_is_no_token_costs_no_question_to_the_op(
    rp: RelyingParty, op: ScriptedOp, token: str, check: str
) -> None:
    assert await refused(rp, token) == check
    assert op.received == []


@pytest.mark.rule("LO-15")
async def test_a_token_of_another_issuer_costs_no_question_to_the_op(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """Its `iss` is looked at before any key is fetched."""
    for issuer in ("https://evil.test", op.issuer + "/", None, [op.issuer]):
        assert await refused(rp, signed(op, iss=issuer)) == "iss"
    assert op.received == []


@pytest.mark.rule("LO-15")
@pytest.mark.rule("ID-08")
async def test_a_thousand_tokens_with_unknown_kids_cost_one_fetch(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    """OIDC Core section 10.1.1: the one that a rotation of keys would need, once in ten seconds."""
    await rp.check()
    fetched = op.count("jwks")
    payload = b64json(claims(op))
    for number in range(1000):
        header = b64json({"alg": "RS256", "typ": "logout+jwt", "kid": f"k-{number}"})
        assert await refused(rp, f"{header}.{payload}.{b64url(b'x' * 256)}") == "key_unknown"
    assert op.count("jwks") == fetched + 1
    clock.advance(10)
    assert await refused(rp, f"{header}.{payload}.{b64url(b'x' * 256)}") == "key_unknown"
    assert op.count("jwks") == fetched + 2


@pytest.mark.rule("ID-08")
async def test_a_rotated_key_is_followed(rp: RelyingParty, op: ScriptedOp) -> None:
    await log_in(rp, op)
    op.keys = [signing_key(kid="k2", number=2)]
    assert (await rp.logout_token(signed(op))).sid == "s1"
    assert op.count("jwks") == 2


async def test_without_keys_nothing_is_known_about_a_token(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """Not invalid but 503: the OP should send it again."""
    op.answers["jwks"] = Answer(status=500)
    with pytest.raises(OpUnavailable):
        await rp.logout_token(signed(op))
