"""One user, several tabs and devices: what happens to a session shows where it should, in every
engine."""

import pytest

from tests.e2e.engines.other_device import logged_in_device
from tests.e2e.engines.person import CLIENT_PAGE, DEVICE, LOGIN, LOGOUT, PROBLEM, USER, Person
from tests.e2e.engines.webdriver import Tab
from tests.parts.caddy_server import CaddyServer
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def has_heard(client: Tab, kind: str, *, times: int = 1) -> None:
    """Wait until the browser client has told the page of so many events of a kind."""
    script = "return window.sessionEvents.filter((event) => event.type === args[0]).length;"

    async def is_heard() -> bool:
        return bool(await client.run(script, kind) >= times)

    await until(is_heard, every=0.1)


async def heard(client: Tab, kind: str) -> list[dict[str, object]]:
    script = "return window.sessionEvents.filter((event) => event.type === args[0]);"
    return [dict(event) for event in await client.run(script, kind)]


@pytest.mark.rule("SE-07")
async def test_devices_are_listed_and_ended(person: Person, https_front: CaddyServer) -> None:
    """One, then all others; and this one from elsewhere, which its page is told at once."""
    await person.log_in("carol")
    client = await person.open_client()
    await client.run("await bff.devices.endOthers();")  # of the test in another engine
    tls = https_front.tls() if person.site.public_url.startswith("https:") else None
    async with (
        logged_in_device(person.site, "carol", tls=tls) as first,
        logged_in_device(person.site, "carol", tls=tls) as second,
    ):
        devices = await client.run("return bff.devices.list();")
        others = [device for device in devices if not device["current"]]
        assert (len(devices), len(others)) == (3, 2)
        assert await client.run("return bff.devices.end(args[0]);", others[0]["id"]) is True
        assert await client.run("return bff.devices.end(args[0]);", others[0]["id"]) is False
        statuses = [(await one.fetch("GET", "/bff/user")).status for one in (first, second)]
        assert sorted(statuses) == [200, 401]
        assert await client.run("return bff.devices.endOthers();") == 1
        statuses = [(await one.fetch("GET", "/bff/user")).status for one in (first, second)]
        assert statuses == [401, 401]
        assert (await client.run("return bff.user();"))["sub"] == "carol"

    await has_heard(client, "session")
    async with logged_in_device(person.site, "carol", tls=tls) as elsewhere:
        assert (await elsewhere.fetch("DELETE", "/bff/sessions")).status == 200
    await has_heard(client, "ended")
    assert [event["reason"] for event in await heard(client, "ended")] == ["ended_by_user"]
    assert await client.run("return bff.user();") is None


@pytest.mark.rule("TK-06")
async def test_a_refresh_is_not_felt(at_http: Person) -> None:
    """Every call of a page that works on succeeds, and the token behind it changes."""
    await at_http.log_in("alice")
    client = await at_http.open_client()
    me = "const answer = await bff.fetch('/api/me'); return [answer.status, await answer.json()];"
    first = await client.run(me)
    expiries = [first[1]["exp"]]

    async def has_changed_twice() -> bool:
        status, token = await client.run(me)
        assert status == 200
        expiries.append(token["exp"])
        return len(set(expiries)) >= 3

    await until(has_changed_twice, every=0.2)
    await has_heard(client, "refreshed", times=2)
    assert await heard(client, "ended") == []


@pytest.mark.rule("AZ-05")
async def test_two_tabs_log_in_and_the_logout_of_one_is_seen_in_the_other(person: Person) -> None:
    """Started in both, finished one after the other: each comes back to its own page."""
    first, second = await person.open("/session?tab=1#end"), await person.open("/notes")
    await person.start_login(first)
    await person.start_login(second)
    await person.finish_login(second)
    await second.expect_text(USER, "alice")
    await person.finish_login(first)
    await first.expect_text(USER, "alice")
    assert await first.url() == f"{person.site.public_url}/session?tab=1#end"
    assert await second.url() == f"{person.site.public_url}/notes"

    await first.click(LOGOUT)
    await first.expect_shown(LOGIN)
    await second.expect_text(PROBLEM, "You logged out in another tab")
    await second.expect_hidden(USER)
    await first.expect_hidden(PROBLEM)


# Holds the page's questions about devices: before they are sent, or before the answer is delivered.
HOLD = """
  const network = window.fetch;
  const isFree = new Promise((resolve) => { window.letGo = resolve; });
  window.held = [];
  window.fetch = (request) => {
    if (new URL(request.url).pathname !== '/bff/sessions') return network(request);
    const answer = args[0] === 'sending'
      ? isFree.then(() => network(request))
      : network(request).then(async (answer) => { await isFree; return answer; });
    window.held.push(answer);
    return answer;
  };
"""
# Returns when the page has had the answers, and what it does with them has come to rest.
LET_GO = """
  window.letGo();
  const answers = await Promise.all(window.held);
  while (answers.some((answer) => answer.ok && !answer.bodyUsed)) await new Promise(setTimeout);
  await new Promise((resolve) => { setTimeout(resolve, 0); });
  return answers.map((answer) => answer.status);
"""


@pytest.mark.parametrize(("what", "status"), [("sending", 401), ("delivery", 200)])
async def test_what_was_asked_before_a_logout_shows_nothing_after_it(
    person: Person, what: str, status: int
) -> None:
    """Neither its 401, which knows no reason for the end, nor the user's data."""
    first, second = await person.log_in("alice"), await person.open("/session")
    await second.expect_text(USER, "alice")
    await second.expect_shown(DEVICE)
    await second.run(HOLD, what)
    await second.click("nav a[data-route=notes]")
    await second.run("while (!window.held.length) await new Promise(setTimeout);")
    await first.click(LOGOUT)
    await first.expect_shown(LOGIN)
    await second.expect_text(PROBLEM, "You logged out in another tab")
    assert set(await second.run(LET_GO)) == {status}
    await second.expect_text(PROBLEM, "You logged out in another tab")
    assert await second.run("return document.querySelectorAll(args[0]).length;", DEVICE) == 0


async def test_after_a_logout_the_back_button_shows_nothing_of_the_user(person: Person) -> None:
    """Not even for the moment in which a page that the browser has kept asks how things are."""
    page = await person.log_in("alice", "/notes")
    await page.open(f"{person.site.public_url}/session")
    await page.expect_text(USER, "alice")
    await page.run("""
      addEventListener('pageshow', (event) => {
        window.atReturn = [event.persisted, document.body.innerText];
      });
    """)
    await page.click(LOGOUT)
    await page.expect_shown(LOGIN)
    await page.back()
    await page.expect_url(f"{person.site.public_url}/session")
    at_return = await page.run("return window.atReturn ?? null;")
    assert at_return is None or "Alice" not in at_return[1]
    await page.expect_shown(LOGIN)
    await page.expect_hidden(USER)
    assert "Alice" not in (await page.text("body") or "")


async def test_pages_that_come_back_from_the_cache_hear_of_the_session_again(
    at_https: Person,
) -> None:
    """The client leaves the line of tabs when its page is left, and takes its place again."""
    await at_https.log_in("alice")
    client = await at_https.open_client()
    await has_heard(client, "session")
    await client.open(f"{at_https.site.public_url}/notes")
    await client.expect_text(USER, "alice")
    await client.back()
    await client.expect_url(at_https.site.public_url + CLIENT_PAGE)
    await client.expect_shown("#ready")
    await client.run("window.sessionEvents.length = 0;")
    await has_heard(client, "refreshed")
