"""What a person does with the demo, by clicking, through the real Caddy over https."""

import pytest
from playwright.async_api import Page, expect

from tests.e2e.installation import ACCESS_TOKEN_SECONDS, Installation
from tests.e2e.visitor import Visitor
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def add_note(page: Page, text: str) -> None:
    await page.get_by_test_id("note-text").fill(text)
    await page.get_by_test_id("note-submit").click()


@pytest.mark.rule("CK-03")
async def test_after_the_op_s_form_the_first_fetch_finds_the_session(visitor: Visitor) -> None:
    """The Strict cookie is absent from the document's request, because the browser comes from
    another site, and present on the first fetch: the login shows without a reload."""
    page = await visitor.log_in("alice")
    await expect(page.get_by_test_id("user-name")).to_have_text("Alice Liddell")
    documents = [found for found in await visitor.seen.own_exchanges() if found.path == "/"]
    assert [found.status for found in documents] == [200, 200]
    assert "__Host-Http-bff=" not in documents[-1].sent.get("cookie", "")
    asked = await visitor.seen.own_exchanges("/bff/user")
    assert [found.status for found in asked[:2]] == [401, 200]
    assert "__Host-Http-bff=" in asked[1].sent["cookie"]


async def test_a_deep_link_survives_the_login(visitor: Visitor, installation: Installation) -> None:
    """A browser that opens `/session` logged out is at `/session` after the login."""
    page = await visitor.open("/session?tab=1#end")
    await expect(page.get_by_text("and come back to /session")).to_be_visible()
    await visitor.start_login(page)
    await visitor.finish_login(page)
    await expect(page.get_by_test_id("session")).to_be_visible()
    assert page.url == f"{installation.public_url}/session?tab=1#end"
    await expect(page.get_by_test_id("note-form")).to_be_hidden()


async def test_a_note_is_added_listed_and_deleted(visitor: Visitor) -> None:
    """Reading and changing methods pass the gateway with the user's token."""
    page = await visitor.log_in("alice", "/notes")
    await add_note(page, "buy <b>milk</b>")
    note = page.get_by_test_id("note").filter(has_text="buy <b>milk</b>")
    await expect(note).to_contain_text("alice")
    await page.reload()
    await note.get_by_test_id("note-delete").click()
    await expect(note).to_have_count(0)
    assert await visitor.notes(page) == []


@pytest.mark.rule("PX-18")
async def test_the_api_s_own_403_is_shown_and_does_not_log_out(visitor: Visitor) -> None:
    """An API that says no is something else than a session that has ended."""
    page = await visitor.log_in("alice", "/notes")
    await page.get_by_test_id("forbidden").click()
    result = page.get_by_test_id("forbidden-result")
    await expect(result).to_contain_text("HTTP 403")
    await expect(result).to_contain_text("insufficient_scope")
    await expect(page.get_by_test_id("problem")).to_be_hidden()
    await expect(page.get_by_test_id("user-sub")).to_have_text("alice")


@pytest.mark.rule("PX-22")
async def test_the_vault_is_opened_after_a_second_step(visitor: Visitor) -> None:
    """The API's challenge leads to a stronger login, and the page then sends its call again."""
    page = await visitor.log_in("alice", "/notes")
    await page.get_by_test_id("vault").click()
    await expect(page.get_by_label("Second step")).to_be_visible()
    await visitor.finish_login(page)
    await expect(page.get_by_test_id("vault-result")).to_have_text("The vault is open.")
    await expect(page.get_by_test_id("user-acr")).to_have_text("urn:demo:acr:strong")
    assert page.url.endswith("/notes")


async def test_bob_may_read_but_not_write(visitor: Visitor) -> None:
    """The token that the gateway adds is the user's own, with that user's scope."""
    page = await visitor.log_in("bob", "/notes")
    await expect(page.get_by_test_id("user-name")).to_have_text("Bob Baumeister")
    await add_note(page, "from bob")
    problem = page.get_by_test_id("problem")
    await expect(problem).to_contain_text("does not carry the scope")
    await expect(problem).to_contain_text("HTTP 403")
    assert "from bob" not in await visitor.notes(page)
    await expect(page.get_by_test_id("user-sub")).to_have_text("bob")


@pytest.mark.rule("TK-06")
async def test_a_refresh_is_not_felt(visitor: Visitor, installation: Installation) -> None:
    """While the page works on, its access token counts down and is replaced: every call succeeds,
    nothing is shown but the count, and no refresh token is spent twice."""
    before = await installation.op_stats()
    page = await visitor.log_in("alice", "/session")
    life, count = page.get_by_test_id("token-life"), page.get_by_test_id("refresh-count")
    seen_seconds: list[int] = []

    async def has_refreshed() -> bool:
        seen_seconds.append(int(await life.get_attribute("data-seconds") or "-1"))
        await page.get_by_test_id("call-me").click()
        return await count.inner_text() != "0"

    async def has_worked_on() -> bool:
        calls = await visitor.seen.own_exchanges("/api/")
        return await has_refreshed() and len(calls) > 5 and min(seen_seconds) < max(seen_seconds)

    await until(has_worked_on, every=0.2)  # or the countdown stands still
    calls = await visitor.seen.own_exchanges("/api/")
    assert {found.status for found in calls} == {200}
    assert max(seen_seconds) <= ACCESS_TOKEN_SECONDS
    await expect(page.get_by_test_id("session-log")).to_contain_text("refreshed the access token")
    await expect(page.get_by_test_id("problem")).to_be_hidden()
    after = await installation.op_stats()
    assert after["refreshes"] > before["refreshes"]
    assert after["reuse_detected"] == before["reuse_detected"] == 0


@pytest.mark.rule("CK-08")
@pytest.mark.rule("SE-06")
async def test_logout_takes_the_cookie_out_of_the_jar_and_its_worth(
    visitor: Visitor, installation: Installation
) -> None:
    """A deletion that breaks the rules of the `__Host-` prefix would be ignored by the browser.
    The API answers 401 then, also to a copy of the cookie; the OP asks for a password again."""
    page = await visitor.log_in("alice")
    copied = await visitor.session_cookie()
    assert copied is not None
    await page.get_by_test_id("logout").click()
    await expect(page.get_by_test_id("login")).to_be_visible()
    assert page.url.startswith(f"{installation.public_url}/")
    await expect(page.get_by_test_id("user-name")).to_be_hidden()
    assert await visitor.session_cookie() is None
    assert await visitor.fetch_status(page, "/api/notes") == 401
    assert await visitor.fetch_status(page, "/api/notes", method="POST", json={"text": "x"}) == 401
    await visitor.put_back(copied)
    assert await visitor.session_cookie() is not None
    assert await visitor.fetch_status(page, "/api/notes") == 401
    await visitor.start_login(page)
    await visitor.finish_login(page, "bob")
    await expect(page.get_by_test_id("user-name")).to_have_text("Bob Baumeister")
