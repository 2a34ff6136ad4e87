"""Whether the clocks of the OPs and of the gateway agree: an ID token is judged by both."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bff.app import relying_parties
from bff.cli.check import OPS_AT_ONCE
from bff.cli.checks.verdict import Verdict, bad, good, warning
from bff.clock import ClockReading, SystemClock
from bff.config.settings import Settings
from bff.errors import OpError
from bff.observability.metrics import Metrics
from bff.oidc.relying_party import RelyingParty

ITEM = "clock"
AGREEING_SECONDS = 5.0  # a clock set by NTP, and a Date without parts of a second
NTP = "set that of each machine by NTP (`timedatectl` says whether it is)"


@dataclass(frozen=True, slots=True)
class OpClock:
    """By how much the clock of an OP is ahead of the gateway's."""

    issuer: str
    table: str
    leeway_seconds: float
    ahead_seconds: float


async def on_clocks(settings: Settings, gateway: ClockReading | None) -> AsyncIterator[Verdict]:
    """`gateway`: its clock, where it runs; else that of this machine counts."""
    parties = relying_parties(settings, SystemClock(), Metrics())
    shift = 0.0 if gateway is None else gateway.ahead_seconds
    places = asyncio.Semaphore(OPS_AT_ONCE)

    async def ask(party: RelyingParty) -> OpClock | None:
        async with places:
            return await _op_clock(party, shift)

    found = await asyncio.gather(*map(ask, parties))
    for verdict in judged([one for one in found if one is not None]):
        yield verdict


async def _op_clock(party: RelyingParty, shift: float) -> OpClock | None:
    """None where the OP does not answer, which other lines tell, or tells no time."""
    settings = party.settings
    try:
        await party.start()
        metadata = await party.metadata()
        readings = await party.probe().clock(SystemClock(), metadata.jwks_uri)
    except OpError:
        return None
    finally:
        await party.close()
    if not readings:
        return None
    ahead = median(one.ahead_seconds for one in readings) - shift
    return OpClock(settings.issuer, settings.table, settings.leeway_seconds, ahead)


def judged(clocks: Sequence[OpClock]) -> Iterator[Verdict]:
    """A verdict for each, and which of the clocks is wrong, where several OPs agree on that."""
    for one in clocks:
        ahead = one.ahead_seconds
        if abs(ahead) <= AGREEING_SECONDS:
            yield good(ITEM, f"that of {one.issuer} agrees with the gateway's")
            continue
        way = "ahead of" if ahead > 0 else "behind"
        found = f"that of {one.issuer} is {abs(ahead):.0f} s {way} the gateway's"
        if abs(ahead) > one.leeway_seconds:
            leeway = f"{one.table}.leeway, {one.leeway_seconds:g} s"
            yield bad(ITEM, f"{found}, more than {leeway}: logins fail", _next_step(one, clocks))
        else:
            yield warning(ITEM, found, _next_step(one, clocks))


def _next_step(one: OpClock, clocks: Sequence[OpClock]) -> str:
    others = [other.ahead_seconds for other in clocks if other is not one]
    with_it = sum(abs(ahead - one.ahead_seconds) <= AGREEING_SECONDS for ahead in others)
    with_us = sum(abs(ahead) <= AGREEING_SECONDS for ahead in others)
    if with_it > with_us:
        return f"the other OPs agree with it: the gateway's clock is wrong; {NTP}"
    if with_us:
        return f"the other OPs agree with the gateway: tell the OP's operator; {NTP}"
    return f"one of the two is wrong; {NTP}"
