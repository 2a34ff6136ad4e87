"""Connections that are slow, stop half way, take nothing, or are too many."""

import asyncio

from bff.proxy.listener import MOST_REFUSED
from tests.abuse.crowd import AT_ONCE, CLOSED, RESET, crowd
from tests.abuse.scenario import (
    Outcome,
    Scale,
    Scenario,
    at_most,
    per_connection,
    per_reader,
    rested,
)
from tests.abuse.site import LARGE_BYTES, Site
from tests.parts.raw_upstream import Received

PATIENCE_SECONDS = 30.0
CLOSE = "Connection: close\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n"
FIELD = b"X-Y: z\r\n"
HEAD = b"GET /api/x HTTP/1.1\r\nHost: x\r\n" + FIELD * 100


async def slow_heads(site: Site, scale: Scale) -> Outcome:
    outcome = Outcome(f"{scale.connections} heads, a byte at a time")
    async with crowd(site.port, scale.connections) as attackers:
        await attackers.dripping(HEAD, seconds=PATIENCE_SECONDS)
        outcome.answers = attackers.outcomes()
    outcome.require_only("408")
    return outcome


async def slow_bodies(site: Site, scale: Scale) -> Outcome:
    """To an API, with a session; to own endpoints, with and without."""
    outcome = Outcome(f"{scale.connections} bodies that stop, to /api, /bff and /")
    targets = (
        f"POST /api/x HTTP/1.1\r\n{site.lines}Content-Length: 99\r\n\r\nx",
        f"POST /hostile/x HTTP/1.1\r\n{site.lines}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        f"POST /bff/backchannel-logout HTTP/1.1\r\nHost: {site.host}\r\n{FORM}\r\nlogout_token=x",
        f"GET /bff/user HTTP/1.1\r\n{site.lines}Content-Length: 99\r\n\r\nx",
        f"GET / HTTP/1.1\r\nHost: {site.host}\r\nContent-Length: 99\r\n\r\nx",
    )
    site.upstream.responder = _read_all
    async with crowd(site.port, scale.connections) as attackers:
        for number, wire in enumerate(attackers):
            wire.send(targets[number % len(targets)].encode())
        await attackers.until_over(seconds=PATIENCE_SECONDS)
        outcome.answers = attackers.outcomes()
    # Own endpoints that want no body have answered before it came.
    outcome.require_only("408", "200")
    outcome.require(outcome.answers["408"] >= scale.connections * 3 // 5, "408 for slow bodies")
    return outcome


async def silent_connections(site: Site, scale: Scale) -> Outcome:
    outcome = Outcome(f"{scale.connections} connections that say nothing, or half a head")
    async with crowd(site.port, scale.connections) as attackers:
        for wire in attackers[::2]:
            wire.send(HEAD)
        await attackers.until_over(seconds=PATIENCE_SECONDS)
        outcome.answers = attackers.outcomes()
    outcome.require_only("408", CLOSED)
    return outcome


async def stalled_readers(site: Site, scale: Scale) -> Outcome:
    """Of a large answer of the API, and of a large file of our own."""
    count = scale.readers
    outcome = Outcome(f"{count} readers that take nothing of {LARGE_BYTES >> 20} MiB and more")
    targets = ("/hostile/large", "/large.bin")
    site.upstream.responder = _pour
    async with crowd(site.port, count, deaf=True) as attackers:
        for number, wire in enumerate(attackers):
            wire.send(f"GET {targets[number % 2]} HTTP/1.1\r\n{site.lines}{CLOSE}\r\n".encode())
        await rested(
            site
        )  # a client that takes nothing is not told, so it is the gateway that is asked
        outcome.answers["ended"] = count
    return outcome


async def flood(site: Site, scale: Scale) -> Outcome:
    """Far more than there may be, and none of them takes what it is told. When they are gone the
    next one is served."""
    count = scale.max_connections + 4 * MOST_REFUSED
    outcome = Outcome(f"{count} connections, {scale.max_connections} are allowed")
    with site.watching(site.port) as held:
        async with crowd(site.port, count, deaf=True) as attackers:
            for wire in attackers:
                wire.read_on()
            await attackers.until_over(seconds=PATIENCE_SECONDS)
            outcome.answers = attackers.outcomes()
    outcome.require_only("503", CLOSED, RESET)
    outcome.require(outcome.answers["503"], "503 past the limit")
    bound = scale.max_connections + MOST_REFUSED + AT_ONCE  # those that are just being cut
    outcome.require(held.most <= bound, f"{held.most} connections were held, {bound} are allowed")
    async with crowd(site.port, 1) as (later,):
        later.send(f"GET /api/x HTTP/1.1\r\n{site.lines}\r\n".encode())
        await later.until_received(b"HTTP/1.1 200 OK")
    return outcome


async def _read_all(
    _request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read()
    writer.close()


async def _pour(
    _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n")
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


SCENARIOS = [
    Scenario("slow heads", slow_heads, per_connection(16)),
    Scenario("slow bodies", slow_bodies, per_connection(64)),
    Scenario("silent connections", silent_connections, per_connection(16)),
    Scenario("stalled readers", stalled_readers, per_reader(512)),
    Scenario("connection flood", flood, at_most(200), fresh=False),
]
