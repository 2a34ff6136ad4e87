"""Step-up (RFC 9470) where one side does not behave: the OP, the API, the browser."""

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.security.kept_connection import Reply
from tests.security.scripted_installation import (
    SESSION,
    ScriptedInstallation,
    code_of,
    location_of,
    scripted_installation,
)

ORDER = 'acr_order = ["silver", "gold", "platinum"]'
ROUTE = 'require_acr = ["gold"]\nmax_auth_age = "5m"'
STEP_UP = "acr_values=gold&max_age=300"
CHALLENGE = (
    b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="api", '
    b'error="insufficient_user_authentication", %b\r\nContent-Length: 3\r\n\r\nno!'
)


@pytest.fixture
async def guarded() -> AsyncIterator[ScriptedInstallation]:
    """A route that wants a strong and recent login, and a session that is neither."""
    async with scripted_installation(ORDER, route=ROUTE) as there:
        there.op.id_token_changes = {"acr": "silver"}
        await there.visitor.log_in()
        yield there


@pytest.fixture
async def plain() -> AsyncIterator[ScriptedInstallation]:
    """A route that wants nothing by itself, and a session."""
    async with scripted_installation(ORDER) as there:
        there.op.id_token_changes = {"acr": "silver"}
        await there.visitor.log_in()
        yield there


async def stepped_up(there: ScriptedInstallation, **changes: object) -> Reply:
    """The end of a step-up whose ID token says this."""
    state = await there.visitor.start(STEP_UP)
    there.op.id_token_changes = {"acr": "gold", "auth_time": int(there.clock.now()), **changes}
    return await there.visitor.come_back(state)


@pytest.mark.rule("ID-18")
async def test_a_route_says_what_it_wants_and_the_api_hears_nothing(
    guarded: ScriptedInstallation,
) -> None:
    reply = await guarded.visitor.get("/api/x")
    assert reply.status == 401
    said = json.loads(reply.body)
    assert said.pop("request_id")
    assert said == {
        "type": "urn:bff:problem:step_up_required",
        "title": "A stronger or more recent login is needed.",
        "status": 401,
        "code": "step_up_required",
        "acr_values": "gold",
        "max_age": 300,
        "login_url": "/bff/login?acr_values=gold&max_age=300",
    }
    assert not reply.values(b"set-cookie")
    assert guarded.upstream.received == []
    assert guarded.op.count("token") == 1  # that of the login: nothing was refreshed


@pytest.mark.rule("ID-18")
@pytest.mark.rule("SE-02")
async def test_after_the_step_up_the_session_goes_on_under_a_new_id(
    guarded: ScriptedInstallation,
) -> None:
    visitor = guarded.visitor
    before = visitor.cookies[SESSION]
    wanted = json.loads((await visitor.get("/api/x")).body)["login_url"]
    asked = parse_qs(urlsplit(location_of(await visitor.get(wanted))).query)
    assert (asked["acr_values"], asked["max_age"]) == (["gold"], ["300"])
    assert (await stepped_up(guarded)).status == 302
    assert (await visitor.get("/api/x")).status == 200
    after, visitor.cookies[SESSION] = visitor.cookies[SESSION], before
    assert after != before
    assert code_of(await visitor.get("/api/x")) == "not_authenticated"
    assert guarded.op.count("revocation") == 0
    assert len(await guarded.sessions()) == 1


@pytest.mark.rule("ID-13")
@pytest.mark.rule("ID-18")
@pytest.mark.parametrize(
    "changes",
    [
        {"acr": None},
        {"acr": "silver"},
        {"acr": "Gold"},
        {"auth_time": None},
        {"auth_time": 1_600_000_000},
        {"auth_time": 1_900_000_000},
    ],
)
async def test_a_step_up_that_did_not_happen_changes_nothing(
    guarded: ScriptedInstallation, changes: dict[str, object]
) -> None:
    reply = await stepped_up(guarded, **changes)
    assert code_of(reply) == "step_up_not_met"
    assert not reply.values(b"set-cookie")
    assert (await guarded.visitor.get("/bff/user")).status == 200
    assert code_of(await guarded.visitor.get("/api/x")) == "step_up_required"
    assert len(await guarded.sessions()) == 1


async def test_a_stronger_login_than_was_asked_for_does_as_well(
    guarded: ScriptedInstallation,
) -> None:
    assert (await stepped_up(guarded, acr="platinum")).status == 302
    assert (await guarded.visitor.get("/api/x")).status == 200


@pytest.mark.rule("ID-19")
async def test_a_step_up_never_ends_in_the_session_of_another_user(
    guarded: ScriptedInstallation,
) -> None:
    """The page holds the work of the user that it was begun for; a plain login may change users."""
    reply = await stepped_up(guarded, sub="mallory")
    assert (reply.status, code_of(reply)) == (403, "step_up_other_user")
    user = json.loads((await guarded.visitor.get("/bff/user")).body)
    assert (user["sub"], user["bff"]["acr"]) == (guarded.op.sub, "silver")
    guarded.op.id_token_changes = {"sub": "mallory"}
    assert (await guarded.visitor.log_in()).status == 302
    assert json.loads((await guarded.visitor.get("/bff/user")).body)["sub"] == "mallory"


@pytest.mark.rule("ID-19")
async def test_a_step_up_is_for_the_organization_of_the_session() -> None:
    """What asks for it knows of none; a login for another one is asked for by name."""
    keys = f'{ORDER}\norganization = {{ parameter = "organization", claim = "org_id" }}'
    async with scripted_installation(keys, route=ROUTE) as there:
        there.op.id_token_changes = {"org_id": "acme"}
        await there.visitor.come_back(await there.visitor.start("org=acme"))
        assert code_of(await stepped_up(there, org_id="other")) == "organization_mismatch"
        assert (await stepped_up(there, org_id="acme")).status == 302
        asked = location_of(await there.visitor.get(f"/bff/login?{STEP_UP}"))
        assert parse_qs(urlsplit(asked).query)["organization"] == ["acme"]


@pytest.mark.rule("ID-19")
@pytest.mark.parametrize(("sub", "status"), [(None, 302), ("mallory", 403)])
async def test_a_session_that_ends_meanwhile_leaves_the_step_up_to_its_user(
    guarded: ScriptedInstallation, sub: str | None, status: int
) -> None:
    state = await guarded.visitor.start(STEP_UP)
    await guarded.end_all()
    changes = {} if sub is None else {"sub": sub}
    guarded.op.id_token_changes = {"acr": "gold", "auth_time": int(guarded.clock.now()), **changes}
    assert (await guarded.visitor.come_back(state)).status == status
    assert (await guarded.visitor.get("/bff/user")).status == (200 if status == 302 else 401)


async def test_a_login_that_asks_for_strength_without_a_session_is_for_any_user(
    guarded: ScriptedInstallation,
) -> None:
    guarded.visitor.cookies.clear()
    assert (await stepped_up(guarded, sub="mallory")).status == 302


@pytest.mark.rule("AZ-06")
async def test_the_answer_to_a_step_up_serves_once(guarded: ScriptedInstallation) -> None:
    state = await guarded.visitor.start(STEP_UP)
    guarded.op.id_token_changes = {"acr": "gold", "auth_time": int(guarded.clock.now())}
    assert (await guarded.visitor.come_back(state)).status == 302
    cookie = guarded.visitor.cookies[SESSION]
    assert code_of(await guarded.visitor.come_back(state)) == "login_expired"
    assert guarded.visitor.cookies[SESSION] == cookie
    assert (await guarded.visitor.get("/api/x")).status == 200


async def test_two_tabs_that_step_up_at_once_end_in_one_session(
    guarded: ScriptedInstallation,
) -> None:
    visitor, auth_time = guarded.visitor, int(guarded.clock.now())
    first = await visitor.start(STEP_UP)
    of_first = guarded.op.nonce
    second = await visitor.start(STEP_UP)
    guarded.op.id_token_changes = {"acr": "gold", "auth_time": auth_time}
    assert (await visitor.come_back(second)).status == 302
    guarded.op.nonce = of_first
    assert (await visitor.come_back(first)).status == 302
    assert (await visitor.get("/api/x")).status == 200
    assert len(await guarded.sessions()) == 1


@pytest.mark.rule("ID-18")
async def test_a_login_grows_too_old_and_a_refresh_makes_it_no_younger(
    guarded: ScriptedInstallation,
) -> None:
    """OIDC Core section 12.2. The leeway of 30 seconds is added to the five minutes."""
    await stepped_up(guarded)
    guarded.clock.advance(329)
    guarded.op.id_token_changes = {"acr": "gold", "auth_time": int(guarded.clock.now())}
    assert (await guarded.visitor.get("/api/x")).status == 200
    assert guarded.op.count("token") == 3  # two logins, and a refresh
    guarded.clock.advance(2)
    assert code_of(await guarded.visitor.get("/api/x")) == "step_up_required"


@pytest.mark.rule("AZ-15")
@pytest.mark.parametrize("acr", ["bronze", "idp:evil", "gold+bronze"])
async def test_a_login_asks_only_for_what_the_configuration_names(
    guarded: ScriptedInstallation, acr: str
) -> None:
    """Where it says which values there are."""
    assert code_of(await guarded.visitor.get(f"/bff/login?acr_values={acr}")) == "bad_request"


# --- an API that asks for it ------------------------------------------------------------------


@pytest.mark.rule("PX-22")
async def test_a_challenge_of_the_api_is_answered_as_a_routes_would_be(
    plain: ScriptedInstallation,
) -> None:
    plain.upstream.answer = CHALLENGE % b'acr_values="gold platinum", max_age="5"'
    reply = await plain.visitor.get("/api/x")
    said = json.loads(reply.body)
    assert (reply.status, said["code"]) == (401, "step_up_required")
    assert (said["acr_values"], said["max_age"]) == ("gold platinum", 5)
    assert said["login_url"] == "/bff/login?acr_values=gold+platinum&max_age=5"
    assert not reply.values(b"www-authenticate")
    assert not reply.values(b"set-cookie")
    assert (len(plain.upstream.received), plain.op.count("token")) == (1, 1)
    plain.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert (await plain.visitor.get("/api/x")).body == b"ok"  # on the same connection


@pytest.mark.rule("PX-22")
@pytest.mark.parametrize(
    "asked",
    [
        b'acr_values="bronze"',
        b'acr_values="gold&scope=admin"',
        b'acr_values="gold", acr_values="silver"',
        b'acr_values="gold',
        b"max_age=-1",
        b"max_age=999999999",
        b'scope="more"',
    ],
)
async def test_a_challenge_for_what_no_login_may_ask_passes_as_it_came(
    plain: ScriptedInstallation, asked: bytes
) -> None:
    plain.upstream.answer = CHALLENGE % asked
    reply = await plain.visitor.get("/api/x")
    assert (reply.status, reply.body) == (401, b"no!")
    assert asked in reply.values(b"www-authenticate")[0]
    assert (len(plain.upstream.received), plain.op.count("token")) == (1, 1)
    assert (await plain.visitor.get("/bff/user")).status == 200


@pytest.mark.rule("PX-22")
async def test_a_challenge_to_another_token_than_the_users_passes_as_it_came() -> None:
    async with scripted_installation(route='token = "client"') as there:
        await there.visitor.log_in()
        there.upstream.answer = CHALLENGE % b"max_age=5"
        assert (await there.visitor.get("/api/x")).body == b"no!"
