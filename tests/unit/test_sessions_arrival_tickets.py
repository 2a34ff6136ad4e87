"""A ticket is good for one request within a minute; a forged one costs no access to the store."""

import asyncio

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.sessions.arrival_tickets import TICKET_SECONDS, ArrivalTickets
from bff.sessions.memory import MemoryStore
from bff.sessions.sealing.keyring import RecordOwner

OWNER = RecordOwner("https://idp.example.com", "spa")
OLD, NEW = "b5Ja9W0tqXvZr3Lk8NfYc2Hd7MsPe4Gu", "Qm1Zx8Cv3Bn6Lk0Jh5Gf2Ds9Aa7Pw4Ot"


class UnavailableStore(MemoryStore):
    """One that is down."""

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        raise StoreUnavailable


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tickets(clock: ManualClock) -> ArrivalTickets:
    return ArrivalTickets(MemoryStore(clock), OWNER, [OLD], clock)


async def test_a_ticket_is_taken_once(tickets: ArrivalTickets) -> None:
    first, second = tickets.issue(), tickets.issue()
    assert first != second
    assert await tickets.take(first)
    assert not await tickets.take(first)
    assert await tickets.take(second)


async def test_of_two_uses_at_the_same_moment_one_counts(tickets: ArrivalTickets) -> None:
    ticket = tickets.issue()
    assert sorted(await asyncio.gather(*(tickets.take(ticket) for _ in range(5)))) == [
        False,
        False,
        False,
        False,
        True,
    ]


async def test_a_ticket_is_good_for_a_minute(tickets: ArrivalTickets, clock: ManualClock) -> None:
    early, late = tickets.issue(), tickets.issue()
    clock.advance(TICKET_SECONDS - 1)
    assert await tickets.take(early)
    clock.advance(1)
    assert not await tickets.take(late)


async def test_a_used_ticket_stays_used_for_as_long_as_it_is_good(clock: ManualClock) -> None:
    """By the clock of a replica that is behind as well."""
    store = MemoryStore(clock)
    ticket = ArrivalTickets(store, OWNER, [OLD], clock).issue()
    assert await ArrivalTickets(store, OWNER, [OLD], clock).take(ticket)
    clock.advance(TICKET_SECONDS + 30)
    behind = ManualClock(clock.now() - 31)
    assert not await ArrivalTickets(store, OWNER, [OLD], behind).take(ticket)


async def test_a_forged_ticket_costs_the_store_nothing(clock: ManualClock) -> None:
    tickets = ArrivalTickets(UnavailableStore(clock), OWNER, [OLD], clock)
    good = tickets.issue()
    expires_at, nonce, mac = good.split(".")
    forged = [
        "",
        "x",
        f"{int(expires_at) + 60}.{nonce}.{mac}",
        f"{expires_at}.{nonce[1:]}A.{mac}",
        f"{expires_at}.{nonce}.{mac[1:]}A",
        f"{expires_at}.{nonce}",
        f"{good} ",
        f"{good}\n",
        ArrivalTickets(UnavailableStore(clock), OWNER, [NEW], clock).issue(),
    ]
    for ticket in forged:
        assert not await tickets.take(ticket), ticket
    with pytest.raises(StoreUnavailable):
        await tickets.take(good)


async def test_a_ticket_outlives_a_new_secret(clock: ManualClock) -> None:
    """Of a replica that has the new one already, or not yet, if it knows both."""
    store = MemoryStore(clock)
    ticket = ArrivalTickets(store, OWNER, [OLD], clock).issue()
    assert await ArrivalTickets(store, OWNER, [NEW, OLD], clock).take(ticket)
