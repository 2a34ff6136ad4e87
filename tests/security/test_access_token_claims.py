"""`user.access_token_claims`: what `/bff/user` shows of an access token, and how little of it."""

import json
from typing import Any

import pytest

from bff.config.problems import ConfigError
from tests.parts.configuration import Ports, gateway_toml, settings_from
from tests.parts.scripted_op import b64json, b64url
from tests.security.scripted_installation import (
    ScriptedInstallation,
    code_of,
    scripted_installation,
)

SHOWN = (
    'access_token_claims = { roles = "realm_access.roles", plan = "https://app.example/plan" }\n'
)
ROLES = {"realm_access": {"roles": ["editor"]}, "https://app.example/plan": "gold"}


def jwt(claims: object) -> str:
    """With a signature of no key."""
    return f"{b64json({'alg': 'RS256', 'typ': 'at+jwt'})}.{b64json(claims)}.{b64url(b'x' * 64)}"


async def shown(installation: ScriptedInstallation) -> dict[str, Any]:
    """What a browser sees beside what it always sees."""
    reply = await installation.visitor.get("/bff/user")
    assert reply.status == 200, reply
    document = json.loads(reply.body)
    return {name: document[name] for name in document if name not in ("bff", "sub", "email")}


@pytest.mark.rule("TK-17")
async def test_listed_claims_are_shown_by_their_own_names_and_no_others() -> None:
    async with scripted_installation(user=SHOWN) as installation:
        secret = {"sub": "mallory", "bff": "x", "jti": "secret", "email": "m@evil.example"}
        installation.op.token_changes["access_token"] = jwt({**ROLES, **secret})
        await installation.visitor.log_in()
        assert await shown(installation) == {"roles": ["editor"], "plan": "gold"}
        reply = await installation.visitor.get("/bff/user")
        assert json.loads(reply.body)["sub"] == installation.op.sub
        assert b"evil" not in reply.body
        assert b"secret" not in reply.body


@pytest.mark.rule("TK-17")
async def test_nothing_of_an_access_token_is_shown_unless_it_is_listed() -> None:
    async with scripted_installation() as installation:
        installation.op.token_changes["access_token"] = jwt({**ROLES, "name": "Mallory"})
        await installation.visitor.log_in()
        assert await shown(installation) == {}


@pytest.mark.rule("TK-17")
async def test_the_claims_are_those_of_the_newest_token() -> None:
    """A role that is gone is not shown on, also where the refresh brings no ID token."""
    async with scripted_installation(user=SHOWN) as installation:
        op, clock, visitor = installation.op, installation.clock, installation.visitor
        op.token_changes["access_token"] = jwt(ROLES)
        await visitor.log_in()
        op.token_changes["id_token"] = None
        op.token_changes["access_token"] = jwt({"realm_access": {"roles": ["reader"]}})
        clock.advance(61)
        await visitor.get("/api/x")
        assert await shown(installation) == {"roles": ["reader"]}
        op.token_changes["access_token"] = "opaque"
        clock.advance(61)
        await visitor.get("/api/x")
        assert await shown(installation) == {}


@pytest.mark.rule("TK-17")
@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "...",
        "a.b.c.d.e",
        f"e30.{b64url(b'[1]')}.x",
        f"e30.{b64url(b'{' * 500)}.x",
        f"e30.{b64url(b'[' * 9000)}.x",
        f"e30.{b64url(bytes([0xFF, 0xFE]))}.x",
        jwt([]),
        jwt({}),
        jwt({"realm_access": None}),
        jwt({"realm_access": ["roles"]}),
        jwt({"realm_access": "roles"}),
        jwt({"realm_access": {"roles": None}}),
        jwt({"realm_access": {"roles": "r" * 9000}}),
    ],
    ids=lambda token: token[:12],
)
async def test_a_token_that_says_nothing_usable_shows_nothing_and_is_no_error(token: str) -> None:
    async with scripted_installation(user=SHOWN) as installation:
        installation.op.token_changes["access_token"] = token
        await installation.visitor.log_in()
        assert await shown(installation) == {}
        reply = await installation.visitor.get("/api/x")
        assert (reply.status, code_of(reply)) == (200, "")


@pytest.mark.rule("TK-17")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{ bff = "x" }', "not for the browser"),
        ('{ sub = "x" }', "always shown"),
        ('{ x = "sid" }', "not for the browser"),
        ('{ x = "a..b" }', "single dots"),
        ('{ x = "" }', "access_token_claims"),
        ('{ name = "x" }', "user.claims takes"),
        ("{ x = 1 }", "access_token_claims"),
        ("{ " + ", ".join(f'a{n} = "b"' for n in range(21)) + " }", "access_token_claims"),
    ],
)
def test_what_would_hide_or_leak_something_is_refused_at_the_start(line: str, words: str) -> None:
    toml = gateway_toml(Ports(1, 2, 3, 4), extra=f"access_token_claims = {line}\n")
    with pytest.raises(ConfigError, match=words):
        settings_from(toml)
