"""The gateway's own endpoints behind the proxy: what fails in one of them costs its request, and
their connections end with the gateway."""

import re
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bff.gate.framing import MAX_FIELDS
from bff.gate.outcome import Local
from bff.model import DEFAULT_FRONTEND
from bff.proxy.own_endpoints import FrontendEndpoints, LocalPool, OwnEndpoints
from tests.integration.other_parts import a_listener, context_of
from tests.wire.client import End, everything, wired
from tests.wire.reading import Answer, read_answers
from tests.wire.users import Users, a_gateway_for_users

ASK = "GET /bff/user HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}\r\n"
MANY = MAX_FIELDS - 10  # more than the library takes of itself


async def fail_at_once(_request: web.BaseRequest, _local: Local) -> web.StreamResponse:
    raise LookupError("canary")


async def fail_in_mid_answer(request: web.BaseRequest, _local: Local) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    raise LookupError("canary")


class Unguarded:
    """Endpoints that fail themselves, outside of what guards each of them."""

    def __init__(self, endpoints: Any) -> None:
        self.refused = endpoints.refused

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        return await fail_at_once(request, local)


def own_of(users: Users) -> Any:
    """The endpoints of a gateway."""
    found: Any = context_of(users.gateway).local._endpoints
    return found._frontends[DEFAULT_FRONTEND]


async def asked(users: Users, endpoints: Any) -> tuple[bytes, End, list[Any]]:
    """What a browser gets of them, and what is logged."""
    shared = context_of(users.gateway)
    pool = LocalPool(FrontendEndpoints({DEFAULT_FRONTEND: endpoints}), shared.writes)
    pool.start()
    user = await users.log_in("alice")
    with capture_logs() as logs:
        async with a_listener(users.gateway, local=pool) as other, wired(other.port) as wire:
            wire.send(ASK.format(users.host, user).encode())
            received = await wire.until_end()
            end = wire.end
    await pool.close()
    return received, end, logs


def with_endpoint(users: Users, endpoint: Any) -> OwnEndpoints:
    own = own_of(users)
    return OwnEndpoints(dict.fromkeys(own._endpoints, endpoint), own._refusals, own._own)


def only(received: bytes) -> Answer:
    (answer,) = read_answers(received).messages
    return answer


async def test_an_endpoint_that_fails_is_answered_and_logged_under_one_name() -> None:
    async with a_gateway_for_users(1) as users:
        received, _, logs = await asked(users, with_endpoint(users, fail_at_once))
    (told,) = [entry for entry in logs if entry["event"] == "unhandled"]
    answer = only(received)
    assert (answer.status, b"canary" in answer.body) == (500, False)
    assert answer.values(b"x-request-id") == [told["request_id"].encode()]


async def test_an_endpoint_that_fails_in_mid_answer_is_cut_off() -> None:
    async with a_gateway_for_users(1) as users:
        received, end, _ = await asked(users, with_endpoint(users, fail_in_mid_answer))
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"problem" not in received
    assert end is End.RESET


async def test_a_fault_outside_of_an_endpoint_is_no_fault_of_the_request() -> None:
    async with a_gateway_for_users(1) as users:
        received, _, _ = await asked(users, Unguarded(own_of(users)))
    assert (only(received).status, b"internal_error" in only(received).body) == (500, True)


async def test_an_endpoint_is_asked_with_all_fields_and_its_answer_names_the_request() -> None:
    async with a_gateway_for_users(1) as users:
        user = await users.log_in("alice")
        more = "".join(f"X-Field-{number}: x\r\n" for number in range(MANY))
        received, _ = await everything(users.port, ASK.format(users.host, user + more).encode())
    answer = only(received)
    assert answer.status == 200
    (name,) = answer.values(b"x-request-id")
    assert re.fullmatch(rb"[0-9a-f]{32}", name)


async def test_connections_to_them_are_closed_with_the_gateway() -> None:
    async with a_gateway_for_users(1) as users:
        shared = context_of(users.gateway)
        pool = LocalPool(own_of(users), shared.writes)
        with pytest.raises(RuntimeError):
            await pool.connect()
        pool.start()
        connection = await pool.connect()
        assert connection.is_open
        await pool.close()
        assert not connection.is_open
