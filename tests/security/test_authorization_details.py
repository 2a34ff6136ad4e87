"""Authorization details (RFC 9396) through a running gateway: no browser asks for any, what is
granted is shown where that is configured, and each route's client token is asked for with its own.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.parts.scripted_op import Answer, Received, ScriptedOp
from tests.security.scripted_installation import (
    ScriptedInstallation,
    Visitor,
    location_of,
    scripted_installation,
)

ASKED = 'authorization_details = [{ type = "accounts", actions = ["list"] }]'
SHOWN = "authorization_details = true\n"
GRANTED = [{"type": "accounts", "actions": ["list"], "accounts": ["DE02"]}]


async def about(visitor: Visitor) -> Mapping[str, Any]:
    """What /bff/user says of the session."""
    reply = await visitor.get("/bff/user")
    assert reply.status == 200
    found: Mapping[str, Any] = json.loads(reply.body)["bff"]
    return found


@pytest.mark.rule("FP-16")
@pytest.mark.rule("AZ-15")
async def test_a_browser_can_ask_for_none() -> None:
    """What a login asks for is what stands in the configuration, and nothing where nothing does."""
    more = quote(json.dumps([{"type": "payments"}]))
    for oidc, expected in ((ASKED, [{"type": "accounts", "actions": ["list"]}]), ("", None)):
        async with scripted_installation(oidc) as there:
            reply = await there.visitor.get(f"/bff/login?authorization_details={more}")
            sent = parse_qs(urlsplit(location_of(reply)).query)
            found = sent.get("authorization_details")
            assert (json.loads(found[0]) if found else None) == expected


@pytest.mark.rule("FP-16")
async def test_what_is_granted_is_shown_where_that_is_configured() -> None:
    """Also after a refresh that says nothing of it; of the details nothing is shown otherwise."""
    for user, shown in ((SHOWN, GRANTED), ("", None)):
        async with scripted_installation(ASKED, user=user) as there:
            there.op.token_changes["authorization_details"] = GRANTED
            await there.visitor.log_in()
            assert (await about(there.visitor)).get("authorization_details") == shown
            del there.op.token_changes["authorization_details"]
            there.clock.advance(61)
            assert (await there.visitor.get("/api/x")).status == 200
            assert there.op.count("token") == 2
            assert (await about(there.visitor)).get("authorization_details") == shown


@pytest.mark.rule("FP-16")
async def test_nothing_is_shown_of_what_was_not_asked_for() -> None:
    async with scripted_installation(user=SHOWN) as there:
        there.op.token_changes["authorization_details"] = GRANTED
        await there.visitor.log_in()
        assert (await about(there.visitor))["authorization_details"] == []


ROUTES = """token = "client"
authorization_details = [{ type = "prices" }]
[[routes]]
path = "/stock/"
upstream = "http://127.0.0.1:%d/"
token = "client"
authorization_details = [{ type = "stock" }, { type = "shelves", most = 5 }]
"""


def by_details(op: ScriptedOp) -> None:
    """Each token is called after what it was asked for with."""

    def token(received: Received) -> Answer:
        details = json.loads(received.form.get("authorization_details", "[]"))
        name = "-".join(one["type"] for one in details) or "of-the-user"
        return Answer({**_document(op), "access_token": name})

    op.answers["token"] = token


def _document(op: ScriptedOp) -> dict[str, Any]:
    body = op.token_answer().body
    assert isinstance(body, dict)
    return body


def sent_to(there: ScriptedInstallation) -> str:
    """The token of the last call that an API got."""
    [field] = there.upstream.received[-1].values(b"authorization")
    return field.decode().removeprefix("Bearer ")


@pytest.mark.rule("FP-16")
@pytest.mark.rule("FP-13")
async def test_each_route_gets_the_client_token_of_its_own_details() -> None:
    """Both are without a resource, an audience or a scope: by these they would be the same."""
    async with scripted_installation(route=ROUTES % 1, prepare=by_details) as there:
        await there.visitor.log_in()
        for _ in range(2):
            assert (await there.visitor.get("/api/x")).status == 200
            assert sent_to(there) == "prices"
        await there.visitor.get("/stock/x")  # to an API that is not there
        asked = [
            json.loads(one.form["authorization_details"])
            for one in there.op.received
            if one.endpoint == "token" and "authorization_details" in one.form
        ]
        assert asked == [[{"type": "prices"}], [{"type": "stock"}, {"type": "shelves", "most": 5}]]
