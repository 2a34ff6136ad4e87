"""Several OPs at one gateway, one of them hostile: whatever it does, it learns and reaches nothing
of the others (RFC 9700 section 4.4), and its troubles are not theirs."""

import json
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bff.oidc.jwt.logout_token import LOGOUT_EVENT
from tests.parts.scripted_op import CLIENT_ID, Answer
from tests.polling import until
from tests.security.scripted_installation import SESSION, code_of, location_of
from tests.security.two_providers import TwoProviders, sent_to_op, two_providers

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[TwoProviders]:
    async with two_providers() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def there(shared: TwoProviders) -> TwoProviders:
    """No user is logged in, both OPs behave, and neither has been asked for anything."""
    for name, op in shared.ops.items():
        op.answers, op.metadata_changes, op.id_token_changes = {}, {}, {}
        op.token_changes = {"access_token": f"at-of-{name}", "refresh_token": f"rt-of-{name}"}
    shared.visitor.cookies.clear()
    shared.clock.advance(3700)
    await shared.admin.end_sessions("?all=true")
    for op in shared.ops.values():
        op.received.clear()
    return shared


def nothing_reached(there: TwoProviders, provider: str) -> bool:
    """No code and no token was ever sent to it."""
    return there.ops[provider].count("token") == 0 == there.ops[provider].count("revocation")


@pytest.mark.parametrize("provider", ["corp", "evil"])
async def test_a_login_is_at_the_provider_that_it_names(there: TwoProviders, provider: str) -> None:
    """The whole of it: request, code, tokens, API call, refresh, revocation, logout."""
    other = "evil" if provider == "corp" else "corp"
    asked = await there.visitor.get(f"/bff/login?idp={provider}")
    where, sent = sent_to_op(asked)
    assert where == there.ops[provider].issuer
    assert sent["redirect_uri"] == f"https://app.example/bff/callback/{provider}"
    await there.log_in(provider)
    await there.call()
    assert there.upstream.received[-1].values(b"authorization") == [
        f"Bearer at-of-{provider}".encode()
    ]
    there.ops[provider].token_changes["access_token"] = "fresh"
    there.clock.advance(61)
    await there.call()
    assert there.upstream.received[-1].values(b"authorization") == [b"Bearer fresh"]
    user = json.loads((await there.visitor.get("/bff/user")).body)
    assert user["bff"]["idp"] == provider
    assert user["bff"]["logout_url"].endswith(f"&idp={provider}")
    gone = await there.visitor.get(user["bff"]["logout_url"])
    assert location_of(gone).startswith(f"{there.ops[provider].issuer}/logout?")
    await until(lambda: there.ops[provider].count("revocation") > 0)
    assert there.ops[provider].last("revocation").form["token"] == f"rt-of-{provider}"
    assert nothing_reached(there, other)


async def test_without_a_name_the_first_is_meant(there: TwoProviders) -> None:
    where, _ = sent_to_op(await there.visitor.get("/bff/login"))
    assert where == there.ops["corp"].issuer


async def test_a_step_up_is_at_the_provider_of_the_session(there: TwoProviders) -> None:
    """What asks for it knows no names."""
    await there.log_in("evil")
    where, _ = sent_to_op(await there.visitor.get("/bff/login?acr_values=gold"))
    assert where == there.ops["evil"].issuer


@pytest.mark.parametrize("name", ["other", "CORP", "corp%20", "default", "a" * 64])
async def test_an_unknown_name_is_refused(there: TwoProviders, name: str) -> None:
    """Never taken for the default: the application has a mistake, or a user a wrong link."""
    reply = await there.visitor.get(f"/bff/login?idp={name}")
    assert reply.status == 400
    assert code_of(reply) in ("unknown_provider", "bad_request")


# --- choosing who logs in


async def test_a_page_is_told_what_it_may_offer(there: TwoProviders) -> None:
    reply = await there.visitor.get("/bff/providers")
    assert json.loads(reply.body) == [
        {"name": "corp", "label": "corp", "login_url": "/bff/login?idp=corp"},
        {"name": "evil", "label": "evil", "login_url": "/bff/login?idp=evil"},
    ]


@pytest.mark.parametrize(
    ("hint", "provider"),
    [("a@evil.example", "evil"), ("a@EVIL.example", "evil"), ("a@corp.example", "corp")],
)
async def test_the_domain_of_a_hint_decides(there: TwoProviders, hint: str, provider: str) -> None:
    """Unless a name is given as well; any other hint is for the default."""
    where, sent = sent_to_op(await there.visitor.get(f"/bff/login?login_hint={hint}"))
    assert (where, sent["login_hint"]) == (there.ops[provider].issuer, hint)
    where, _ = sent_to_op(await there.visitor.get(f"/bff/login?idp=corp&login_hint={hint}"))
    assert where == there.ops["corp"].issuer
    where, _ = sent_to_op(await there.visitor.get(f"/bff/login?login_hint={hint}.other"))
    assert where == there.ops["corp"].issuer


@pytest.mark.rule("AZ-20")
async def test_a_third_party_may_begin_a_login_that_the_user_goes_on_with(
    there: TwoProviders,
) -> None:
    """OIDC Core section 4. From another site nothing happens before a button is pressed, and the
    way back is never to another site."""
    issuer = there.ops["evil"].issuer
    query = f"iss={issuer}&login_hint=a&target_link_uri=https://app.example/deep"
    cross = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    asked = await there.visitor.get(f"/bff/login?{query}", *cross, "Accept: text/html")
    assert asked.status == 403
    assert f'name="iss" value="{issuer}"'.encode() in asked.body
    assert b'name="returnUrl" value="/deep"' in asked.body
    where, sent = sent_to_op(await there.visitor.get(f"/bff/login?{query}"))
    assert (where, sent["login_hint"]) == (issuer, "a")
    reply = await there.come_back("evil", sent["state"], code="a-code")
    assert code_of(reply) in ("", "id_token_invalid")  # the nonce is another login's
    state = await there.start("evil", query="&target_link_uri=https://evil.example/")
    assert location_of(await there.come_back("evil", state)) == "/"
    unknown = await there.visitor.get("/bff/login?iss=https://none.example")
    assert code_of(unknown) == "unknown_provider"


# --- mix-up


@pytest.mark.rule("AZ-18")
@pytest.mark.parametrize("names_itself", [True, False])
async def test_a_code_of_another_op_is_redeemed_nowhere(
    there: TwoProviders, names_itself: bool
) -> None:
    """RFC 9700 section 4.4.1: the user begins a login at the hostile OP, which sends the browser on
    to the honest one with our client there. Its code must not reach the hostile OP, whether or not
    the honest one says in `iss` who it is."""
    state = await there.start("evil")
    iss = there.ops["corp"].issuer if names_itself else ""
    reply = await there.come_back("corp", state, code="code-of-corp", iss=iss)
    assert (reply.status, code_of(reply)) == (400, "login_issuer_mismatch")
    assert SESSION not in there.visitor.cookies
    assert nothing_reached(there, "evil")
    assert nothing_reached(there, "corp")
    again = await there.come_back("evil", state, code="code-of-corp")
    assert code_of(again) == "login_expired"  # and the login serves no second try


@pytest.mark.rule("AZ-18")
@pytest.mark.parametrize(
    ("begun_at", "comes_to", "says_it_is"),
    [
        ("corp", "evil", None),
        ("corp", "evil", "corp"),
        ("corp", "evil", "evil"),
        ("corp", "corp", "evil"),
        ("evil", "evil", "corp"),
        ("evil", "corp", "evil"),
    ],
)
async def test_an_answer_is_for_the_provider_that_was_asked(
    there: TwoProviders, begun_at: str, comes_to: str, says_it_is: str | None
) -> None:
    """By the redirect URI and by `iss`; each alone is enough to refuse it."""
    state = await there.start(begun_at)
    iss = there.ops[says_it_is].issuer if says_it_is else ""
    reply = await there.come_back(comes_to, state, code="a-code", iss=iss)
    assert code_of(reply) == "login_issuer_mismatch"
    assert nothing_reached(there, "corp")
    assert nothing_reached(there, "evil")


@pytest.mark.rule("AZ-18")
@pytest.mark.parametrize("path", ["/bff/callback", "/bff/callback/other", "/bff/callback/CORP"])
async def test_an_answer_at_no_redirect_uri_is_refused(there: TwoProviders, path: str) -> None:
    state = await there.start("corp")
    reply = await there.visitor.get(f"{path}?state={state}&code=a-code")
    assert code_of(reply) == "login_issuer_mismatch"
    assert nothing_reached(there, "corp")


async def test_an_error_of_another_op_is_no_answer_either(there: TwoProviders) -> None:
    state = await there.start("evil")
    reply = await there.come_back("corp", state, error="access_denied")
    assert code_of(reply) == "login_issuer_mismatch"


@pytest.mark.rule("AZ-18")
async def test_a_hostile_op_can_not_speak_for_another(there: TwoProviders) -> None:
    """An ID token in the other's name is refused for its issuer, with the right key or a wrong."""
    state = await there.start("evil")
    for keys in (there.ops["evil"].keys, there.ops["corp"].keys):
        there.ops["evil"].id_token_changes = {"iss": there.ops["corp"].issuer}
        there.ops["evil"].keys, kept = keys, there.ops["evil"].keys
        reply = await there.come_back("evil", state)
        there.ops["evil"].keys = kept
        assert code_of(reply) == "id_token_invalid"
        assert SESSION not in there.visitor.cookies
        state = await there.start("evil")


async def test_a_login_that_fails_is_counted_once_and_at_its_provider(there: TwoProviders) -> None:
    def counted(metrics: str) -> dict[str, float]:
        """The logins that failed for their ID token, by provider."""
        pattern = r'^bff_logins_total\{.*outcome="id_token_invalid",provider="(\w+)"\} ([0-9.]+)$'
        return {name: float(n) for name, n in re.findall(pattern, metrics, re.MULTILINE)}

    before = counted(await there.admin.metrics())
    state = await there.start("evil")
    there.ops["evil"].id_token_changes = {"aud": "another"}
    assert code_of(await there.come_back("evil", state)) == "id_token_invalid"
    after = counted(await there.admin.metrics())
    assert after == before | {"evil": before.get("evil", 0.0) + 1}


async def test_the_same_sub_at_two_ops_is_two_users(there: TwoProviders) -> None:
    """OIDC Core section 5.7. One can neither see nor end the sessions of the other."""
    await there.log_in("corp")
    async with there.another_visitor() as other:
        await there.log_in("evil", other)
        listed = json.loads((await other.get("/bff/sessions")).body)["sessions"]
        assert len(listed) == 1
        [mine] = json.loads((await there.visitor.get("/bff/sessions")).body)["sessions"]
        assert mine["id"] != listed[0]["id"]


# --- logouts that an OP tells of


def logout_token(there: TwoProviders, signed_by: str, **changes: object) -> str:
    op = there.ops[signed_by]
    now = int(there.clock.now())
    claims = {
        "iss": op.issuer,
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 120,
        "jti": f"{signed_by}-{len(op.received)}-{now}-{sorted(changes)}",
        "sub": op.sub,
        "events": {LOGOUT_EVENT: {}},
        **changes,
    }
    return op.keys[0].sign(claims, typ="logout+jwt")


@pytest.mark.rule("LO-17")
async def test_an_op_ends_its_own_sessions_only(there: TwoProviders) -> None:
    """The same `sub` at both; the token is taken for that of the OP it names."""
    await there.log_in("corp")
    async with there.another_visitor() as other:
        await there.log_in("evil", other)
        told = await there.visitor.tell(logout_token(there, "evil"))
        assert told.status == 200
        assert (await there.call(other)).status == 401
        assert (await there.call()).status == 200
        told = await there.visitor.tell(logout_token(there, "corp"))
        assert told.status == 200
        assert (await there.call()).status == 401


@pytest.mark.rule("LO-17")
async def test_a_hostile_op_can_not_end_the_sessions_of_another(there: TwoProviders) -> None:
    """In the other's name the signature is judged by the other's keys."""
    await there.log_in("corp")
    for issuer in (there.ops["corp"].issuer, "https://none.example", None, 3):
        told = await there.visitor.tell(logout_token(there, "evil", iss=issuer))
        assert (told.status, code_of(told)) == (400, "logout_token_invalid")
    assert (await there.call()).status == 200


# --- troubles of one OP


async def test_an_op_that_is_down_keeps_the_users_of_another_in(there: TwoProviders) -> None:
    """The circuit breaker is each OP's own."""
    await there.log_in("corp")
    there.ops["evil"].answers["token"] = Answer(status=503)
    for _ in range(6):
        there.ops["evil"].answers.pop("token", None)
        async with there.another_visitor() as other:
            await there.log_in("evil", other)
            there.clock.advance(61)
            there.ops["evil"].answers["token"] = Answer(status=503)
            assert (await there.call(other)).status == 503
    assert (await there.call()).status == 200


async def test_readiness_shows_each_op(there: TwoProviders) -> None:
    ready = await there.admin.ask("GET", "/readyz")
    assert ready.status == 200
    checks = json.loads(ready.body)["checks"]
    assert checks.keys() == {"store", "op", "op:corp", "op:evil"}
    assert checks["op"] == checks["op:corp"] == "ok"
