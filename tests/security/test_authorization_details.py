"""Authorization details (RFC 9396) through a running gateway: a browser asks for those that are
allowed and no others, what is granted is shown where that is configured, and each route's client
token is asked for with its own.
"""

import json
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.parts.scripted_op import Answer, Received, ScriptedOp
from tests.security.kept_connection import Reply
from tests.security.scripted_installation import (
    ScriptedInstallation,
    Visitor,
    code_of,
    location_of,
    scripted_installation,
)

ASKED = 'authorization_details = [{ type = "accounts", actions = ["list"] }]'
SHOWN = "authorization_details = true\n"
GRANTED = [{"type": "accounts", "actions": ["list"], "accounts": ["DE02"]}]


ALLOWED = (
    'login_authorization_details = [{ type = "payment", amount = "*", currency = ["EUR", "CHF"] }]'
)
PAYMENT = {"type": "payment", "amount": "12.50", "currency": ["CHF"]}


def login(details: object) -> str:
    """The address that begins one."""
    return f"/bff/login?authorization_details={quote(json.dumps(details))}"


def asked_by(reply: Reply) -> object:
    """What the OP is asked for, where the browser is sent to it."""
    [text] = parse_qs(urlsplit(location_of(reply)).query)["authorization_details"]
    return json.loads(text)


NAVIGATION = ("Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")


async def about(visitor: Visitor) -> Mapping[str, Any]:
    """What /bff/user says of the session."""
    reply = await visitor.get("/bff/user")
    assert reply.status == 200
    found: Mapping[str, Any] = json.loads(reply.body)["bff"]
    return found


@pytest.mark.rule("FP-16")
@pytest.mark.rule("AZ-15")
@pytest.mark.parametrize("allowed", ["", ALLOWED])
@pytest.mark.parametrize(
    "details",
    [
        [{"type": "payments"}],
        [{"type": "payment", "amount": "1", "currency": ["USD"]}],
        [{"type": "payment", "amount": "1"}],
        [PAYMENT, {"type": "accounts", "actions": ["list"]}],
        {"type": "payment"},
        "all",
    ],
)
async def test_a_browser_asks_for_none_that_is_not_allowed(allowed: str, details: object) -> None:
    """Nor for those of every login a second time: they go out anyway."""
    async with scripted_installation(f"{ASKED}\n{allowed}") as there:
        reply = await there.visitor.get(login(details))
        assert (reply.status, code_of(reply)) == (400, "bad_request")
        assert reply.values(b"location") == []
        reply = await there.visitor.get("/bff/login")
        assert asked_by(reply) == [{"type": "accounts", "actions": ["list"]}]


@pytest.mark.rule("FP-16")
async def test_a_login_asks_for_what_is_allowed_beside_what_every_login_does() -> None:
    async with scripted_installation(f"{ASKED}\n{ALLOWED}") as there:
        visitor = there.visitor
        reply = await visitor.get(login([PAYMENT]))
        assert asked_by(reply) == [{"type": "accounts", "actions": ["list"]}, PAYMENT]
        assert asked_by(await visitor.get("/bff/login?authorization_details=[]")) == [
            {"type": "accounts", "actions": ["list"]}
        ]


@pytest.mark.rule("FP-16")
async def test_what_one_login_was_granted_is_its_own_sessions() -> None:
    """And no other tab's session does in the place of a login that asks for it."""
    async with scripted_installation(ALLOWED, user=SHOWN) as there:
        op, visitor = there.op, there.visitor
        await visitor.log_in()
        assert (await about(visitor))["authorization_details"] == []
        assert (await visitor.get("/bff/resume")).status == 302
        query = login([PAYMENT]).partition("?")[2]
        reply = await visitor.get(f"/bff/resume?{query}")
        assert asked_by(reply) == [PAYMENT]
        sent = parse_qs(urlsplit(location_of(reply)).query)
        op.nonce = sent["nonce"][0]
        op.token_changes["authorization_details"] = [PAYMENT]
        assert (await visitor.come_back(sent["state"][0])).status == 302
        assert (await about(visitor))["authorization_details"] == [PAYMENT]


def stepping_up(details: object = None) -> str:
    """The address that begins a step-up, which names these or none."""
    named = "" if details is None else f"&authorization_details={quote(json.dumps(details))}"
    return f"/bff/login?max_age=0{named}"


@pytest.mark.rule("FP-16")
async def test_a_step_up_asks_for_what_the_login_of_its_session_did() -> None:
    """Once more after another step-up; one that names them itself asks for those alone."""
    async with scripted_installation(f"{ASKED}\n{ALLOWED}") as there:
        op, visitor = there.op, there.visitor
        every = {"type": "accounts", "actions": ["list"]}
        other = {**PAYMENT, "currency": ["EUR"]}
        await visitor.come_back(await visitor.start(login([PAYMENT]).partition("?")[2]))
        for _ in range(2):
            reply = await visitor.get(stepping_up())
            assert asked_by(reply) == [every, PAYMENT]
            sent = parse_qs(urlsplit(location_of(reply)).query)
            op.nonce = sent["nonce"][0]
            op.id_token_changes = {"auth_time": int(there.clock.now())}
            assert (await visitor.come_back(sent["state"][0])).status == 302
        assert asked_by(await visitor.get(stepping_up([other]))) == [every, other]
        assert asked_by(await visitor.get(stepping_up([]))) == [every]
        assert asked_by(await visitor.get("/bff/login")) == [every]


@pytest.mark.rule("FP-16")
async def test_a_login_that_took_too_long_is_begun_again_with_the_same() -> None:
    async with scripted_installation(ALLOWED) as there:
        state = await there.visitor.start(login([PAYMENT]).partition("?")[2])
        expired = (
            f"error=temporarily_unavailable&error_description=authentication_expired&{state=!s}"
        )
        reply = await there.visitor.get(f"/bff/callback?{expired}", *NAVIGATION)
        page = unescape(reply.body.decode())
        assert "login_expired" in page
        again = page.partition("url=/bff/resume?")[2].partition('"')[0]
        assert asked_by(await there.visitor.get(f"/bff/resume?{again}")) == [PAYMENT]


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
