"""Tokens by exchange: what is asked and taken, how long it is kept, and what a refusal means."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bff.clock import ManualClock
from bff.errors import (
    ApiTokenDenied,
    ApiTokenRefused,
    BffError,
    ClientRejected,
    OpAnswerMalformed,
    OpUnavailable,
    SessionEnded,
)
from bff.model import Session, TokenTarget
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.tokens.exchanged_tokens import ExchangedTokens
from bff.tokens.policy import RefreshPolicy
from tests.integration.relying_party.steps import settings_for
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import INVALID_GRANT, RotatingOp
from tests.parts.scripted_op import Answer, Received
from tests.parts.scripted_store import ScriptedStore, store
from tests.polling import until

__all__ = ["store"]

ORDERS = TokenTarget(resource="https://orders.example.test", scope="orders.read")
STOCK = TokenTarget(audience="stock")
TYPE = "urn:ietf:params:oauth:token-type:access_token"
REFRESH = "refresh_token"


@dataclass
class Place:
    """A process, and its exchanges at an OP that refreshes as well."""

    op: RotatingOp
    process: Process
    exchanged: ExchangedTokens
    answer: Answer | None = None

    @property
    def exchanges(self) -> list[dict[str, str]]:
        forms = [received.form for received in self.op.received if received.endpoint == "token"]
        return [form for form in forms if form["grant_type"] != REFRESH]

    async def log_in(self) -> Session:
        return await self.process.log_in(self.op, "g")


@asynccontextmanager
async def a_place(
    store: ScriptedStore, clock: ManualClock, *, wait_seconds: float = 10, **changes: object
) -> AsyncIterator[Place]:
    op = RotatingOp(clock)
    await op.start()
    refreshed = op.answers["token"]
    assert callable(refreshed)

    def token(received: Received) -> Answer:
        if received.form["grant_type"] == REFRESH:
            return refreshed(received)
        number = len(opened.exchanges)
        good = Answer(
            {
                "access_token": f"exchanged-{number}",
                "token_type": "Bearer",
                "issued_token_type": TYPE,
                "expires_in": 60,
                "refresh_token": "of the exchange",
            }
        )
        return opened.answer or good

    op.answers["token"] = token
    party = RelyingParty(settings_for(op.issuer, **changes), clock)
    await party.start()
    async with a_process(store, op, clock) as process:
        exchanged = ExchangedTokens(
            RelyingParties([party]),
            process.sessions,
            process.coordinator,
            RefreshPolicy(20),
            clock,
            wait_seconds=wait_seconds,
        )
        opened = Place(op, process, exchanged)
        yield opened
        await exchanged.close(1)
    await party.close()
    await op.close()


@pytest.fixture
async def place(store: ScriptedStore, clock: ManualClock) -> AsyncIterator[Place]:
    async with a_place(store, clock) as opened:
        yield opened


@pytest.mark.rule("FP-13")
async def test_the_logins_token_is_exchanged_for_one_of_the_api(place: Place) -> None:
    """RFC 8693 section 2.1. The refresh token is not touched, and one in the answer is not used."""
    session = await place.log_in()
    tokens = await place.exchanged.get(session, ORDERS)
    assert place.exchanges == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "at.g.0",
            "subject_token_type": TYPE,
            "requested_token_type": TYPE,
            "resource": "https://orders.example.test",
            "scope": "orders.read",
        }
    ]
    assert (tokens.access_token, tokens.refresh_token) == ("exchanged-1", None)
    assert (await place.exchanged.get(session, STOCK)).access_token == "exchanged-2"
    assert (await place.exchanged.get(session, ORDERS)).access_token == "exchanged-1"
    other = await place.process.log_in(place.op, "h")
    assert (await place.exchanged.get(other, ORDERS)).access_token == "exchanged-3"
    assert place.op.rotations("g") == 0


async def test_entra_has_a_way_of_its_own(store: ScriptedStore, clock: ManualClock) -> None:
    """The on-behalf-of flow; its answers have no issued_token_type."""
    async with a_place(store, clock, token_exchange="on-behalf-of") as place:
        place.answer = Answer({"access_token": "obo", "token_type": "Bearer", "expires_in": 60})
        session = await place.log_in()
        target = TokenTarget(scope="api://orders/.default")
        assert (await place.exchanged.get(session, target)).access_token == "obo"
        assert place.exchanges == [
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": "at.g.0",
                "requested_token_use": "on_behalf_of",
                "scope": "api://orders/.default",
            }
        ]


async def test_a_burst_exchanges_once(place: Place) -> None:
    session = await place.log_in()
    found = await asyncio.gather(*(place.exchanged.get(session, ORDERS) for _ in range(20)))
    assert {tokens.access_token for tokens in found} == {"exchanged-1"}


async def test_its_life_is_watched(place: Place, clock: ManualClock) -> None:
    """Replaced in the background when it is due, and waited for when it has expired: then with a
    token of the login that is good."""
    session = await place.log_in()
    await place.exchanged.get(session, ORDERS)
    clock.advance(45)
    assert (await place.exchanged.get(session, ORDERS)).access_token == "exchanged-1"

    async def is_replaced() -> bool:
        return (await place.exchanged.get(session, ORDERS)).access_token == "exchanged-2"

    await until(is_replaced)
    clock.advance(61)
    assert (await place.exchanged.get(session, ORDERS)).access_token == "exchanged-3"
    assert [form["subject_token"] for form in place.exchanges] == ["at.g.0", "at.g.0", "at.g.1"]


async def test_it_goes_with_its_session(place: Place) -> None:
    session = await place.log_in()
    await place.exchanged.get(session, ORDERS)
    await place.process.sessions.end(session, "logout")
    for _ in range(2):
        with pytest.raises(SessionEnded):
            await place.exchanged.get(session, ORDERS)
    assert len(place.exchanges) == 1


async def test_the_logins_newest_token_is_exchanged(place: Place, clock: ManualClock) -> None:
    """Also for a caller that has found its session before a refresh."""
    session = await place.log_in()
    clock.advance(45)
    await place.process.coordinator.refreshed(session)
    await place.exchanged.get(session, ORDERS)
    assert place.exchanges[0]["subject_token"] == "at.g.1"


async def test_a_logout_while_it_is_waited_for_comes_first(place: Place) -> None:
    session = await place.log_in()
    place.op.deliver.clear()
    asked = asyncio.create_task(place.exchanged.get(session, ORDERS))
    await until(lambda: len(place.exchanges) == 1)
    await place.process.sessions.end(session, "logout")
    place.op.deliver.set()
    with pytest.raises(SessionEnded):
        await asked


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "invalid_target", ApiTokenRefused),
        (400, "invalid_scope", ApiTokenRefused),
        (400, "invalid_request", ApiTokenRefused),
        (400, "invalid_grant", ApiTokenRefused),
        (400, "unauthorized_client", ApiTokenRefused),
        (400, "unsupported_grant_type", ApiTokenRefused),
        (403, "access_denied", ApiTokenDenied),
        (400, "interaction_required", ApiTokenDenied),
        (400, "consent_required", ApiTokenDenied),
    ],
)
async def test_a_refusal_is_of_one_token_and_remembered(
    place: Place, clock: ManualClock, status: int, code: str, error: type[BffError]
) -> None:
    """It ends no session, and the OP is asked again after half a minute."""
    session = await place.log_in()
    place.answer = Answer({"error": code}, status)
    for _ in range(3):
        with pytest.raises(BffError) as refused:
            await place.exchanged.get(session, ORDERS)
        assert type(refused.value) is error
    assert len(place.exchanges) == 1
    place.answer = None
    assert (await place.exchanged.get(session, STOCK)).access_token == "exchanged-2"
    assert await place.process.sessions.load(session.key) is not None
    clock.advance(30)
    await place.exchanged.get(session, ORDERS)


GOOD: dict[str, object] = {"access_token": "at", "token_type": "Bearer", "issued_token_type": TYPE}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(b"", 500), OpUnavailable),
        (Answer(b"", 429), OpUnavailable),
        (Answer(drop=True), OpUnavailable),
        (Answer({"error": "temporarily_unavailable"}, 400), OpUnavailable),
        (Answer({"error": "invalid_client"}, 401), ClientRejected),
        (Answer(b"garbage"), OpAnswerMalformed),
        (Answer(b"[]"), OpAnswerMalformed),
        (Answer({**GOOD, "access_token": "a b"}), OpAnswerMalformed),
        (Answer({**GOOD, "token_type": "N_A"}), OpAnswerMalformed),
        (Answer({**GOOD, "token_type": "DPoP"}), OpAnswerMalformed),
        (Answer({**GOOD, "issued_token_type": None}), OpAnswerMalformed),
        (Answer({**GOOD, "issued_token_type": [TYPE]}), OpAnswerMalformed),
        (
            Answer({**GOOD, "issued_token_type": "urn:ietf:params:oauth:token-type:id_token"}),
            OpAnswerMalformed,
        ),
    ],
)
async def test_an_answer_that_is_no_access_token_is_not_used(
    place: Place, clock: ManualClock, answer: Answer, error: type[BffError]
) -> None:
    """RFC 8693 section 2.2.1. The next calls do not ask the OP again at once, and a later one may
    succeed."""
    session = await place.log_in()
    place.answer = answer
    with pytest.raises(error):
        await place.exchanged.get(session, ORDERS)
    with pytest.raises(OpUnavailable):
        await place.exchanged.get(session, ORDERS)
    assert len(place.exchanges) == 1
    place.answer = None
    clock.advance(1)
    await place.exchanged.get(session, ORDERS)


async def test_other_scopes_and_no_life_are_taken(place: Place, clock: ManualClock) -> None:
    """The token is sent to its API alone, which judges the scopes; without a usable lifetime it is
    kept for five minutes at most."""
    session = await place.log_in()
    place.answer = Answer({**GOOD, "scope": "admin", "expires_in": 0})
    tokens = await place.exchanged.get(session, ORDERS)
    assert tokens.lifetime_seconds == pytest.approx(300, abs=1)
    assert (await place.exchanged.get(session, STOCK)) is not tokens


async def test_one_that_an_api_refuses_is_replaced(place: Place, clock: ManualClock) -> None:
    session = await place.log_in()
    assert await place.exchanged.replaced(session, ORDERS, "exchanged-1") is None
    await place.exchanged.get(session, ORDERS)
    assert await place.exchanged.replaced(session, ORDERS, "exchanged-1") is None
    clock.advance(30)
    newer = await place.exchanged.replaced(session, ORDERS, "exchanged-1")
    assert newer is not None
    assert newer.access_token == "exchanged-2"
    assert await place.exchanged.replaced(session, ORDERS, "exchanged-1") == newer
    assert len(place.exchanges) == 2


@pytest.mark.rule("TK-08")
async def test_a_session_whose_grant_is_dead_ends_when_its_own_token_is_over(
    place: Place, clock: ManualClock
) -> None:
    session = await place.log_in()
    clock.advance(61)
    place.op.refuse = INVALID_GRANT
    with pytest.raises(SessionEnded):
        await place.exchanged.get(session, ORDERS)
    assert place.exchanges == []


async def test_a_caller_waits_for_a_while(store: ScriptedStore, clock: ManualClock) -> None:
    async with a_place(store, clock, wait_seconds=0) as place:
        session = await place.log_in()
        with pytest.raises(OpUnavailable) as refused:
            await place.exchanged.get(session, ORDERS)
        assert refused.value.retry_after == 1
