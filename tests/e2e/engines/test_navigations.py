"""What browsers do by themselves around a single-page app: they reload its addresses, put service
workers in between, fetch links ahead, remember a scheme."""

import contextlib

import pytest

from tests.e2e.engines.person import LOGIN, LOGOUT, USER, Person
from tests.e2e.engines.test_core_flow import CALLS
from tests.e2e.engines.webdriver import Tab, WebDriverError
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")

# Addresses that routers of single-page apps make, as `location.pathname` has them.
DEEP_LINKS = (
    "/heroes;id=15",
    "/files/a%2Fb",
    "/x/50%25",
    "/a/%7Euser",
    "/users/john.doe",
    "/v/1.2.3",
)
RETURNED_TO = ("/heroes;id=15", "/files/a%2Fb", "/users/john.doe")
MISSING = "body[data-route=missing] main"


async def test_deep_links_are_the_app_s_page(person: Person) -> None:
    """Opened, reloaded, and come back to after a login: nothing of it is forwarded, so no rule of
    forwarding applies."""
    page = await person.log_in("alice")
    for path in (*DEEP_LINKS, "//x"):
        await page.open(person.site.public_url + path)
        await page.expect_text(MISSING, "There is no such page")
        await page.reload()
        await page.expect_text(MISSING, "There is no such page")
        assert await page.url() == person.site.public_url + path
    for path in RETURNED_TO:
        await page.leave_by(
            "location.assign('/bff/login?' + new URLSearchParams({ returnUrl: args[0] }));", path
        )
        await page.click("#consent button[value=allow]")
        await page.expect_text(MISSING, "There is no such page")
        assert await page.url() == person.site.public_url + path


async def install_worker(tab: Tab) -> None:
    """A worker that passes everything on, and the tab under its rule."""
    await tab.run("""
      await navigator.serviceWorker.register('/worker.js');
      await navigator.serviceWorker.ready;
      if (!navigator.serviceWorker.controller) {
        await new Promise((resolve) => {
          navigator.serviceWorker.addEventListener('controllerchange', resolve);
        });
      }
    """)


CONFIRM = "form button[type=submit], form button:not([type])"


async def confirm_if_asked(tab: Tab, own_page: str, then: str) -> None:
    """What Firefox sends for a navigation that a worker passes on is no different from a fetch, so
    the gateway asks, with a button."""

    async def is_there() -> bool:
        with contextlib.suppress(WebDriverError):  # one page is giving way to another
            if await tab.text(then) is not None:
                return True
            if own_page in await tab.url() and await tab.text(CONFIRM) is not None:
                await tab.click(CONFIRM)
        return False

    try:
        await until(is_there, every=0.1)
    except TimeoutError:
        page = await tab.text("body")
        raise AssertionError(f"no {then} at {await tab.url()}:\n{page}") from None


async def test_a_service_worker_that_passes_everything_on_changes_nothing(person: Person) -> None:
    """`respondWith(fetch(event.request))`: login, calls, deep links and logout are as before."""
    page = await person.open("/")
    await install_worker(page)
    await page.open(f"{person.site.public_url}/session")  # a reload may go past the worker
    assert await page.run("return navigator.serviceWorker.controller !== null;") is True
    await page.click(LOGIN)
    await confirm_if_asked(page, "/bff/login", "#login")
    await person.finish_login(page)
    await page.expect_text(USER, "alice")
    client = await person.open_client()
    assert await client.run("return navigator.serviceWorker.controller !== null;") is True
    assert [status for status, _ in await client.run(CALLS)] == [200, 200, 200, 200]
    await page.open(f"{person.site.public_url}/heroes;id=15")
    await page.expect_text(MISSING, "There is no such page")
    await page.open(f"{person.site.public_url}/session")
    await page.click(LOGOUT)
    # Without a hint, which only a certain navigation gets, the OP asks as well.
    await confirm_if_asked(page, "/bff/logout", f"{LOGIN}, #confirm-logout")
    assert await client.run("return bff.user();") is None


FETCH_AHEAD = """
  const ahead = args[0];
  const tries = {
    prefetch: () => new Promise((done) => {
      const link = document.createElement('link');
      Object.assign(link, { rel: 'prefetch', href: ahead, onload: done, onerror: done });
      if (!link.relList.supports('prefetch')) return done();
      document.head.append(link);
    }),
    image: () => new Promise((done) => {
      Object.assign(new Image(), { onload: done, onerror: done, src: ahead });
    }),
    fetch: () => fetch(ahead, { redirect: 'manual' }).catch(() => {}),
  };
  for (const make of Object.values(tries)) await make();
"""


async def test_a_logout_link_that_is_fetched_ahead_ends_nothing(person: Person) -> None:
    """Nor does a login link begin a login: only a navigation is the user's wish."""
    client = await person.open_client()
    await client.run(FETCH_AHEAD, "/bff/login")
    assert await client.cookies() == {}
    await person.log_in("alice")
    link = await client.run("return (await bff.user()).bff.logout_url;")
    await client.run(FETCH_AHEAD, link)
    assert (await client.run("return bff.user();"))["sub"] == "alice"
    await client.leave_by("location.assign(args[0]);", link)
    await client.expect_shown(LOGIN)


async def test_https_on_localhost_does_not_close_http_there(
    at_https: Person, at_http: Person
) -> None:
    """RFC 6797 section 8.3 knows no ports: a browser that has learnt to use https for `localhost`
    opens no other program's page there any more, such as another app's development server."""
    page = await at_https.open("/")
    await page.expect_shown(LOGIN)
    await page.open(f"{at_https.site.public_url}/bff/login")
    await page.expect_shown("#login")
    await page.open(f"{at_http.site.public_url}/")
    await page.expect_shown(LOGIN)
    assert (await page.url()).startswith(at_http.site.public_url)
