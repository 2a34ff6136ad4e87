"""`GET /bff/arrival` tells how a request has arrived, for a ticket of the admin listener only."""

import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from bff.clock import ManualClock
from bff.config.load import load_with_origins
from tests.flows.examined import installation
from tests.parts.configuration import listening_at
from tests.parts.redis_server import RedisServer, own_redis
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway

__all__ = ["own_redis"]


@pytest.mark.rule("OP-10")
async def test_a_ticket_is_used_up_in_all_replicas(tmp_path: Path, own_redis: RedisServer) -> None:
    """Any process may issue it, any other take it, and then it is known to all as used."""
    async with installation(tmp_path, store=own_redis.url) as place:
        listen, admin = free_port(), free_port()
        environ = listening_at(listen, admin)
        replica = replace(place, ports=replace(place.ports, gateway=listen, admin=admin))
        async with running_gateway(load_with_origins(place.config, environ).settings):
            ticket = await place.ticket()
            assert (await replica.arrival(ticket))[0] == 200
            assert (await place.arrival(ticket))[0] == 404


@pytest.mark.rule("OP-10")
async def test_a_ticket_is_good_once_and_for_a_minute(tmp_path: Path) -> None:
    async with installation(tmp_path, serves=False) as place:
        clock = ManualClock(time.time())
        settings = load_with_origins(place.config, {}).settings
        async with running_gateway(settings, clock):
            ticket = await place.ticket()
            status, document = await place.arrival(ticket)
            assert (status, document["client"]) == (200, "127.0.0.1")
            assert set(document) == {"peer", "is_peer_trusted", "client", "fields"}
            assert (await place.arrival(ticket))[0] == 404, "it was used"
            assert (await place.arrival(await place.ticket(), await place.ticket()))[0] == 404
            late = await place.ticket()
            clock.advance(61)
            assert (await place.arrival(late))[0] == 404


@pytest.mark.rule("OP-10")
async def test_without_a_ticket_it_is_a_path_that_does_not_exist(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    """For any caller, and for no access to the store: a forged ticket is known by its signature."""
    async with installation(tmp_path, store=own_redis.url) as place:
        good = await place.ticket()
        expires_at, nonce, mac = good.split(".")
        forged = [
            f"{int(expires_at) + 1}.{nonce}.{mac}",
            f"{expires_at}.{nonce[::-1]}.{mac}",
            f"{expires_at}.{nonce}.{mac[::-1]}",
            "x",
            "",
        ]
        status, unknown = await place.arrival()
        assert (status, unknown["code"]) == (404, "not_found")
        before = own_redis.records()
        own_redis.pause()
        try:
            for ticket in forged:
                assert (await place.arrival(ticket))[0] == 404, ticket
        finally:
            own_redis.resume()
        assert own_redis.records() == before
        assert (await place.arrival(good))[0] == 200


@pytest.mark.rule("OP-10")
@pytest.mark.parametrize(
    "field", [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Host", "evil")]
)
async def test_no_page_of_a_browser_gets_a_ticket(tmp_path: Path, field: tuple[str, str]) -> None:
    async with installation(tmp_path) as place, aiohttp.ClientSession() as http:
        async with http.post(f"{place.admin_url}/doctor", headers=[field]) as answer:
            assert answer.status in {403, 421}
            assert "ticket" not in await answer.text()
        async with http.get(f"{place.admin_url}/doctor") as answer:
            assert answer.status == 405
