"""Logins that are started and never finished, by no user in particular."""

import asyncio
from collections import Counter

from redis.asyncio import Redis

from tests.abuse.calling import calling
from tests.abuse.measures import MIB, Course
from tests.abuse.scenario import Outcome, Scale, Scenario, at_most
from tests.abuse.site import Site

AT_ONCE = 16
LOGIN_SECONDS = 600
MOST_STORED_BYTES = 2_500  # for one that is under way, all its keys together
MOST_IN_MEMORY_BYTES = 4_000  # the same in the embedded store
BURST = 300  # of `limits.logins`, which then lets through five in a second
HONEST_KEYS = 3  # the honest user's session and its indexes
_WITHOUT_EXPIRY = """
local found = 0
for _, key in ipairs(redis.call('keys', '*')) do
  local left = redis.call('ttl', key)
  if left < 0 or left > tonumber(ARGV[1]) then found = found + 1 end
end
return found
"""


async def from_everywhere(site: Site, scale: Scale) -> Outcome:
    """From as many addresses, so that no rate limit sees two."""
    outcome = Outcome(f"{scale.logins:,} login starts, each from an address of its own")
    before = site.held_bytes()
    outcome.answers = await _start(site, site.port, scale.logins, spread=True)
    outcome.require_only("302")
    each = (site.held_bytes() - before) / scale.logins
    outcome.require(each <= MOST_STORED_BYTES, f"{each:.0f} bytes of the store for each")
    async with Redis.from_url(site.store.url) as redis:
        lasting = await redis.eval(_WITHOUT_EXPIRY, 0, str(LOGIN_SECONDS))
    outcome.require(lasting <= HONEST_KEYS, f"{lasting} keys outlast a login")
    return outcome


async def in_memory(site: Site, scale: Scale) -> Outcome:
    """The same with the embedded store, whose memory is the gateway's own."""
    outcome = Outcome(f"the same, {scale.logins:,}, to a gateway with the embedded store")
    async with site.newcomer(BFF_SESSION__STORE="memory://") as (port, process):
        await _start(site, port, 100, spread=True)
        process.forget_peak()
        before = process.rss_bytes()
        outcome.answers = await _start(site, port, scale.logins, spread=True)
        outcome.memory = Course(before, process.peak_bytes(), process.rss_bytes())
    outcome.require_only("302")
    return outcome


async def from_one_address(site: Site, scale: Scale) -> Outcome:
    """With the limit at work: the rest is refused and leaves nothing behind."""
    outcome = Outcome(f"{scale.logins:,} login starts from one address")
    loop = asyncio.get_running_loop()
    began, before = loop.time(), site.held_keys()
    outcome.answers = await _start(site, site.port, scale.logins, spread=False)
    outcome.require_only("302", "429")
    let_through = BURST + BURST / 60 * (loop.time() - began) + AT_ONCE
    outcome.require(outcome.answers["302"] <= let_through, f"more than {let_through:.0f} started")
    left = site.held_keys() - before
    outcome.require(left <= 2 * let_through + 1, f"{left} keys are left of them")
    return outcome


async def _start(site: Site, port: int, count: int, *, spread: bool) -> Counter[str]:
    numbers = iter(range(count))
    found: Counter[str] = Counter()

    async def worker() -> None:
        async with calling(port) as caller:
            for number in numbers:
                address = _address(number) if spread else "192.0.2.1"
                found[await caller.ask(_login(site, address))] += 1

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return found


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _login(site: Site, address: str) -> bytes:
    return (
        f"GET /bff/login?returnUrl=%2Fx HTTP/1.1\r\nHost: {site.host}\r\n"
        f"X-Forwarded-For: {address}\r\n\r\n"
    ).encode()


def _for_all(scale: Scale) -> float:
    return 8.0 + scale.logins * MOST_IN_MEMORY_BYTES / MIB


SCENARIOS = [
    Scenario("login starts", from_everywhere, at_most(24)),
    Scenario("login starts, embedded store", in_memory, _for_all),
    Scenario("login starts, one address", from_one_address, at_most(16)),
]
