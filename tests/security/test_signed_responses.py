"""Signed authorization responses (JARM) of an OP that signs whatever a test wants: no code of one
that is not right is spent, and the login that was begun stays open for the one that is.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey

from tests.parts.scripted_op import CLIENT_ID, Answer, ScriptedOp, b64json, b64url, signing_key
from tests.security.kept_connection import Reply
from tests.security.scripted_installation import (
    SESSION,
    ScriptedInstallation,
    Visitor,
    code_of,
    location_of,
    scripted_installation,
)
from tests.security.two_providers import two_providers

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGNED = 'response_mode = "query.jwt"'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation() -> AsyncIterator[ScriptedInstallation]:
    async with scripted_installation(SIGNED) as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def no_user(installation: ScriptedInstallation) -> None:
    await installation.end_all()
    installation.visitor.cookies.clear()
    installation.op.received.clear()
    installation.op.keys = [signing_key()]


def claims_of(op: ScriptedOp, state: str, /, **changes: object) -> dict[str, object]:
    """Those of an answer that is right; a None removes one."""
    claims: dict[str, object] = {
        "iss": op.issuer,
        "aud": CLIENT_ID,
        "exp": int(op.clock.now()) + 60,
        "state": state,
        "code": "the-code",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def signed(op: ScriptedOp, state: str, /, **changes: object) -> str:
    return op.keys[0].sign(claims_of(op, state, **changes))


def by_public_key(op: ScriptedOp, state: str) -> str:
    """HMAC with the text of the OP's public key as the secret (RFC 8725 section 2.1)."""
    key = op.keys[0].key
    assert isinstance(key, RSAKey)
    header = {"alg": "HS256", "kid": op.keys[0].kid}
    signing_input = f"{b64json(header)}.{b64json(claims_of(op, state))}"
    mac = hmac.digest(key.as_pem(private=False), signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{b64url(mac)}"


def unsigned(op: ScriptedOp, state: str) -> str:
    return f"{b64json({'alg': 'none'})}.{b64json(claims_of(op, state))}."


def changed_after_it_was_signed(op: ScriptedOp, state: str) -> str:
    header, _, signature = signed(op, state).split(".")
    return f"{header}.{b64json(claims_of(op, state, code='of-the-attacker'))}.{signature}"


Make = Callable[[ScriptedOp, str], str]
NOT_OF_THE_OP: dict[str, Make] = {
    "another signer": lambda op, state: signing_key(number=7).sign(claims_of(op, state)),
    "a key that is not published": lambda op, state: signing_key(kid="k9", number=7).sign(
        claims_of(op, state)
    ),
    "an algorithm that is not configured": lambda op, state: signing_key("PS256").sign(
        claims_of(op, state)
    ),
    "alg none": unsigned,
    "HS256 with the public key": by_public_key,
    "changed on the way": changed_after_it_was_signed,
    "for another client": lambda op, state: signed(op, state, aud="other"),
    "for several clients": lambda op, state: signed(op, state, aud=[CLIENT_ID, "other"]),
    "for nobody": lambda op, state: signed(op, state, aud=None),
    "of another issuer": lambda op, state: signed(op, state, iss="https://evil.example"),
    "of no issuer": lambda op, state: signed(op, state, iss=None),
    "over": lambda op, state: signed(op, state, exp=int(op.clock.now()) - 31),
    "without an end": lambda op, state: signed(op, state, exp=None),
    "with an end that is no time": lambda op, state: signed(op, state, exp="tomorrow"),
    "not yet valid": lambda op, state: signed(op, state, nbf=int(op.clock.now()) + 31),
    "issued later": lambda op, state: signed(op, state, iat=int(op.clock.now()) + 31),
    "an access token": lambda op, state: op.keys[0].sign(claims_of(op, state), typ="at+jwt"),
    "a logout token": lambda op, state: op.keys[0].sign(claims_of(op, state), typ="logout+jwt"),
    "encrypted": lambda op, state: f"{signed(op, state)}.x.y",
    "no JWT": lambda _op, _state: "the-code",
    "an extension": lambda op, state: op.keys[0].sign(claims_of(op, state), crit=["x"]),
}


@pytest.mark.rule("FP-15")
@pytest.mark.parametrize("name", NOT_OF_THE_OP)
async def test_an_answer_that_is_not_signed_for_us_spends_nothing(
    installation: ScriptedInstallation, name: str
) -> None:
    """JARM section 2.4; RFC 8725 sections 3.1 and 3.11. What the browser brings next, and is right,
    still logs the user in."""
    op, visitor = installation.op, installation.visitor
    state = await visitor.start()
    reply = await answer(visitor, NOT_OF_THE_OP[name](op, state))
    assert (reply.status, code_of(reply)) == (400, "login_response_invalid")
    assert op.count("token") == 0
    assert SESSION not in visitor.cookies
    reply = await answer(visitor, signed(op, state))
    assert (reply.status, location_of(reply)) == (302, "/")
    assert SESSION in visitor.cookies


MALFORMED: dict[str, Make] = {
    "an ID token": lambda op, _state: op.id_token(),
    "without a state": lambda op, state: signed(op, state, state=None),
    "with an empty state": lambda op, state: signed(op, state, state=""),
    "a state that is no text": lambda op, state: signed(op, state, state=[state]),
    "without a code": lambda op, state: signed(op, state, code=None),
    "a code that is no text": lambda op, state: signed(op, state, code=7),
    "a code with a line break": lambda op, state: signed(op, state, code="a\r\nb"),
    "code and error": lambda op, state: signed(op, state, error="access_denied"),
    "an error that is no text": lambda op, state: signed(op, state, code=None, error={"a": "b"}),
}


@pytest.mark.rule("FP-15")
@pytest.mark.rule("AZ-01")
@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_signed_is_judged_as_a_plain_answer_is(
    installation: ScriptedInstallation, name: str
) -> None:
    op, visitor = installation.op, installation.visitor
    state = await visitor.start()
    reply = await answer(visitor, MALFORMED[name](op, state))
    assert (reply.status, code_of(reply)) == (400, "callback_invalid")
    assert op.count("token") == 0
    assert SESSION not in visitor.cookies


@pytest.mark.rule("FP-15")
@pytest.mark.parametrize(
    "beside", [{}, {"iss": "x"}, {"state": ""}, {"code": "x"}, {"error": "access_denied"}]
)
async def test_a_plain_answer_is_refused_also_beside_a_signed_one(
    installation: ScriptedInstallation, beside: dict[str, str]
) -> None:
    """Which of two readings held would be the sender's choice."""
    op, visitor = installation.op, installation.visitor
    state = await visitor.start()
    if beside:
        reply = await answer(visitor, signed(op, state), **beside)
    else:
        reply = await visitor.come_back(state)
    assert (reply.status, code_of(reply)) == (400, "callback_invalid")
    twice = f"{signed(op, state)}&response={signed(op, state)}"
    reply = await answer(visitor, twice)
    assert (reply.status, code_of(reply)) == (400, "callback_invalid")
    assert op.count("token") == 0
    assert SESSION not in visitor.cookies


@pytest.mark.rule("FP-15")
@pytest.mark.rule("AZ-03")
@pytest.mark.rule("AZ-06")
async def test_state_and_browser_count_inside_as_they_do_outside(
    installation: ScriptedInstallation,
) -> None:
    """A replayed answer, one of no login, and one that another browser brings."""
    op, visitor = installation.op, installation.visitor
    state = await visitor.start()
    for wrong, code in (
        (signed(op, "another-state"), "login_expired"),
        (signed(op, state), None),
        (signed(op, state), "login_expired"),
    ):
        reply = await answer(visitor, wrong)
        assert (reply.status, code_of(reply) if code else None) == (400 if code else 302, code)
    assert op.count("token") == 1
    state = await visitor.start()
    async with installation.another_visitor() as victim:
        await victim.start()
        reply = await answer(victim, signed(op, state))
        assert (reply.status, code_of(reply)) == (400, "login_browser_mismatch")
        assert SESSION not in victim.cookies
    assert op.count("token") == 1


@pytest.mark.rule("FP-15")
@pytest.mark.rule("AZ-09")
async def test_an_error_comes_inside_as_well(installation: ScriptedInstallation) -> None:
    """One that is not signed ends no login, and its text reaches no browser."""
    op, visitor = installation.op, installation.visitor
    state = await visitor.start()
    reply = await visitor.come_back(state, error="access_denied")
    assert (reply.status, code_of(reply)) == (400, "callback_invalid")
    error = {"code": None, "error": "access_denied", "error_description": "CANARY"}
    reply = await answer(visitor, signed(op, state, **error))
    assert (reply.status, code_of(reply)) == (403, "login_denied")
    assert b"CANARY" not in reply.body
    silent = await visitor.start("prompt=none")
    reply = await answer(visitor, signed(op, silent, code=None, error="login_required"))
    assert (reply.status, location_of(reply)) == (302, "/?bff_error=login_required")


@pytest.mark.rule("FP-15")
async def test_a_new_key_of_the_op_is_found(installation: ScriptedInstallation) -> None:
    op, visitor = installation.op, installation.visitor
    installation.clock.advance(11)  # past the pause between two requests for keys
    op.keys = [signing_key(kid="k2", number=2)]
    reply = await answer(visitor, signed(op, await visitor.start()))
    assert (reply.status, location_of(reply)) == (302, "/")


@pytest.mark.rule("FP-15")
async def test_a_stranger_s_answer_makes_the_gateway_ask_for_nothing() -> None:
    """No key is fetched for a JWT that says itself that it is for somebody else."""
    async with scripted_installation(SIGNED) as fresh:
        op, visitor = fresh.op, fresh.visitor
        await visitor.get("/bff/login")
        op.received.clear()
        for _ in range(3):
            fresh.clock.advance(11)
            stranger = signing_key(kid="k9", number=7).sign(claims_of(op, "s", aud="other"))
            reply = await answer(visitor, stranger)
            assert (reply.status, code_of(reply)) == (400, "login_response_invalid")
        assert op.received == []


@pytest.mark.rule("FP-15")
async def test_failed_answers_are_counted_against_their_sender() -> None:
    limits = '[limits]\nfailed_callbacks = "3/hour"\n'
    async with scripted_installation(SIGNED, limits=limits) as limited:
        op, visitor = limited.op, limited.visitor
        state = await visitor.start()
        codes = [code_of(await answer(visitor, unsigned(op, state))) for _ in range(4)]
        assert codes == [*["login_response_invalid"] * 3, "rate_limited"]


@pytest.mark.rule("FP-15")
async def test_no_login_waits_for_keys_that_cannot_be_had() -> None:
    """Nothing is known about the signature then: the login stays open for another try."""
    async with scripted_installation(SIGNED) as fresh:
        op, visitor = fresh.op, fresh.visitor
        state = await visitor.start()
        op.answers["jwks"] = Answer(status=500)
        fresh.clock.advance(7200)
        reply = await answer(visitor, signed(op, state))
        assert reply.status == 503, reply
        del op.answers["jwks"]


@pytest.mark.rule("FP-15")
@pytest.mark.rule("AZ-07")
async def test_a_signed_answer_where_a_plain_one_was_asked_for_is_refused() -> None:
    async with scripted_installation() as plain:
        op, visitor = plain.op, plain.visitor
        state = await visitor.start()
        for beside in ({}, {"state": state, "code": "the-code"}):
            reply = await answer(visitor, signed(op, state), **beside)
            assert (reply.status, code_of(reply)) == (400, "callback_invalid")
        assert op.count("token") == 0
        assert (await visitor.come_back(state)).status == 302


@pytest.mark.rule("FP-15")
@pytest.mark.rule("AZ-07")
async def test_the_answer_of_one_op_is_none_of_another_s() -> None:
    """At the redirect URI of each provider only the signature of its own OP counts."""
    async with two_providers(extra=f"{SIGNED}\n") as both:
        corp, evil = both.ops["corp"], both.ops["evil"]
        state = await both.start("corp")
        for path, of in (("corp", evil), ("evil", corp), ("evil", evil)):
            query = f"response={of.keys[0].sign(claims_of(of, state))}"
            reply = await both.visitor.get(f"/bff/callback/{path}?{query}")
            assert reply.status == 400, path
            assert evil.count("token") == 0
            assert corp.count("token") == 0


async def answer(visitor: Visitor, response: str, **beside: str) -> Reply:
    """What the OP sends the browser back with, and what stands beside it."""
    query = "".join(f"&{name}={value}" for name, value in beside.items())
    return await visitor.get(f"/bff/callback?response={response}{query}")
