"""Whatever the OP does wrong, the browser is told by a stable code, no session is left behind, and
once the OP behaves again a login works again.

The misbehaviours are those of the OpenID test profiles for relying parties, and more.
"""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bff.oidc.jwt.logout_token import LOGOUT_EVENT
from tests.parts.scripted_op import CLIENT_ID, Answer, ScriptedOp, signing_key
from tests.parts.written_log import written_log
from tests.polling import until
from tests.security import misbehaviours
from tests.security.misbehaviours import Misbehaviour
from tests.security.scripted_installation import (
    BINDER,
    SESSION,
    ScriptedInstallation,
    code_of,
    location_of,
    scripted_installation,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = 'timeout = "1s"'


def table(entries: dict[str, Misbehaviour]) -> list[object]:
    return [pytest.param(entry, id=name.replace(" ", "-")) for name, entry in entries.items()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[ScriptedInstallation]:
    """For misbehaviours after which a gateway is as it was before."""
    async with scripted_installation(QUICK) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_with_userinfo() -> AsyncIterator[ScriptedInstallation]:
    async with scripted_installation(f"userinfo = true\n{QUICK}") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def installation(shared: ScriptedInstallation) -> ScriptedInstallation:
    """No user is logged in, and the OP has been asked for nothing."""
    await as_new(shared)
    return shared


async def as_new(installation: ScriptedInstallation) -> None:
    behave(installation.op)
    installation.clock.advance(3700)
    await installation.end_all()
    installation.visitor.cookies.clear()
    installation.op.received.clear()
    installation.op.refresh_token_number = 0
    installation.upstream.received.clear()


def behave(op: ScriptedOp) -> None:
    op.answers.clear()
    op.metadata_changes.clear()
    op.id_token_changes.clear()
    op.token_changes.clear()
    op.keys = [signing_key()]


async def require_no_login(installation: ScriptedInstallation) -> None:
    visitor = installation.visitor
    assert SESSION not in visitor.cookies
    assert await installation.sessions() == []
    assert (await visitor.get("/bff/user")).status == 401
    assert (await visitor.get("/api/x")).status == 401
    assert installation.upstream.received == []


async def require_a_login_works(installation: ScriptedInstallation) -> None:
    behave(installation.op)
    installation.clock.advance(3700)  # past every pause and everything that was kept
    visitor = installation.visitor
    for _ in range(2):  # the first may still go by what was kept, while new is on its way
        if (await visitor.get("/bff/login")).status == 302 and SESSION not in visitor.cookies:
            await visitor.log_in()
    assert SESSION in visitor.cookies
    assert len(await installation.sessions()) == 1


async def require_outcome(installation: ScriptedInstallation, wrong: Misbehaviour) -> None:
    """Of a login whose OP misbehaves from now on."""
    visitor = installation.visitor
    state = await visitor.start()
    wrong.change(installation.op)
    reply = await visitor.come_back(state)
    assert (reply.status, code_of(reply)) == wrong.expected
    asked = installation.op.count("token")
    assert asked <= 1
    assert installation.op.count("other") == 0
    if wrong.expected == misbehaviours.WELCOME:
        assert location_of(reply) == "/"
        assert (await visitor.get("/bff/user")).status == 200
        assert len(await installation.sessions()) == 1
    else:
        await require_no_login(installation)
        repeated = await visitor.come_back(state)
        assert (repeated.status, code_of(repeated)) == (400, "login_expired")
        assert installation.op.count("token") == asked, "a code is sent once, whatever came of it"
        await require_a_login_works(installation)


@pytest.mark.rule("AZ-17")
@pytest.mark.rule("ID-16")
@pytest.mark.parametrize("wrong", table(misbehaviours.DISCOVERY))
async def test_metadata_that_can_not_be_used_starts_no_login(wrong: Misbehaviour) -> None:
    async with scripted_installation(QUICK, prepare=wrong.change) as installation:
        reply = await installation.visitor.get("/bff/login")
        assert (reply.status, code_of(reply)) == wrong.expected
        assert reply.values(b"location") == []
        assert reply.values(b"set-cookie") == []
        assert int(reply.values(b"retry-after")[0]) > 0
        await require_no_login(installation)
        assert {one.endpoint for one in installation.op.received} == {"discovery"}
        await require_a_login_works(installation)


@pytest.mark.rule("ID-01")
@pytest.mark.rule("ID-02")
@pytest.mark.rule("ID-03")
@pytest.mark.rule("ID-05")
@pytest.mark.rule("ID-06")
@pytest.mark.rule("ID-09")
@pytest.mark.rule("ID-10")
@pytest.mark.rule("ID-11")
@pytest.mark.rule("ID-12")
@pytest.mark.rule("ID-14")
@pytest.mark.rule("OP-04")
@pytest.mark.parametrize("wrong", table(misbehaviours.LOGIN_ID_TOKEN))
async def test_an_id_token_that_is_not_for_this_login_logs_no_user_in(
    installation: ScriptedInstallation, wrong: Misbehaviour
) -> None:
    await require_outcome(installation, wrong)


@pytest.mark.rule("ID-07")
@pytest.mark.rule("ID-08")
@pytest.mark.rule("ID-16")
@pytest.mark.parametrize("wrong", table(misbehaviours.KEYS))
async def test_only_a_key_of_the_op_that_is_meant_for_it_verifies(wrong: Misbehaviour) -> None:
    async with scripted_installation(QUICK) as installation:
        await require_outcome(installation, wrong)


@pytest.mark.rule("TK-04")
@pytest.mark.rule("ID-16")
@pytest.mark.parametrize("wrong", table(misbehaviours.TOKEN))
async def test_an_answer_of_the_token_endpoint_is_usable_or_refused(
    installation: ScriptedInstallation, wrong: Misbehaviour
) -> None:
    await require_outcome(installation, wrong)


@pytest.mark.rule("ID-15")
@pytest.mark.rule("ID-16")
@pytest.mark.parametrize("wrong", table(misbehaviours.USERINFO))
async def test_userinfo_is_about_the_same_user_or_there_is_no_session(
    shared_with_userinfo: ScriptedInstallation, wrong: Misbehaviour
) -> None:
    await as_new(shared_with_userinfo)
    await require_outcome(shared_with_userinfo, wrong)


NAMED = {
    "another issuer": (misbehaviours.id_token(iss=misbehaviours.OTHER), misbehaviours.OTHER),
    "another audience": (misbehaviours.id_token(aud="api://other"), "api://other"),
    "a further audience": (
        misbehaviours.id_token(aud=[CLIENT_ID, "api://other"], azp=CLIENT_ID),
        "api://other",
    ),
    "another algorithm": (
        misbehaviours.made(lambda op: signing_key("ES384").sign(misbehaviours.claims(op))),
        "ES384",
    ),
    "an unknown key": (
        misbehaviours.made(lambda op: signing_key(kid="of-today").sign(misbehaviours.claims(op))),
        "of-today",
    ),
    "another party": (misbehaviours.id_token(azp="api://other"), "api://other"),
    "a clock that is late": (misbehaviours.later("exp", -600), "600 s ago"),
}


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize("name", NAMED)
async def test_the_log_names_what_the_op_said_and_the_browser_is_not_told(name: str) -> None:
    change, said = NAMED[name]
    with written_log() as log:
        async with scripted_installation(QUICK) as installation:
            state = await installation.visitor.start()
            change(installation.op)
            reply = await installation.visitor.come_back(state)
        (refused,) = log.of("refused")
    assert refused["code"] == code_of(reply) == "id_token_invalid"
    assert said in refused["detail"]
    assert said.encode() not in reply.body
    assert installation.op.sub not in log.text


# --- the authorization response


RESPONSES = {
    "of another issuer": ({"code": "c", "iss": misbehaviours.OTHER}, "login_issuer_mismatch"),
    "of the issuer with a slash": ({"code": "c", "iss": "ISSUER/"}, "login_issuer_mismatch"),
    "of the issuer in capitals": (
        {"code": "c", "iss": "HTTP://127.0.0.1"},
        "login_issuer_mismatch",
    ),
    "without the issuer that was promised": ({"code": "c"}, "login_issuer_mismatch"),
    "an error of another issuer": (
        {"error": "access_denied", "iss": misbehaviours.OTHER},
        "login_issuer_mismatch",
    ),
    "code and error": (
        {"code": "c", "error": "access_denied", "iss": "ISSUER"},
        "callback_invalid",
    ),
    "nothing": ({"iss": "ISSUER"}, "callback_invalid"),
    "code empty": ({"code": "", "iss": "ISSUER"}, "callback_invalid"),
    "code with a control": ({"code": "a\x00b", "iss": "ISSUER"}, "callback_invalid"),
    "code of 16 KB": ({"code": "c" * 16_384, "iss": "ISSUER"}, "target_too_long"),
    "tokens instead of a code": (
        {"access_token": "a", "id_token": "b", "iss": "ISSUER"},
        "callback_invalid",
    ),
    "denied": ({"error": "access_denied", "iss": "ISSUER"}, "login_denied"),
    "a login page left open, at Keycloak": (
        {
            "error": "temporarily_unavailable",
            "error_description": "authentication_expired",
            "iss": "ISSUER",
        },
        "login_expired",
    ),
    "an outage": ({"error": "temporarily_unavailable", "iss": "ISSUER"}, "op_unavailable"),
    "an outage, said otherwise": (
        {
            "error": "temporarily_unavailable",
            "error_description": "authentication_expired <b>",
            "iss": "ISSUER",
        },
        "op_unavailable",
    ),
    "an error with markup": ({"error": "<script>", "iss": "ISSUER"}, "login_refused"),
    "an error not ASCII": ({"error": "\xe4", "iss": "ISSUER"}, "callback_invalid"),
}


@pytest.mark.rule("AZ-07")
@pytest.mark.rule("AZ-09")
@pytest.mark.parametrize(("given", "code"), RESPONSES.values(), ids=RESPONSES)
async def test_an_authorization_response_that_is_not_right_spends_no_code(
    given: dict[str, str], code: str
) -> None:
    """RFC 9207 section 2.4: errors too are believed of the right OP only."""
    promises = misbehaviours.metadata(authorization_response_iss_parameter_supported=True)
    async with scripted_installation(prepare=promises) as installation:
        visitor, issuer = installation.visitor, installation.op.issuer
        made = {name: value.replace("ISSUER", issuer) for name, value in given.items()}
        reply = await visitor.come_back(await visitor.start(), **made)
        assert reply.status >= 400
        assert code_of(reply) == code
        assert b"<script>" not in reply.body
        assert installation.op.count("token") == 0
        await require_no_login(installation)
        right = await visitor.come_back(await visitor.start(), code="c", iss=issuer)
        assert right.status == 302


TROUBLE: dict[str, Misbehaviour] = {
    "5xx at the code exchange": misbehaviours.TOKEN["500"],
    "no JSON at the code exchange": misbehaviours.TOKEN["html"],
    "another secret": misbehaviours.TOKEN["client not known"],
    "a clock that is late": misbehaviours.LOGIN_ID_TOKEN["expired"],
    "keys that are not published": misbehaviours.KEYS["unknown"],
}


@pytest.mark.rule("OP-06")
@pytest.mark.parametrize("wrong", table(TROUBLE))
async def test_trouble_at_the_op_is_no_attempt_of_the_user(wrong: Misbehaviour) -> None:
    """It is answered as what it is, however long it lasts, and the login afterwards is let in."""
    limits = '[limits]\nlogins = "off"\nfailed_callbacks = "2/hour"'
    async with scripted_installation(QUICK, limits=limits) as installation:
        visitor = installation.visitor
        await visitor.log_in()  # metadata and keys are there
        wrong.change(installation.op)
        for _ in range(4):
            reply = await visitor.log_in()
            assert (reply.status, code_of(reply)) == wrong.expected
        behave(installation.op)
        installation.clock.advance(11)
        assert (await visitor.log_in()).status == 302
        for status in (400, 400, 429):
            reply = await visitor.get("/bff/callback?code=made-up&state=made-up")
            assert reply.status == status


@pytest.mark.rule("AZ-03")
@pytest.mark.rule("AZ-06")
async def test_a_state_is_good_once(installation: ScriptedInstallation) -> None:
    """Nor does the code of a login serve another one's state, once that is used."""
    visitor, op = installation.visitor, installation.op
    state = await visitor.start()
    assert (await visitor.come_back(state)).status == 302
    for code in ("the-code", "another-code"):
        reply = await visitor.come_back(state, code=code)
        assert (reply.status, code_of(reply)) == (400, "login_expired")
    assert op.count("token") == 1
    assert len(await installation.sessions()) == 1


@pytest.mark.rule("AZ-03")
@pytest.mark.rule("CS-08")
async def test_states_swapped_between_two_browsers_log_no_user_in(
    installation: ScriptedInstallation,
) -> None:
    """Each has a login open; each is led back with the other's state."""
    visitor = installation.visitor
    async with installation.another_visitor() as other:
        mine, theirs = await visitor.start(), await other.start()
        for who, state in ((visitor, theirs), (other, mine)):
            reply = await who.come_back(state)
            assert (reply.status, code_of(reply)) == (400, "login_browser_mismatch")
            assert SESSION not in who.cookies
        for who, state in ((visitor, mine), (other, theirs)):  # what was swapped is used up
            assert code_of(await who.come_back(state)) == "login_expired"
    await require_no_login(installation)
    assert installation.op.count("token") == 0


@pytest.mark.rule("AZ-05")
@pytest.mark.rule("ID-09")
async def test_codes_swapped_between_two_tabs_log_no_user_in(
    installation: ScriptedInstallation,
) -> None:
    """An OP that mixes up two logins of one browser: the ID token's nonce is the other one's."""
    visitor = installation.visitor
    first = await visitor.start()
    await visitor.start()  # whose nonce the OP now has
    reply = await visitor.come_back(first)
    assert (reply.status, code_of(reply)) == misbehaviours.ID_TOKEN
    await require_no_login(installation)


# --- how long a token lives, and refreshes


@pytest.mark.rule("TK-05")
@pytest.mark.parametrize(
    ("given", "seconds"), misbehaviours.LIFETIMES.values(), ids=misbehaviours.LIFETIMES
)
async def test_any_expires_in_is_read_as_some_lifetime(
    installation: ScriptedInstallation, given: object, seconds: int
) -> None:
    """And never drives refreshes: past the end of the token there is one."""
    visitor, op = installation.visitor, installation.op
    op.token_changes["expires_in"] = given
    assert (await visitor.log_in()).status == 302
    user = json.loads((await visitor.get("/bff/user")).body)
    assert user["bff"]["access_token_expires_in"] == seconds
    for _ in range(5):
        assert (await visitor.get("/api/x")).status == 200
    assert op.count("token") == 1


REFRESHED = {
    "about another user": misbehaviours.id_token(sub="bob"),
    "from another issuer": misbehaviours.id_token(iss=misbehaviours.OTHER),
    "for another client": misbehaviours.id_token(aud="other-client"),
    "of another login": misbehaviours.id_token(nonce="another"),
    "for another access token": misbehaviours.id_token(at_hash="wrong"),
    "about another user, signed by another key": misbehaviours.made(
        lambda op: signing_key(number=2).sign(misbehaviours.claims(op, sub="bob"))
    ),
    "about another user, not signed": misbehaviours.made(misbehaviours.of_alg("none", sub="bob")),
}


@pytest.mark.rule("TK-11")
@pytest.mark.parametrize("change", REFRESHED.values(), ids=REFRESHED)
async def test_a_refresh_that_contradicts_the_session_ends_it(
    installation: ScriptedInstallation, change: misbehaviours.Change
) -> None:
    """OIDC Core section 12.2. The new access token, which may be another user's, goes nowhere."""
    visitor, op = installation.visitor, installation.op
    op.token_changes["refresh_token"] = "kept"
    assert (await visitor.log_in()).status == 302
    del visitor.cookies[BINDER]  # as when ten minutes have passed: no login is open in another tab
    change(op)
    installation.clock.advance(61)
    reply = await visitor.get("/api/x")
    assert (reply.status, code_of(reply)) == (401, "session_ended")
    assert op.count("token") == 2
    await require_no_login(installation)


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("wrong", table(misbehaviours.REFRESH))
async def test_an_answer_to_a_refresh_costs_neither_session_nor_rotated_token(
    installation: ScriptedInstallation, wrong: Misbehaviour
) -> None:
    """Whatever is wrong with it, its refresh token is the one that is spent next."""
    visitor, op = installation.visitor, installation.op
    assert (await visitor.log_in()).status == 302
    wrong.change(op)
    installation.clock.advance(61)
    reply = await visitor.get("/api/x")
    assert (reply.status, code_of(reply)) == wrong.expected
    behave(op)
    op.id_token_changes["nonce"] = None
    installation.clock.advance(61)
    assert (await visitor.get("/api/x")).status == 200
    sent = [one.form["refresh_token"] for one in op.received if "refresh_token" in one.form]
    assert sent == ["rt-1", op.token_changes.get("refresh_token", sent[-1])]
    assert sent[-1] != "rt-1"


@pytest.mark.rule("TK-08")
@pytest.mark.parametrize("given", misbehaviours.REFUSALS.values(), ids=misbehaviours.REFUSALS)
async def test_a_dead_refresh_token_ends_the_session_in_whatever_words_it_is_said(
    installation: ScriptedInstallation, given: Answer
) -> None:
    """Of an OP that means it, and so says it again: half a minute after the access token's end."""
    visitor, op = installation.visitor, installation.op
    assert (await visitor.log_in()).status == 302
    op.answers["token"] = given
    installation.clock.advance(61)
    answers = []
    for _ in range(31):
        answers.append(code_of(await visitor.get("/api/x")))
        installation.clock.advance(1)
    assert answers[-1] in ("session_ended", "not_authenticated")
    assert op.count("token") <= 4
    assert await installation.sessions() == []


@pytest.mark.rule("TK-09")
@pytest.mark.parametrize("name", sorted({*misbehaviours.NO_ANSWERS} - {"slow"}))
async def test_a_refresh_without_a_usable_answer_ends_no_session(
    installation: ScriptedInstallation, name: str
) -> None:
    """503 once the old token has expired, and the session goes on when the OP is back."""
    visitor, op = installation.visitor, installation.op
    assert (await visitor.log_in()).status == 302
    op.answers["token"], (status, code) = misbehaviours.NO_ANSWERS[name]
    installation.clock.advance(61)
    reply = await visitor.get("/api/x")
    assert (reply.status, code_of(reply)) == (status, code)
    assert int(reply.values(b"retry-after")[0]) > 0
    assert installation.upstream.received == []
    assert len(await installation.sessions()) == 1
    behave(op)
    installation.clock.advance(600)
    assert (await visitor.get("/api/x")).status == 200


def a_logout_token(op: ScriptedOp, typ: str | None, **changes: object) -> str:
    now = int(op.clock.now())
    usual = {"iss": op.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": typ or "none"}
    claims = {**usual, "events": {LOGOUT_EVENT: {}}, "sub": op.sub, **changes}
    return op.keys[0].sign({k: v for k, v in claims.items() if v is not None}, typ=typ)


@pytest.mark.rule("LO-09")
@pytest.mark.parametrize("typ", ["logout+jwt", "JWT", None])
async def test_a_logout_token_is_known_by_what_it_says(
    installation: ScriptedInstallation, typ: str | None
) -> None:
    """The certification suite, Hydra and glewlwyd send `typ: JWT`. An ID token stays one, whatever
    it is called, and so does an access token."""
    visitor, op = installation.visitor, installation.op
    assert (await visitor.log_in()).status == 302
    for wrong in (
        op.id_token(jti="i", exp=int(op.clock.now()) + 120),
        a_logout_token(op, typ, nonce="n"),
        a_logout_token(op, typ, events=None),
        a_logout_token(op, typ, exp=None),
        a_logout_token(op, "at+jwt"),
    ):
        assert (await visitor.tell(wrong)).status == 400
    assert len(await installation.sessions()) == 1
    assert (await visitor.tell(a_logout_token(op, typ))).status == 200
    assert await installation.sessions() == []
    assert (await visitor.get("/bff/user")).status == 401


@pytest.mark.rule("OP-06")
@pytest.mark.rule("LO-12")
async def test_logout_tokens_that_could_not_be_judged_are_no_worthless_ones() -> None:
    """Without keys each is answered 503, however many there are, and works when sent again."""
    limits = '[limits]\nlogins = "off"\nfailed_logout_tokens = "2/hour"'
    no_keys = misbehaviours.answer("jwks", Answer(status=500))
    async with scripted_installation(QUICK, prepare=no_keys, limits=limits) as installation:
        token = a_logout_token(installation.op, "logout+jwt")
        for _ in range(4):
            reply = await installation.visitor.tell(token)
            assert (reply.status, code_of(reply)) == misbehaviours.UNAVAILABLE
        behave(installation.op)
        installation.clock.advance(11)
        assert (await installation.visitor.tell(token)).status == 200


@pytest.mark.rule("TK-14")
@pytest.mark.rule("LO-01")
@pytest.mark.parametrize("name", misbehaviours.NO_ANSWERS)
async def test_a_logout_is_done_whatever_the_revocation_is_answered(
    installation: ScriptedInstallation, name: str
) -> None:
    """RFC 7009 section 2.2: the session is over here, and the browser sent on, all the same."""
    visitor, op = installation.visitor, installation.op
    assert (await visitor.log_in()).status == 302
    op.answers["revocation"], _ = misbehaviours.NO_ANSWERS[name]
    user = json.loads((await visitor.get("/bff/user")).body)
    reply = await visitor.get(user["bff"]["logout_url"])
    assert reply.status == 303
    assert location_of(reply).startswith(f"{op.issuer}/logout?")
    await require_no_login(installation)
    await until(lambda: op.count("revocation") > 0)
    assert op.count("other") == 0
