"""What every app does with the gateway: in every engine, over https and loopback plain http."""

import pytest

from tests.e2e.engines.person import LOGIN, LOGOUT, PROBLEM, USER, Person
from tests.e2e.installation import SESSION_COOKIE

pytestmark = pytest.mark.asyncio(loop_scope="package")

CALLS = """
  const results = [];
  for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
    const body = method === 'POST' || method === 'PUT' ? 'ä body' : undefined;
    const answer = await window.bff.fetch('/api/test/seen', { method, body });
    results.push([answer.status, await answer.json()]);
  }
  return results;
"""


@pytest.mark.rule("CK-05")
async def test_login_calls_and_logout(person: Person) -> None:
    """The cookie is kept under the name that belongs to the scheme; every method passes with the
    token and without the cookie; after the logout nothing is left of either."""
    page = await person.log_in("alice")
    client = await person.open_client()
    cookies = await client.cookies()
    name = SESSION_COOKIE if person.site.public_url.startswith("https:") else "bff"
    assert set(cookies) == {name, f"{name}-login"}
    assert cookies[name]["httpOnly"] is True
    assert cookies[name]["sameSite"] == "Strict"
    assert await client.run("return document.cookie;") == ""
    assert await client.run(CALLS) == [
        [200, {"method": method, "body": body, "has_token": True, "has_cookie": False}]
        for method, body in (("GET", ""), ("POST", "ä body"), ("PUT", "ä body"), ("DELETE", ""))
    ]

    await page.click(LOGOUT)
    await page.expect_shown(LOGIN)
    await page.expect_hidden(USER)
    await page.expect_hidden(PROBLEM)
    assert name not in await client.cookies()
    call = "try { await bff.fetch('/api/test/seen'); } catch (error) { return error.name; }"
    assert await client.run(call) == "NotAuthenticatedError"
