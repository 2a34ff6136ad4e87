"""Whose session, whose token: fixation, expiry, and tokens that must not be mixed up."""

import asyncio
from urllib.parse import parse_qs

import pytest

from bff.clock import ManualClock
from bff.endpoints.browser_cookies import BrowserCookies
from bff.model import TokenTarget
from bff.oidc.relying_party import RelyingParty
from bff.tokens.client_tokens import ClientTokens
from spa_demo.op.settings import User
from tests.flows.logins import log_in
from tests.integration.relying_party.steps import settings_for
from tests.parts.browser import Browser
from tests.parts.browser_cookies import Cookie, Jar
from tests.parts.scripted_op import Answer, Received, ScriptedOp
from tests.parts.stack import running_stack
from tests.polling import until


@pytest.mark.rule("GHSA-f24x-5g9q-753f")
@pytest.mark.rule("CVE-2021-41246")
@pytest.mark.rule("SE-02")
async def test_a_planted_session_is_worth_nothing_after_the_login() -> None:
    """The attacker's own live session in the victim's jar does not become the victim's."""
    async with running_stack() as stack, Browser() as attacker, Browser() as victim:
        await log_in(attacker, stack, "bob")
        planted = attacker.cookies.get("bff") or ""
        victim.cookies.put(Cookie("localhost", "bff", planted, same_site="strict"))
        await log_in(victim, stack, "alice")
        assert victim.cookies.get("bff") != planted
        assert (await victim.fetch("GET", "/bff/user")).json()["sub"] == "alice"
        assert (await attacker.fetch("GET", "/bff/user")).status == 401
        assert (await attacker.fetch("GET", "/api/me")).status == 401


@pytest.mark.rule("CVE-2025-46344")
@pytest.mark.rule("SE-05")
async def test_an_id_kept_beyond_the_end_is_worth_nothing() -> None:
    """The cookie has no date; the session has one."""
    clock = ManualClock()
    async with running_stack(clock=clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        kept = {"Cookie": f"bff={browser.cookies.get('bff')}"}
        assert (await browser.fetch("GET", "/api/me", headers=kept)).status == 200
        clock.advance(13 * 3600)
        for path in ("/api/me", "/bff/user", "/bff/sessions"):
            assert (await browser.fetch("GET", path, headers=kept)).status == 401


@pytest.mark.rule("CVE-2025-55162")
@pytest.mark.rule("CK-08")
@pytest.mark.parametrize("name", ["__Host-Http-bff", "__Host-bff"])
def test_a_jar_with_a_browsers_rules_drops_the_cookie_at_logout(name: str) -> None:
    """RFC 6265bis section 5: a deletion without Secure would be refused, and the cookie stay."""
    url = "https://app.example/"
    cookies = BrowserCookies(name, f"{name}-login", f"{name}-logout", True, "strict", 600)
    jar = Jar()
    jar.store(url, cookies.set_session("value"))
    assert jar.get(name) == "value"
    jar.store(url, cookies.clear_session().replace("; Secure", ""))
    assert jar.get(name) == "value"
    jar.store(url, cookies.clear_session())
    assert jar.get(name) is None
    assert len(jar.rejected) == 1


@pytest.mark.rule("CVE-2025-26620")
@pytest.mark.rule("CVE-2026-33496")
async def test_parallel_client_tokens_of_two_scopes_are_two() -> None:
    """A cache, or a flight, is shared by calls for the same scope and by no others."""
    clock = ManualClock()
    op = await ScriptedOp(clock).start()
    rp = RelyingParty(settings_for(op.issuer), clock)
    await rp.start()

    def of_its_scope(received: Received) -> Answer:
        (scope,) = parse_qs(received.body)["scope"]
        number = op.count("token")
        return Answer(
            {"access_token": f"{scope.replace(' ', '+')}-{number}", "token_type": "Bearer"}
        )

    op.answers["token"] = of_its_scope
    try:
        tokens = ClientTokens(rp, clock)
        scopes = ["a", "b", "a b", "b a"] * 10
        for _ in range(2):
            targets = (TokenTarget(scope=scope) for scope in scopes)
            found = await asyncio.gather(*map(tokens.get, targets))
            for scope, token in zip(scopes, found, strict=True):
                assert token.access_token.rpartition("-")[0] == scope.replace(" ", "+")
        assert op.count("token") == 4
    finally:
        await rp.close()
        await op.close()


@pytest.mark.rule("express-openid-connect-3.2.1")
async def test_a_refresh_behind_an_open_stream_is_kept() -> None:
    """Headers of the stream are long gone when the tokens rotate: nothing hangs on a cookie."""
    clock = ManualClock()
    async with running_stack(clock=clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        async with browser.stream("/bff/events") as stream:
            await stream.content.readuntil(b"event: session")
            for number in (1, 2, 3):
                clock.advance(61)
                assert (await browser.fetch("GET", "/api/me")).status == 200
                assert stack.op.refreshes == number
            assert stack.op.reuse_detected == 0
        assert (await browser.fetch("GET", "/bff/user")).status == 200


names: list[str] = []


class Alice(User):
    """A user of the OP who has the last of `names`."""

    def claims(self, scope: str) -> dict[str, object]:
        return {**super().claims(scope), "name": names[-1]}


@pytest.mark.rule("CVE-2021-41230")
async def test_claims_follow_a_refreshed_id_token() -> None:
    clock = ManualClock()
    op = {"users": (Alice("alice", "wonderland", "", "alice@example.test"),)}
    names.append("Alice Liddell")
    async with running_stack(clock=clock, op=op) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/bff/user")).json()["name"] == "Alice Liddell"
        names.append("Alice Hargreaves")
        clock.advance(61)
        assert (await browser.fetch("GET", "/api/me")).status == 200

        async def has_new_name() -> bool:
            user = await browser.fetch("GET", "/bff/user")
            return bool(user.json()["name"] == "Alice Hargreaves")

        await until(has_new_name)
