"""Tokens of the gateway itself: one for each target, asked for once at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from bff.errors import ApiTokenDenied, ApiTokenRefused, OpError, OpUnavailable
from bff.model import TokenTarget
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.tokens.client_tokens import ClientTokens
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, Answer, Received, ScriptedOp
from tests.polling import until


@pytest.fixture
async def op(clock: ManualClock) -> AsyncIterator[ScriptedOp]:
    provider = ScriptedOp(clock)

    def token(received: Received) -> Answer:
        text = f"at.{received.form.get('scope', '')}.{provider.count('token')}"
        return Answer({"access_token": text, "token_type": "Bearer", "expires_in": 100})

    provider.answers["token"] = token
    await provider.start()
    yield provider
    await provider.close()


@pytest.fixture
async def relying_party(op: ScriptedOp, clock: ManualClock) -> AsyncIterator[RelyingParty]:
    settings = RelyingPartySettings(
        issuer=op.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri="http://localhost/bff/callback",
    )
    opened = RelyingParty(settings, clock)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def tokens(relying_party: RelyingParty, clock: ManualClock) -> ClientTokens:
    return ClientTokens(relying_party, clock)


async def test_a_scope_has_a_token_of_its_own(tokens: ClientTokens) -> None:
    """No route can get one that was asked for another scope."""
    assert (await tokens.get(TokenTarget(scope="a"))).access_token == "at.a.1"
    assert (await tokens.get(TokenTarget(scope="b"))).access_token == "at.b.2"
    assert (await tokens.get(TokenTarget(scope="a"))).access_token == "at.a.1"


@pytest.mark.rule("FP-13")
async def test_an_api_has_a_token_of_its_own(tokens: ClientTokens, op: ScriptedOp) -> None:
    """RFC 8707 section 2: what the token is for is asked, and no other target gets it."""
    targets = [
        TokenTarget(),
        TokenTarget(resource="https://a.test"),
        TokenTarget(resource="https://b.test"),
        TokenTarget(audience="https://a.test"),
        TokenTarget("https://a.test", "b", "read"),
    ]
    for _ in range(2):
        found = await asyncio.gather(*map(tokens.get, targets))
        assert len({token.access_token for token in found}) == len(targets)
    asked = [received.form for received in op.received if received.endpoint == "token"]
    grant = {"grant_type": "client_credentials"}
    assert sorted(map(str, asked)) == sorted(
        str({**grant, **form})
        for form in (
            {},
            {"resource": "https://a.test"},
            {"resource": "https://b.test"},
            {"audience": "https://a.test"},
            {"resource": "https://a.test", "audience": "b", "scope": "read"},
        )
    )


@pytest.mark.parametrize(
    ("code", "error"), [("invalid_target", ApiTokenRefused), ("access_denied", ApiTokenDenied)]
)
async def test_a_refusal_is_remembered_for_a_while(
    tokens: ClientTokens, op: ScriptedOp, clock: ManualClock, code: str, error: type[OpError]
) -> None:
    """Each caller is told the same, and the OP is asked every half minute; other targets are."""
    usual = op.answers["token"]
    op.answers["token"] = Answer({"error": code}, status=400)
    refused = TokenTarget(resource="https://a.test")
    for left in (30, 20, 10):
        with pytest.raises(error) as told:
            await tokens.get(refused)
        assert told.value.retry_after == left
        assert code in told.value.log_detail
        clock.advance(10)
    assert op.count("token") == 1
    op.answers["token"] = usual
    await tokens.get(TokenTarget(resource="https://b.test"))
    await tokens.get(refused)
    assert op.count("token") == 3


async def test_a_burst_asks_once(tokens: ClientTokens, op: ScriptedOp) -> None:
    found = await asyncio.gather(*(tokens.get(TokenTarget(scope="a")) for _ in range(20)))
    assert {token.access_token for token in found} == {"at.a.1"}
    assert op.count("token") == 1


async def test_it_is_replaced_before_it_runs_out(tokens: ClientTokens, clock: ManualClock) -> None:
    """A tenth of its life is left for the call that is made with it."""
    assert (await tokens.get(TokenTarget(scope="a"))).access_token == "at.a.1"
    clock.advance(89)
    assert (await tokens.get(TokenTarget(scope="a"))).access_token == "at.a.1"
    clock.advance(1)
    assert (await tokens.get(TokenTarget(scope="a"))).access_token == "at.a.2"


@pytest.mark.rule("TK-09")
async def test_an_op_that_fails_is_left_alone_for_a_while(
    tokens: ClientTokens, op: ScriptedOp, clock: ManualClock
) -> None:
    """For the scope that failed; the others are asked for. A success ends it."""
    usual = op.answers["token"]
    op.answers["token"] = Answer({"error": "server_error"}, status=500)
    with pytest.raises(OpError):
        await tokens.get(TokenTarget(scope="a"))
    calls = op.count("token")
    with pytest.raises(OpUnavailable) as refused:
        await tokens.get(TokenTarget(scope="a"))
    assert refused.value.retry_after == 1
    assert op.count("token") == calls
    op.answers["token"] = usual
    await tokens.get(TokenTarget(scope="b"))
    clock.advance(1)
    await tokens.get(TokenTarget(scope="a"))
    clock.advance(90)
    op.answers["token"] = Answer({"error": "server_error"}, status=500)
    with pytest.raises(OpError):
        await tokens.get(TokenTarget(scope="a"))
    clock.advance(0.5)  # the first wait again, not the second
    op.answers["token"] = usual
    await tokens.get(TokenTarget(scope="a"))


async def test_a_caller_who_hangs_up_does_not_stop_it(tokens: ClientTokens, op: ScriptedOp) -> None:
    first = asyncio.create_task(tokens.get(TokenTarget(scope="a")))
    await asyncio.sleep(0)
    second = asyncio.create_task(tokens.get(TokenTarget(scope="a")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).access_token == "at.a.1"
    assert op.count("token") == 1


async def test_a_caller_waits_for_a_while_and_the_answer_serves_the_next(
    relying_party: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    impatient = ClientTokens(relying_party, clock, wait_seconds=0)
    with pytest.raises(OpUnavailable) as refused:
        await impatient.get(TokenTarget(scope="a"))
    assert refused.value.retry_after == 1

    async def is_there() -> bool:
        try:
            return (await impatient.get(TokenTarget(scope="a"))).access_token == "at.a.1"
        except OpUnavailable:
            return False

    await until(is_there)
    assert op.count("token") == 1
