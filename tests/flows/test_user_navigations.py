"""What changes a login or a session at a GET: only a navigation that the user has asked for,
however the browser came to make it. W3C Fetch Metadata; HTML standard, speculative loading."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest

from tests.flows.apis import an_api
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.stack import running_stack

PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"
DOCUMENT = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": ""}
# As browsers send them before the user asks: `<link rel=prefetch>`, speculation rules, the address
# bar, and those that came before `Sec-Purpose`.
SPECULATIVE: list[Mapping[str, str]] = [
    DOCUMENT | {"Sec-Purpose": "prefetch"},
    DOCUMENT | {"Sec-Purpose": "prefetch;prerender"},
    DOCUMENT | {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    DOCUMENT | {"Purpose": "prefetch"},
    DOCUMENT | {"X-Purpose": "preview"},
    DOCUMENT | {"X-Moz": "prefetch"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty", "Sec-Purpose": "prefetch"},
]
NO_NAVIGATIONS: list[Mapping[str, str]] = [
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-User": ""},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Sec-Fetch-User": ""},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script", "Sec-Fetch-User": ""},
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-User": ""},
    DOCUMENT | {"Sec-Fetch-Dest": "iframe"},
    DOCUMENT | {"Sec-Fetch-Dest": "object"},
    DOCUMENT | {"Sec-Fetch-Dest": "fencedframe"},
]
# `respondWith(fetch(event.request))` in Chromium, and where the mode of the fetch is its own.
PASSED_ON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "empty", "Sec-Fetch-User": ""}
PASSED_ON_AS_FETCH = PASSED_ON | {"Sec-Fetch-Mode": "same-origin", "Accept": PAGE}
NO_METADATA = dict.fromkeys(
    ("Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-Fetch-User"), ""
)


async def ask(browser: Browser, url: str, sent: Mapping[str, str]) -> Page:
    """From the page that is open, which stays so."""
    page = browser.page
    answer = await browser.navigate(url, initiator=browser.origin, headers=sent, follow=False)
    browser.page = page
    return answer


async def logout_url(browser: Browser) -> str:
    return str((await browser.fetch("GET", "/bff/user")).json()["bff"]["logout_url"])


@pytest.mark.rule("CS-06")
@pytest.mark.rule("CS-10")
async def test_nothing_but_a_navigation_of_the_user_logs_out() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        url = await logout_url(browser)
        for sent in SPECULATIVE + NO_NAVIGATIONS:
            refused = await ask(browser, url, sent)
            assert (refused.status, "Set-Cookie" in refused.headers) == (403, False), sent
            assert (await browser.fetch("GET", "/bff/user")).status == 200, sent
        assert stack.op.revocations == 0
        assert (await ask(browser, url, {})).status == 303


@pytest.mark.rule("CS-10")
@pytest.mark.parametrize("path", ["/bff/login?returnUrl=/x", "/bff/resume"])
async def test_nothing_but_a_navigation_of_the_user_starts_a_login(path: str) -> None:
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        for sent in SPECULATIVE + NO_NAVIGATIONS:
            refused = await ask(browser, path, sent)
            assert (refused.status, "Set-Cookie" in refused.headers) == (403, False), sent
        assert (await ask(browser, path, {})).status == 302


async def test_a_prefetch_does_not_use_up_the_answer_of_the_op() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        at_op = await browser.navigate(f"{stack.public_url}/bff/login?prompt=none", follow=False)
        back = await browser.navigate(at_op.location or "", follow=False)
        for sent in SPECULATIVE:
            assert (await ask(browser, back.location or "", sent)).status == 403, sent
        assert (await ask(browser, back.location or "", {})).status == 302


async def test_the_frame_of_a_logout_page_that_is_only_prerendered_ends_nothing() -> None:
    async with running_stack(oidc="frontchannel_logout = true") as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        url = f"/bff/frontchannel-logout?iss={stack.issuer}&sid=x"
        for sent in SPECULATIVE:
            assert (
                await ask(browser, url, dict(sent) | {"Sec-Fetch-Dest": "iframe"})
            ).status == 403
        for dest in ("iframe", "image"):
            assert (await ask(browser, url, {"Sec-Fetch-Dest": dest})).status == 200


@pytest.mark.parametrize("sent", [PASSED_ON, NO_METADATA], ids=["service worker", "old browser"])
async def test_a_navigation_passes_through_a_service_worker_and_from_an_old_browser(
    sent: Mapping[str, str],
) -> None:
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        for path in ("/bff/login", "/bff/resume"):
            found = await ask(browser, path, sent)
            assert (found.status, (found.location or "").startswith(stack.issuer)) == (302, True)
        await log_in(browser, stack)
        at_op = await ask(browser, "/bff/login?prompt=none", sent)
        back = await browser.navigate(at_op.location or "", follow=False)
        assert (await ask(browser, back.location or "", sent)).location == "/"
        assert (await ask(browser, await logout_url(browser), sent)).status == 303
        assert (await browser.fetch("GET", "/bff/user")).status == 401


async def test_a_worker_of_another_site_is_no_worker_of_ours() -> None:
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        for site in ("same-site", "cross-site", "none"):
            sent = PASSED_ON | {"Sec-Fetch-Site": site}
            assert (await ask(browser, "/bff/login", sent)).status == 403, site


async def test_where_a_navigation_looks_like_a_fetch_a_button_logs_in() -> None:
    """What was asked for is kept, and no link leads to the same page again."""
    query = "returnUrl=/items%3Fx=%2522%26y&prompt=login&login_hint=%22%3E%3Cscript%3E&max_age=60"
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        page = await ask(browser, f"/bff/login?{query}", PASSED_ON_AS_FETCH)
        assert (page.status, page.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
        assert "form-action" not in page.headers["Content-Security-Policy"]
        assert "href" not in page.text
        assert "<script" not in page.text
        (form,) = page.forms()
        assert (form.method, form.action) == ("post", f"{stack.public_url}/bff/login")
        assert dict(form.fields) == {
            "returnUrl": "/items?x=%22&y",
            "prompt": "login",
            "login_hint": '"><script>',
            "max_age": "60",
        }
        browser.page = page
        at_op = await browser.submit(form)
        assert at_op.hops[0].status == 303
        assert "max_age=60" in (at_op.hops[0].location or "")
        end = await browser.log_in_at_op(at_op, "alice")
        assert urlsplit(end.url)[2:4] == ("/items", "x=%22&y")


@pytest.mark.rule("CS-06")
async def test_where_a_navigation_looks_like_a_fetch_a_button_logs_out() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        page = await ask(browser, await logout_url(browser), PASSED_ON_AS_FETCH)
        (form,) = page.forms()
        assert (form.method, form.action) == ("post", f"{stack.public_url}/bff/logout")
        browser.page = page
        for values in ({"sid": "x"}, {"sid": ""}):
            assert (await browser.submit(form, values)).status == 403
            browser.page = page
        end = await browser.submit(form)
        assert end.hops[0].status == 303
        await browser.navigate(stack.public_url)
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("SE-11")
@pytest.mark.rule("CS-06")
async def test_a_form_of_another_page_neither_logs_in_nor_out() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        sid = urlsplit(await logout_url(browser)).query
        foreign: list[dict[str, str]] = [
            {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:1"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
            {"Sec-Fetch-Site": "none", "Origin": ""},
            {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "", "Origin": "null"},
            {"Sec-Fetch-Site": "", "Origin": ""},
        ]
        for path, data in (("/bff/login", "returnUrl=/"), ("/bff/logout", sid)):
            for sent in foreign:
                form = sent | {"Content-Type": "application/x-www-form-urlencoded"}
                answer = await browser.fetch("POST", path, data=data, headers=form, csrf=False)
                assert answer.status == 403, (path, sent)
                assert "Set-Cookie" not in answer.headers
        assert (await browser.fetch("GET", "/bff/user")).status == 200


async def test_a_prefetched_page_of_the_application_is_served() -> None:
    """It changes nothing."""
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        for sent in SPECULATIVE:
            assert (await ask(browser, "/items", sent)).status == 200


@pytest.mark.rule("CS-04")
async def test_a_typed_url_of_a_same_origin_route_passes() -> None:
    """So does a bookmark; a link of another site does not, nor what the user can't have typed."""
    route = 'csrf = "same-origin"'
    async with an_api(route) as api:
        typed = f"{api.stack.public_url}/api/x"
        assert (await api.browser.navigate(typed)).status == 200
        await api.browser.navigate(api.stack.public_url)
        for sent, status in (
            ({"Sec-Fetch-Site": "none", **DOCUMENT}, 200),
            ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "cors"}, 403),
            ({"Sec-Fetch-Site": "none", **NO_NAVIGATIONS[1]}, 403),
            ({"Sec-Fetch-Site": "cross-site", **DOCUMENT}, 403),
            ({"Sec-Fetch-Site": "same-site", **DOCUMENT}, 403),
            ({"Sec-Fetch-Site": "none", "Origin": "https://evil.example", **DOCUMENT}, 403),
        ):
            assert (await ask(api.browser, "/api/x", sent)).status == status, sent
        post = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
        assert (await api.browser.fetch("POST", "/api/x", headers=post)).status == 403
    async with an_api() as api:
        assert (await api.browser.navigate(f"{api.stack.public_url}/api/x")).status == 403
