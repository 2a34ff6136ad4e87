"""The gateway's own endpoints are read twice: by the proxy, and by the library that runs them.

Where the second reader is stricter than the first, its refusal is worded as all others are; where
it is not, there is nothing left for it to read differently.
"""

import re

import pytest

from tests.parts.raw_upstream import raw_upstream
from tests.wire.client import everything
from tests.wire.fronts import PROBE, Front
from tests.wire.reading import read_answers, statuses
from tests.wire.users import Users, a_gateway_for_users


@pytest.mark.rule("HD-04")
@pytest.mark.parametrize("path", ["/bff/user", "/"])
@pytest.mark.parametrize("field", ["Content-Type: a/b", "User-Agent: x", "ETag: x", "Server: x"])
async def test_a_field_that_may_not_come_twice_is_refused_in_our_words(
    gateway: Front, path: str, field: str
) -> None:
    message = f"GET {path} HTTP/1.1\r\n{{ours}}{field}\r\n{field}\r\n\r\n"
    received, _ = await everything(gateway.port, gateway.text(message + PROBE))
    refused, probe = read_answers(received).messages
    assert (refused.status, probe.status) == (400, 200)
    assert refused.values(b"content-type") == [b"application/problem+json"]
    assert refused.values(b"cache-control") == [b"no-store"]
    assert refused.values(b"x-request-id")
    assert b"twice" not in refused.body
    assert field.partition(":")[0].encode() not in refused.body


async def test_own_answers_and_an_apis_keep_their_order_on_one_connection(gateway: Front) -> None:
    messages = [
        "GET /api/x HTTP/1.1\r\n{ours}\r\n",
        "GET /bff/user HTTP/1.1\r\n{ours}\r\n",
        "HEAD / HTTP/1.1\r\n{ours}\r\n",
        "GET /nowhere HTTP/1.1\r\n{ours}Accept: text/html\r\n\r\n",
        "POST /bff/nothing HTTP/1.1\r\n{ours}Content-Length: 4\r\n\r\nbody",
        "POST /bff/logout HTTP/1.1\r\n{ours}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "GET /bff/user HTTP/1.1\r\n{ours}\r\n",
        "GET / HTTP/1.1\r\n{ours}Connection: close\r\n\r\n",
    ]
    methods = [message.split(" ")[0] for message in messages]
    received, _ = await everything(gateway.port, gateway.text("".join(messages)))
    read = read_answers(received, methods)
    assert statuses(read.messages) == [200, 200, 200, 200, 404, 200, 401, 200]
    assert read.rest == b""
    assert b'"sub"' in read.messages[1].body
    assert b"<html" in read.messages[7].body


def answers_counted(users: Users) -> dict[str, float]:
    """By the kind of answer and its status."""
    counted: dict[str, float] = {}
    for line in users.gateway._core.metrics.exposition().decode().splitlines():
        if found := re.match(r'bff_answers_total\{.*kind="(\w+)",status="(\d+)"\} (\S+)', line):
            name = f"{found[1]} {found[2]}"
            counted[name] = counted.get(name, 0) + float(found[3])
    return counted


@pytest.mark.parametrize(
    ("target", "more", "kind"),
    [
        pytest.param("/api/x", "", "forward 200", id="an API's"),
        pytest.param("/bff/user", "", "local 200", id="an own endpoint's"),
        pytest.param("/bff/callback", "", "refused 400", id="refused by an own endpoint"),
        pytest.param("/bff/user", "ETag: x\r\nETag: y\r\n", "refused 400", id="by its parser"),
        pytest.param("/api/../x", "", "refused 400", id="by the gate"),
    ],
)
async def test_an_answer_is_counted_once(target: str, more: str, kind: str) -> None:
    async with raw_upstream() as upstream, a_gateway_for_users(upstream.port) as users:
        lines = f"Host: {users.host}\r\n{await users.log_in('alice')}{more}Connection: close\r\n"
        await everything(users.port, f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
        assert answers_counted(users) == {kind: 1}
