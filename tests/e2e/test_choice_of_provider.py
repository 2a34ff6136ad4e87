"""The demo's page where the gateway has several login services to choose from."""

import json

import pytest
from playwright.async_api import Route, expect

from tests.e2e.installation import Installation
from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="package")

# The name of the only one there is in this installation, and one more.
PROVIDERS = [
    {"name": "default", "label": "<b>Example</b> & Co", "login_url": "/bff/login?idp=default"},
    {"name": "other", "label": "Other", "login_url": "/bff/login?idp=other"},
]


async def offer(visitor: Visitor, body: object, status: int = 200) -> None:
    """As a gateway with such a configuration answers."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=status, content_type="application/json", body=json.dumps(body))

    await visitor.context.route("**/bff/providers", answer)


async def test_each_provider_has_a_button_that_logs_in_there(
    visitor: Visitor, installation: Installation
) -> None:
    """Named for people and for screen readers, and text is text."""
    await offer(visitor, PROVIDERS)
    page = await visitor.open("/notes")
    group = page.get_by_role("group", name="Login services")
    await expect(group.get_by_role("button")).to_have_text(
        ["Log in with <b>Example</b> & Co", "Log in with Other"]
    )
    await expect(page.get_by_test_id("login")).to_be_hidden()
    async with page.expect_request("**/bff/login?**") as begun:
        await group.get_by_role("button", name="Log in with <b>Example</b> & Co").press("Enter")
    assert (await begun.value).url.endswith("/bff/login?returnUrl=%2Fnotes&idp=default")
    await page.wait_for_url(f"{installation.issuer}/interaction/**")
    await visitor.finish_login(page)
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")
    assert page.url == f"{installation.public_url}/notes"


@pytest.mark.parametrize(("body", "status"), [(PROVIDERS[:1], 200), ({}, 503)])
async def test_the_one_button_stays_where_there_is_no_choice(
    visitor: Visitor, body: object, status: int
) -> None:
    """Also when it cannot be known."""
    await offer(visitor, body, status)
    page = await visitor.open()
    async with page.expect_response("**/bff/providers"):
        await page.reload()
    await expect(page.get_by_test_id("login")).to_be_visible()
    await expect(page.get_by_role("group", name="Login services")).to_be_hidden()
