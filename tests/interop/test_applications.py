"""One gateway for three applications and fifty tenants, at Keycloak and npm oidc-provider: a user
logs in once at an OP, has a session in each application, and what ends at the OP ends in all."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.interop.applications import LABELS, NO_TENANT, Applications, applications
from tests.interop.conftest import StartedKeycloak
from tests.interop.story import PATIENCE_SECONDS, PAUSE_SECONDS
from tests.parts.browser import Browser
from tests.polling import until

pytestmark = [pytest.mark.real_op, pytest.mark.timeout(900)]


@pytest.fixture
async def there(
    early_keycloak: StartedKeycloak | None, tmp_path: Path
) -> AsyncIterator[Applications]:
    assert early_keycloak is not None
    async with applications(early_keycloak, tmp_path) as found:
        yield found


async def test_three_applications_at_keycloak_and_another_op(there: Applications) -> None:
    """Login, refresh and logout, with the sessions of a browser that are one at Keycloak."""
    shop, crm, wiki = there.urls.values()
    async with Browser() as employee, Browser() as partner:
        # A user logs in once, and is let into the other applications without being asked.
        for url, is_asked in ((shop, True), (crm, False), (wiki, False)):
            page, asked = await there.log_in(employee, url, "corp")
            assert (page.status, page.url) == (200, f"{url}/deep"), page.text
            assert asked is is_asked
        page, _ = await there.log_in(partner, shop, "partners")
        assert (page.status, page.url) == (200, f"{shop}/deep"), page.text

        # Every session has a token of its own, and only at its own OP is it one.
        used = set()
        for url in (shop, crm, wiki):
            assert (await there.call(employee, url)).status == 200
            used.add(there.apis["corp"].bearers[-1])
        assert len(used) == len(there.urls)
        assert (await there.call(employee, shop, "partners")).status == 401
        assert (await there.call(partner, shop, "partners")).status == 200
        assert [await there.user_status(partner, url) for url in (crm, wiki)] == [401, 401]

        # Each is refreshed by itself.
        expired_at = max(grant.expires_at for grant in there.relays["corp"].grants)
        await until(lambda: time.time() > expired_at, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
        for url in (shop, crm, wiki):
            assert (await there.call(employee, url)).status == 200
            assert there.apis["corp"].bearers[-1] not in used
        assert (await there.call(partner, shop, "partners")).status == 200
        assert there.relays["corp"].refused == there.relays["partners"].refused == []

        # A logout in one application, and at the OP, which tells the gateway: the others end too.
        await employee.navigate(f"{wiki}/")
        user = (await employee.fetch("GET", f"{wiki}/bff/user")).json()
        page = await employee.click(user["bff"]["logout_url"])
        assert (page.status, page.url.split("?")[0]) == (200, f"{wiki}/")

        async def are_over() -> bool:
            return [await there.user_status(employee, url) for url in (shop, crm, wiki)] == [
                401
            ] * 3

        await until(are_over, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
        assert await there.user_status(partner, shop) == 200


async def test_a_logout_ends_at_the_page_it_names(there: Applications) -> None:
    """Both OPs return to the one address that they know, and the browser goes on from there."""
    for name, provider in (("crm", "corp"), ("shop", "partners")):
        url = there.urls[name]
        async with Browser() as browser:
            await there.log_in(browser, url, provider)
            user = (await browser.fetch("GET", f"{url}/bff/user")).json()
            page = await browser.click(f"{user['bff']['logout_url']}&returnUrl=/left/now?x=1")
            if not page.url.startswith(url):
                page = await there.ops[provider].confirm_logout(browser, page)
            assert (page.status, page.url) == (200, f"{url}/left/now?x=1"), page.text
            assert await there.user_status(browser, url) == 401


async def test_the_domain_of_a_hint_leads_to_keycloak_or_the_other_op(
    there: Applications,
) -> None:
    """And what a chooser offers is what each application has."""
    async with Browser() as browser:
        for url, providers in (
            (there.urls["shop"], ["corp", "partners"]),
            (there.urls["wiki"], ["corp"]),
            (there.tenant(LABELS[0]), [f"t{LABELS[0]}", "partners"]),
        ):
            await browser.navigate(f"{url}/")
            offered = (await browser.fetch("GET", f"{url}/bff/providers")).json()
            assert [one["name"] for one in offered] == providers
        for provider, op in there.ops.items():
            await browser.navigate(f"{there.urls['shop']}/")
            page = await browser.click(f"/bff/login?login_hint=a@{provider}.example.test")
            assert page.url.startswith(op.place.public), page.url


@pytest.mark.rule("FE-02", "FE-04", "FE-09")
async def test_fifty_tenants_at_keycloak_and_another_op(there: Applications) -> None:
    """A user who has logged in at one is let into all of them, beside the three applications, with
    a session and a token of each one's own client. The end of the user's session at Keycloak ends
    all of these, and no partner's."""
    first, *others = (there.tenant(label) for label in LABELS)
    shop = there.urls["shop"]
    async with Browser() as employee, Browser() as partner:
        for url in (first, shop, *others):
            page, asked = await there.log_in(employee, url, "corp" if url == shop else "")
            assert (page.status, page.url) == (200, f"{url}/deep"), page.text
            assert asked is (url == first)
        page, _ = await there.log_in(partner, first, "partners")
        assert (page.status, page.url) == (200, f"{first}/deep"), page.text

        seen = there.apis["corp"].bearers
        for url in (first, shop, *others):
            assert (await there.call(employee, url)).status == 200
        assert len(set(seen)) == len(LABELS) + 1
        assert (await there.call(employee, first, "partners")).status == 401
        assert (await there.call(partner, first, "partners")).status == 200
        assert await there.user_status(partner, others[0]) == 401
        cookie = employee.cookies.get("bff", f"127.0.0.{LABELS[0]}")
        assert cookie is not None
        assert await status_with(first, cookie) == 200
        assert await status_with(others[0], cookie) == 401
        assert await status_with(there.tenant(NO_TENANT), cookie) == 421

        await there.ops["corp"].sign_out(employee)

        async def are_over() -> bool:
            return {await there.user_status(employee, url) for url in (first, shop, *others)} == {
                401
            }

        await until(are_over, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
        assert await there.user_status(partner, first) == 200
        assert there.relays["corp"].refused == there.relays["partners"].refused == []


async def status_with(url: str, cookie: str) -> int:
    """What an application answers to a session cookie, whichever it belongs to."""
    fields = {"X-CSRF": "1", "Cookie": f"bff={cookie}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/bff/user", headers=fields) as answer,
    ):
        return answer.status
