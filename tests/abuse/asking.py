"""The listener for proxies that ask: clients that connect there and do not ask, or too often."""

from tests.abuse.connections import FIELD, HEAD, PATIENCE_SECONDS
from tests.abuse.crowd import AT_ONCE, CLOSED, RESET, crowd
from tests.abuse.scenario import Outcome, Scale, Scenario, per_connection
from tests.abuse.site import Site

SURPLUS = 600


async def asking_slowly(site: Site, scale: Scale) -> Outcome:
    """A head that goes on and on, on new connections and on kept ones."""
    outcome = Outcome(f"{scale.connections} questions that have no end")
    async with crowd(site.auth_port, scale.connections) as attackers:
        for wire in attackers[::3]:
            wire.send(_question(site))
        attackers.send(HEAD)
        await attackers.dripping(FIELD * 100, seconds=PATIENCE_SECONDS)
        outcome.answers = attackers.outcomes()
    outcome.require_only("204", CLOSED, RESET)
    return outcome


async def asking_flood(site: Site, scale: Scale) -> Outcome:
    """More than there may be. When they are gone the next proxy is answered."""
    count = scale.max_connections + SURPLUS
    outcome = Outcome(f"{count} connections, {scale.max_connections} are allowed")
    with site.watching(site.auth_port) as held:
        async with crowd(site.auth_port, count) as attackers:
            await attackers.until_over(seconds=PATIENCE_SECONDS)
            outcome.answers = attackers.outcomes()
    outcome.require_only(CLOSED, RESET)
    bound = scale.max_connections + AT_ONCE  # those that are just being cut
    outcome.require(held.most <= bound, f"{held.most} connections were held, {bound} are allowed")
    async with crowd(site.auth_port, 1) as (proxy,):
        proxy.send(_question(site))
        await proxy.until_received(b"HTTP/1.1 204")
    return outcome


def _question(site: Site) -> bytes:
    return (
        f"GET /bff/auth HTTP/1.1\r\n{site.lines}X-Forwarded-Method: GET\r\n"
        "X-Forwarded-Proto: http\r\nX-Forwarded-Uri: /api/x\r\n\r\n"
    ).encode()


SCENARIOS = [
    Scenario("asking slowly", asking_slowly, per_connection(64)),
    Scenario("asking flood", asking_flood, per_connection(64)),
]
