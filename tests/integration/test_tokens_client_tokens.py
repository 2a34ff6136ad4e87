"""Tokens of the gateway itself: one for each scope, asked for once at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from bff.errors import OpError, OpUnavailable
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
    assert (await tokens.get("a")).access_token == "at.a.1"
    assert (await tokens.get("b")).access_token == "at.b.2"
    assert (await tokens.get("a")).access_token == "at.a.1"


async def test_a_burst_asks_once(tokens: ClientTokens, op: ScriptedOp) -> None:
    found = await asyncio.gather(*(tokens.get("a") for _ in range(20)))
    assert {token.access_token for token in found} == {"at.a.1"}
    assert op.count("token") == 1


async def test_it_is_replaced_before_it_runs_out(tokens: ClientTokens, clock: ManualClock) -> None:
    """A tenth of its life is left for the call that is made with it."""
    assert (await tokens.get("a")).access_token == "at.a.1"
    clock.advance(89)
    assert (await tokens.get("a")).access_token == "at.a.1"
    clock.advance(1)
    assert (await tokens.get("a")).access_token == "at.a.2"


@pytest.mark.rule("TK-09")
async def test_an_op_that_fails_is_left_alone_for_a_while(
    tokens: ClientTokens, op: ScriptedOp, clock: ManualClock
) -> None:
    """For the scope that failed; the others are asked for. A success ends it."""
    usual = op.answers["token"]
    op.answers["token"] = Answer({"error": "server_error"}, status=500)
    with pytest.raises(OpError):
        await tokens.get("a")
    calls = op.count("token")
    with pytest.raises(OpUnavailable) as refused:
        await tokens.get("a")
    assert refused.value.retry_after == 1
    assert op.count("token") == calls
    op.answers["token"] = usual
    await tokens.get("b")
    clock.advance(1)
    await tokens.get("a")
    clock.advance(90)
    op.answers["token"] = Answer({"error": "server_error"}, status=500)
    with pytest.raises(OpError):
        await tokens.get("a")
    clock.advance(0.5)  # the first wait again, not the second
    op.answers["token"] = usual
    await tokens.get("a")


async def test_a_caller_who_hangs_up_does_not_stop_it(tokens: ClientTokens, op: ScriptedOp) -> None:
    first = asyncio.create_task(tokens.get("a"))
    await asyncio.sleep(0)
    second = asyncio.create_task(tokens.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).access_token == "at.a.1"
    assert op.count("token") == 1


async def test_a_caller_waits_for_a_while_and_the_answer_serves_the_next(
    relying_party: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    impatient = ClientTokens(relying_party, clock, wait_seconds=0)
    with pytest.raises(OpUnavailable) as refused:
        await impatient.get("a")
    assert refused.value.retry_after == 1

    async def is_there() -> bool:
        try:
            return (await impatient.get("a")).access_token == "at.a.1"
        except OpUnavailable:
            return False

    await until(is_there)
    assert op.count("token") == 1
