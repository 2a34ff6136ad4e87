"""What OPs have said of access tokens: of which token it holds, and when an OP is left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from bff.clock import ManualClock
from bff.errors import OpError
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.tokens.backoff import REFUSED_SECONDS
from bff.tokens.introspected_tokens import IntrospectedTokens
from tests.integration.relying_party.steps import settings_for
from tests.parts.scripted_op import Answer, ScriptedOp

CACHE_SECONDS = 10.0


@dataclass
class Place:
    """Two OPs, `a` and `b`, which let a token count unless a test says otherwise."""

    introspected: IntrospectedTokens
    ops: dict[str, ScriptedOp]

    async def said(self, token: str, provider: str = "a", *, allow: bool = False) -> bool | str:
        """What is found of a token: whether it counts, or the code of the error."""
        try:
            return await self.introspected.is_active(
                provider, token, CACHE_SECONDS, allow_when_down=allow
            )
        except OpError as error:
            return error.code

    def answer(self, answer: Answer) -> None:
        self.ops["a"].answers["introspection"] = answer

    def asked(self) -> int:
        return self.ops["a"].count("introspection")


@asynccontextmanager
async def an_op(name: str, clock: ManualClock) -> AsyncIterator[tuple[ScriptedOp, RelyingParty]]:
    op = ScriptedOp(clock)
    op.answers["introspection"] = Answer({"active": True})
    await op.start()
    op.metadata_changes["introspection_endpoint"] = f"{op.issuer}/introspect"
    party = RelyingParty(replace(settings_for(op.issuer), name=name), clock)
    await party.start()
    try:
        yield op, party
    finally:
        await party.close()
        await op.close()


@pytest.fixture
async def place(clock: ManualClock) -> AsyncIterator[Place]:
    async with AsyncExitStack() as opened:
        found = {name: await opened.enter_async_context(an_op(name, clock)) for name in "ab"}
        parties = RelyingParties([party for _, party in found.values()])
        introspected = IntrospectedTokens(parties, clock)
        yield Place(introspected, {name: op for name, (op, _) in found.items()})


@pytest.mark.rule("TK-23")
async def test_an_op_speaks_for_its_own_tokens_only(place: Place) -> None:
    """Two OPs may give the same string."""
    place.answer(Answer({"active": False}))
    both = await asyncio.gather(place.said("same", "a"), place.said("same", "b"))
    assert [*both] == [False, True]
    assert place.introspected.known("a", "same", CACHE_SECONDS) is False
    assert place.introspected.known("b", "same", CACHE_SECONDS) is True


async def test_questions_that_fail_in_one_moment_are_one_outage(
    place: Place, clock: ManualClock
) -> None:
    """The OP is asked again after the shortest pause, with one question at a time."""
    place.answer(Answer(status=503))
    said = await asyncio.gather(*(place.said(f"token {n}") for n in range(20)))
    assert (set(said), place.asked()) == ({"op_unavailable"}, 20)
    clock.advance(0.5)
    said = await asyncio.gather(*(place.said(f"token {n}") for n in range(20)))
    assert (set(said), place.asked()) == ({"op_unavailable"}, 21)
    place.answer(Answer({"active": True}))
    clock.advance(1)
    assert await place.said("token 0") is True
    said = await asyncio.gather(*(place.said(f"token {n}") for n in range(20)))
    assert set(said) == {True}


@pytest.mark.rule("TK-24")
@pytest.mark.parametrize(
    "refusal", [Answer({"error": "invalid_request"}, status=400), Answer(b"too large", status=413)]
)
async def test_a_refusal_that_is_about_one_token_is_of_that_token_only(
    place: Place, clock: ManualClock, refusal: Answer
) -> None:
    """It opens the gate to no token, and shuts it for no other."""
    place.ops["a"].answers["introspection"] = lambda asked: (
        refusal if asked.form["token"] == "odd" else Answer({"active": True})
    )
    assert await place.said("odd", allow=True) == "op_metadata_refused"
    assert await place.said("plain") is True
    assert await place.said("odd", allow=True) == "op_metadata_refused"
    assert place.asked() == 2
    clock.advance(REFUSED_SECONDS)
    place.answer(Answer({"active": True}))
    assert await place.said("odd") is True


@pytest.mark.rule("TK-24")
@pytest.mark.parametrize(
    ("status", "body", "passes"),
    [(403, b"", True), (403, {"error": "access_denied"}, False), (401, b"", False)],
)
async def test_a_client_that_may_not_ask_is_told_from_an_outage(
    place: Place, status: int, body: object, *, passes: bool
) -> None:
    """A 403 without an error may come from a firewall."""
    place.answer(Answer(body, status=status))
    expected: bool | str = True if passes else "op_client_rejected"
    assert [await place.said(token, allow=True) for token in ("x", "y")] == [expected] * 2
    assert place.asked() == 1
