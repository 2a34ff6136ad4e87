"""Login, from the SPA's button to the first call, and every way it can go wrong."""

import re
from html import unescape
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import aiohttp
import pytest

from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.configuration import CLIENT_ID, SCOPE
from tests.parts.stack import Stack, running_stack


def outgoing(page: Page) -> dict[str, str]:
    """The authorization request a login redirect made."""
    assert page.location is not None
    return dict(parse_qsl(urlsplit(page.location).query, strict_parsing=True))


async def logins_counted(stack: Stack) -> dict[str, float]:
    """By outcome, those that have come to an end."""
    async with aiohttp.ClientSession() as http, http.get(f"{stack.admin_url}/metrics") as answer:
        text = await answer.text()
    pattern = r'^bff_logins_total\{.*outcome="([a-z_]+)".*\} ([0-9.]+)$'
    return {outcome: float(count) for outcome, count in re.findall(pattern, text, re.MULTILINE)}


def callback_of(page: Page) -> str:
    """The callback URL on the way to a page."""
    return next(hop.url for hop in page.hops if "/bff/callback" in hop.url)


@pytest.mark.rule("CK-03")
async def test_a_login_ends_where_it_was_asked_to_and_the_next_fetch_is_authenticated() -> None:
    """The document after the callback comes without the Strict cookie; the first fetch has it."""
    async with running_stack() as stack, Browser() as browser:
        page = await log_in(browser, stack, to="/session?tab=2")
        assert (page.status, page.url) == (200, f"{stack.public_url}/session?tab=2")
        assert "Cookie" not in page.request_headers or "bff=" not in page.request_headers["Cookie"]
        user = await browser.fetch("GET", "/bff/user")
        assert user.status == 200
        document = user.json()
        assert (document["sub"], document["email"]) == ("alice", "alice@example.test")
        assert set(document) == {"sub", "name", "email", "bff"}
        assert set(document["bff"]) == {
            "session_expires_in",
            "idle_expires_in",
            "access_token_expires_in",
            "logout_url",
            "acr",
            "auth_time",
        }
        me = await browser.fetch("GET", "/api/me")
        assert (me.status, me.json()["sub"]) == (200, "alice")


@pytest.mark.rule("AZ-02")
@pytest.mark.rule("AZ-15")
async def test_the_authorization_request_is_the_gateways_own() -> None:
    async with running_stack() as stack, Browser() as browser:
        forged = "scope=admin&redirect_uri=http://evil&client_id=x&response_mode=fragment&request=r"
        asked = "prompt=login&login_hint=alice&ui_locales=de&max_age=60&acr_values=urn:a%20urn:b"
        page = await browser.navigate(
            f"{stack.public_url}/bff/login?{forged}&{asked}&nonce=n&state=s", follow=False
        )
        sent = outgoing(page)
        assert page.status == 302
        assert sent.pop("redirect_uri") == f"{stack.public_url}/bff/callback"
        state, nonce, challenge = (sent.pop(k) for k in ("state", "nonce", "code_challenge"))
        assert len(state) >= 43
        assert len(challenge) == 43
        assert 43 <= len(nonce) <= 64
        assert sent == {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "scope": SCOPE,
            "code_challenge_method": "S256",
            "prompt": "login",
            "login_hint": "alice",
            "ui_locales": "de",
            "max_age": "60",
            "acr_values": "urn:a urn:b",
        }


@pytest.mark.rule("AZ-02")
@pytest.mark.rule("ID-09")
async def test_every_login_has_a_state_nonce_and_challenge_of_its_own() -> None:
    async with running_stack() as stack, Browser() as browser:
        seen = set()
        for _ in range(20):
            page = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
            sent = outgoing(page)
            seen |= {sent["state"], sent["nonce"], sent["code_challenge"]}
        assert len(seen) == 60


@pytest.mark.rule("AZ-11")
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Proto": "gopher"},
        {"Forwarded": "host=evil.example"},
        {"X-Original-URL": "http://evil.example/"},
    ],
)
async def test_no_header_changes_the_redirect_uri(headers: dict[str, str]) -> None:
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(
            f"{stack.public_url}/bff/login", headers=headers, follow=False
        )
        if "Host" in headers:
            assert page.status == 421
        else:
            assert outgoing(page)["redirect_uri"] == f"{stack.public_url}/bff/callback"


@pytest.mark.rule("CK-06")
async def test_cookies_have_the_attributes_their_purpose_needs() -> None:
    async with running_stack() as stack, Browser() as browser:
        start = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
        binder = start.headers["Set-Cookie"]
        assert binder.startswith("bff-login=")
        assert set(binder.split("; ")[1:]) == {"Path=/", "Max-Age=600", "HttpOnly", "SameSite=Lax"}
        end = await log_in(browser, stack)
        session = end.hops[-1].headers["Set-Cookie"]
        assert session.startswith("bff=")
        assert set(session.split("; ")[1:]) == {"Path=/", "HttpOnly", "SameSite=Strict"}
        assert len(session) < 256


@pytest.mark.rule("AZ-05")
async def test_two_tabs_log_in_side_by_side() -> None:
    async with running_stack() as stack, Browser() as browser:
        first = await browser.navigate(f"{stack.public_url}/bff/login?returnUrl=/a")
        second = await browser.navigate(f"{stack.public_url}/bff/login?returnUrl=/b")
        end = await browser.log_in_at_op(second, "alice")
        assert end.url == f"{stack.public_url}/b"
        browser.page = first  # back in the first tab
        end = await browser.log_in_at_op(first, "alice")
        assert end.url == f"{stack.public_url}/a"
        assert (await browser.fetch("GET", "/api/me")).status == 200


@pytest.mark.rule("AZ-06")
async def test_a_callback_serves_once_and_a_late_tab_just_continues() -> None:
    async with running_stack() as stack, Browser() as browser:
        end = await log_in(browser, stack)
        again = await browser.navigate(callback_of(end))
        assert again.status == 400
        assert 'url=/bff/resume?returnUrl=%2F"' in again.text
        assert stack.op.token_requests["authorization_code"] == 1
        resumed = await browser.click("/bff/resume")
        assert (resumed.status, resumed.url) == (200, f"{stack.public_url}/")
        assert stack.op.token_requests["authorization_code"] == 1


async def test_a_late_tab_without_a_session_starts_a_fresh_login() -> None:
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(f"{stack.public_url}/bff/callback?code=c&state=gone")
        started = await browser.click("/bff/resume", follow=False)
        assert started.status == 302
        assert outgoing(started)["client_id"] == CLIENT_ID


@pytest.mark.rule("mod_auth_openidc-2026-08-12")
@pytest.mark.rule("AZ-01")
@pytest.mark.rule("AZ-03")
@pytest.mark.rule("AZ-10")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("", "callback_invalid"),
        ("code={code}", "callback_invalid"),
        ("code={code}&state=", "callback_invalid"),
        ("code={code}&state=wrong", "login_expired"),
        ("code={code}&state={state}&state={state}", "callback_invalid"),
        ("code={code}&code={code}&state={state}", "callback_invalid"),
        ("code=&state={state}", "callback_invalid"),
        ("state={state}", "callback_invalid"),
        ("code={code}&error=access_denied&state={state}", "callback_invalid"),
        ("code={code}&state={state}", "login_issuer_mismatch"),
        ("code={code}&state={state}&iss=http://evil", "login_issuer_mismatch"),
        ("code={code}&state={state}&iss={iss}/", "login_issuer_mismatch"),
        ("code={code}&state={state}&iss={iss}&iss={iss}", "callback_invalid"),
        ("access_token=x&id_token=y&state={state}", "callback_invalid"),
    ],
)
async def test_a_callback_that_is_not_exactly_right_spends_no_code(change: str, code: str) -> None:
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        authorized = await _stop_before_callback(browser, page)
        values = {key: value[0] for key, value in parse_qs(urlsplit(authorized).query).items()}
        query = change.format(code=values["code"], state=values["state"], iss=values["iss"])
        await browser.navigate(stack.public_url)
        answer = await browser.fetch("GET", f"/bff/callback?{query}")
        assert answer.status == 400
        assert answer.json()["code"] == code
        assert not answer.headers.getall("Set-Cookie", [])
        assert stack.op.token_requests["authorization_code"] == 0


@pytest.mark.rule("CS-08")
@pytest.mark.rule("SE-02")
async def test_a_forged_callback_does_not_log_a_victim_in_as_the_attacker() -> None:
    async with running_stack() as stack, Browser() as attacker, Browser() as victim:
        page = await attacker.navigate(f"{stack.public_url}/bff/login")
        planted = await _stop_before_callback(attacker, page)
        await victim.navigate(f"{stack.public_url}/bff/login")  # has a binder of its own
        answer = await victim.navigate(planted)
        assert answer.status == 400
        assert "login_browser_mismatch" in answer.text
        await victim.navigate(stack.public_url)
        assert (await victim.fetch("GET", "/bff/user")).status == 401
        assert stack.op.token_requests["authorization_code"] == 0


@pytest.mark.rule("SE-02")
async def test_every_login_makes_a_new_id_and_ends_the_old_session() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        old = browser.cookies.get("bff")
        await browser.log_in_at_op(await browser.click("/bff/login"), "alice")
        assert browser.cookies.get("bff") != old
        assert (await browser.fetch("GET", "/bff/user")).status == 200
        stale = await browser.fetch("GET", "/bff/user", headers={"Cookie": f"bff={old}"})
        assert stale.status == 401
        assert stack.op.revocations == 0  # the grant is the new session's as well


@pytest.mark.rule("SE-02")
async def test_the_later_of_two_logins_side_by_side_ends_the_session_of_the_earlier() -> None:
    """Neither knew of a session when it began. A browser has one cookie and so one session, and
    the open pages of the earlier one are told that it was replaced; logins of other browsers are
    not concerned."""
    async with running_stack() as stack, Browser() as browser, Browser() as other:
        await log_in(other, stack)
        first = await browser.navigate(f"{stack.public_url}/bff/login")
        second = await browser.navigate(f"{stack.public_url}/bff/login")
        await browser.log_in_at_op(second, "alice")
        async with browser.stream("/bff/events") as events:
            browser.page = first
            await browser.log_in_at_op(first, "alice")
            assert '"reason":"replaced"' in (await events.text()).replace(" ", "")
        listed = (await browser.fetch("GET", "/bff/sessions")).json()["sessions"]
        assert [one["current"] for one in listed] == [True, False]
        assert (await other.fetch("GET", "/bff/user")).status == 200
        assert stack.op.revocations == 0


@pytest.mark.rule("AZ-09")
async def test_a_login_the_user_cancels_ends_on_a_plain_page() -> None:
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        end = await browser.log_in_at_op(page, "alice", decision="cancel")
        assert end.status == 403
        assert "login_denied" in end.text
        assert await logins_counted(stack) == {"login_denied": 1}
        await browser.navigate(stack.public_url)
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("CVE-2021-32702")
@pytest.mark.rule("AZ-09")
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("access_denied", 403, "login_denied"),
        ("server_error", 503, "op_unavailable"),
        ("temporarily_unavailable", 503, "op_unavailable"),
        ("invalid_scope", 502, "login_refused"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", 502, "login_refused"),
    ],
)
async def test_an_error_of_the_op_is_mapped_and_never_echoed(
    error: str, status: int, code: str
) -> None:
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
        state = outgoing(page)["state"]
        answer = await browser.navigate(
            f"{stack.public_url}/bff/callback?error={error}&error_description=%3Cscript%3Ex"
            f"&state={state}&iss={stack.issuer}"
        )
        assert answer.status == status
        assert code in answer.text
        assert "<script" not in answer.text
        again = await browser.navigate(
            f"{stack.public_url}/bff/callback?error={error}&state={state}&iss={stack.issuer}"
        )
        assert "login_expired" in again.text


@pytest.mark.parametrize(
    ("return_url", "end"),
    [
        ("/x", "/x?bff_error=login_required"),
        ("/", "/?bff_error=login_required"),
        ("/x?a=1&b#top", "/x?a=1&b&bff_error=login_required#top"),
        ("/x?bff_error=login_required&a=1", "/x?a=1&bff_error=login_required"),
    ],
)
async def test_a_silent_login_that_needs_the_user_comes_back_and_says_so(
    return_url: str, end: str
) -> None:
    """Or the application could not tell it from one that it has not tried yet."""
    async with running_stack() as stack, Browser() as browser:
        query = urlencode({"prompt": "none", "returnUrl": return_url})
        page = await browser.navigate(f"{stack.public_url}/bff/login?{query}")
        assert page.status == 200
        assert page.hops[-1].location == end
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("AZ-09")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("error=login_required", "login_required"),
        ("error=interaction_required", "interaction_required"),
        ("error=consent_required", "consent_required"),
        ("error=account_selection_required", "account_selection_required"),
        ("error=access_denied", "login_denied"),
        ("error=server_error", "op_unavailable"),
        ("error=unmet_authentication_requirements", "step_up_not_met"),
        ("error=made_up_by_the_op", "login_refused"),
        ("error=%3Cscript%3E", "login_refused"),
        ("error=temporarily_unavailable&error_description=authentication_expired", "login_expired"),
    ],
)
async def test_a_silent_login_never_ends_on_an_error_page(answer: str, code: str) -> None:
    """The application asked, not the user. It is told a code of ours or of OpenID Connect."""
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(
            f"{stack.public_url}/bff/login?prompt=none&returnUrl=/x", follow=False
        )
        back = await browser.navigate(
            f"{stack.public_url}/bff/callback?{answer}&state={outgoing(page)['state']}"
            f"&iss={stack.issuer}",
            follow=False,
        )
        assert (back.status, back.location) == (302, f"/x?bff_error={code}")
        # That the user is to be asked is no failure.
        is_answer = answer == f"error={code}"
        assert await logins_counted(stack) == ({} if is_answer else {code: 1})


ORGANIZATIONS = 'organization = { parameter = "organization", claim = "org_id" }'

# Keycloak's answer to a login page that was left open for too long.
EXPIRED_TAB = "error=temporarily_unavailable&error_description=authentication_expired"


@pytest.mark.rule("AZ-09")
async def test_a_login_page_that_was_left_open_is_begun_again() -> None:
    """Not an outage of the OP: it goes through `resume`, to where the login would have led."""
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login?returnUrl=/x", follow=False)
        answer = await browser.navigate(
            f"{stack.public_url}/bff/callback?{EXPIRED_TAB}&state={outgoing(page)['state']}"
            f"&iss={stack.issuer}"
        )
        assert answer.status == 400
        assert "login_expired" in answer.text
        assert 'url=/bff/resume?returnUrl=%2Fx"' in answer.text
        again = await browser.click("/bff/resume?returnUrl=%2Fx")
        end = await browser.log_in_at_op(again, "alice")
        assert end.url == f"{stack.public_url}/x"


@pytest.mark.rule("AZ-09")
async def test_a_login_page_that_was_left_open_beside_a_session_just_continues() -> None:
    """Another tab has logged in meanwhile."""
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login?returnUrl=/x", follow=False)
        await log_in(browser, stack)
        answer = await browser.navigate(
            f"{stack.public_url}/bff/callback?{EXPIRED_TAB}&state={outgoing(page)['state']}"
            f"&iss={stack.issuer}"
        )
        assert "login_expired" in answer.text
        resumed = await browser.click("/bff/resume?returnUrl=%2Fx")
        assert (resumed.status, resumed.url) == (200, f"{stack.public_url}/x")
        assert (await browser.fetch("GET", "/bff/user")).status == 200


async def test_a_step_up_that_was_left_open_is_begun_again() -> None:
    """The session that the user has all the time is what it was to be stronger than."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        asked = f"{stack.public_url}/bff/login?acr_values=gold&returnUrl=/x"
        page = await browser.navigate(asked, follow=False)
        answer = await browser.navigate(
            f"{stack.public_url}/bff/callback?{EXPIRED_TAB}&state={outgoing(page)['state']}"
            f"&iss={stack.issuer}"
        )
        link = re.search(r'href="(/bff/resume[^"]*)"', answer.text)
        assert link is not None
        again = await browser.navigate(stack.public_url + unescape(link[1]), follow=False)
        assert again.status == 302
        assert outgoing(again)["acr_values"] == "gold"


async def test_a_step_up_is_for_the_organization_of_the_session() -> None:
    async with running_stack(oidc=ORGANIZATIONS) as stack, Browser() as browser:
        await log_in(browser, stack)
        asked = f"{stack.public_url}/bff/login?acr_values=gold&org=other"
        assert (await browser.navigate(asked, follow=False)).status == 400


@pytest.mark.rule("CVE-2020-5233")
@pytest.mark.rule("CVE-2022-24794")
@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize(
    "offered", ["/%5Cevil", "https:evil", "javascript:alert(1)", "/bff/logout"]
)
async def test_a_return_url_elsewhere_goes_home(offered: str) -> None:
    async with running_stack() as stack, Browser() as browser:
        end = await log_in(browser, stack, to=offered)
        assert end.url == f"{stack.public_url}/"


@pytest.mark.rule("CVE-2020-5233")
@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize("offered", ["//evil", "/%2f/"])
async def test_a_page_that_some_take_for_another_host_stays_on_this_origin(offered: str) -> None:
    """It is a path that the address bar can show, so the browser is sent to it by the whole URL."""
    async with running_stack() as stack, Browser() as browser:
        end = await log_in(browser, stack, to=quote(offered))
        assert end.url == f"{stack.public_url}{offered}"


@pytest.mark.rule("AZ-13")
@pytest.mark.rule("AZ-14")
async def test_redirects_of_a_login_are_302_uncached_and_without_referrer() -> None:
    async with running_stack() as stack, Browser() as browser:
        end = await log_in(browser, stack)
        own = [hop for hop in end.hops if hop.url.startswith(stack.public_url)]
        assert own
        for hop in own:
            assert hop.status == 302
            assert hop.headers["Cache-Control"] == "no-store"
            assert hop.headers["Referrer-Policy"] == "no-referrer"
        assert "code=" not in end.url


@pytest.mark.parametrize(
    "query",
    [
        "prompt=none%20login",
        "prompt=x",
        "max_age=-1",
        "max_age=1e9",
        "acr_values=%0a",
        "prompt=login&prompt=none",
        "login_hint=%00",
        "returnUrl=/a&returnUrl=/b",
        "ui_locales=%3Cx%3E",
        "login_hint=%ff",
    ],
)
async def test_a_malformed_login_parameter_is_a_clear_400(query: str) -> None:
    async with running_stack() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login?{query}")
        assert page.status == 400
        assert "bad_request" in page.text
        assert not page.headers.getall("Set-Cookie", [])


async def _stop_before_callback(browser: Browser, page: Page) -> str:
    """Log in at the OP and return the callback URL without going there."""
    if page.has_form("login"):
        values = {"username": "alice", "password": "wonderland"}
        page = await browser.submit(page.form("login"), values, button="login")
    answer = await browser.submit(page.form("consent"), button="allow", follow=False)
    assert answer.location is not None
    return answer.location
