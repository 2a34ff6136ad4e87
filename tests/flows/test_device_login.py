"""Login by device code (RFC 8628): what the browser that began it gets, and what no other browser
does. The demo OP gives tokens for each device code once, and asks clients that come too early to
slow down.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.flows.test_check import check
from tests.flows.test_cli import FAILED
from tests.parts.browser import DEMO_PASSWORDS, Browser
from tests.parts.browser_pages import Page
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack
from tests.parts.written_log import written_log
from tests.polling import until

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
ON = "device_login = true"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def device_stack(clock: ManualClock, **more: Any) -> AsyncIterator[Stack]:
    async with running_stack(**{"oidc": ON, "clock": clock, **more}) as stack:
        yield stack


async def begin(browser: Browser, stack: Stack) -> dict[str, Any]:
    """What a television's page is told."""
    await browser.navigate(stack.public_url)
    page = await browser.fetch("POST", "/bff/device")
    assert page.status == 200, page.text
    begun: dict[str, Any] = page.json()
    return begun


async def decide(
    user: Browser, begun: dict[str, Any], decision: str = "allow", name: str = "alice"
) -> Page:
    """The user, at another device."""
    page = await user.navigate(begun["verification_uri_complete"])
    values = {"username": name, "password": DEMO_PASSWORDS[name]}
    return await user.submit(page.form("device"), values, button=decision)


async def poll(browser: Browser, begun: dict[str, Any], clock: ManualClock) -> Page:
    """Ask when the OP may be asked."""
    clock.advance(begun["interval"])
    return await browser.fetch("GET", begun["status_url"])


@pytest.mark.rule("DL-01")
async def test_the_browser_that_began_gets_the_session_of_the_user_who_allowed_it() -> None:
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv, Browser() as phone:
        begun = await begin(tv, stack)
        assert begun["user_code"] in begun["verification_uri_complete"]
        assert begun["verification_uri"] == f"{stack.issuer}/device"
        assert (begun["interval"], begun["expires_in"]) == (5, 600)

        pending = await poll(tv, begun, clock)
        assert pending.status == 200
        assert pending.json() == {"status": "pending", "interval": 5, "expires_in": 595}
        assert "Set-Cookie" not in pending.headers

        assert "Go on at your device" in (await decide(phone, begun)).text
        done = await poll(tv, begun, clock)
        assert (done.status, done.json()) == (200, {"status": "complete"})
        assert (await tv.fetch("GET", "/bff/user")).json()["sub"] == "alice"
        assert (await tv.fetch("GET", "/api/notes")).status == 200
        await phone.navigate(stack.public_url)
        assert (await phone.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("DL-01")
async def test_a_second_browser_with_copied_values_gets_nothing_and_ends_nothing() -> None:
    clock = ManualClock()
    async with (
        device_stack(clock) as stack,
        Browser() as tv,
        Browser() as other,
        Browser() as phone,
    ):
        begun = await begin(tv, stack)
        await decide(phone, begun)
        await begin(other, stack)  # it has a binder cookie of its own
        asked = stack.op.token_requests[GRANT]
        refused = await poll(other, begun, clock)
        assert (refused.status, refused.json()["code"]) == (400, "login_browser_mismatch")
        assert "bff=" not in refused.headers.get("Set-Cookie", "")
        assert stack.op.token_requests[GRANT] == asked
        async with Browser() as bare:
            await bare.navigate(stack.public_url)
            assert (await bare.fetch("GET", begun["status_url"])).status == 400

        assert (await poll(tv, begun, clock)).json()["status"] == "complete"


@pytest.mark.rule("DL-02")
async def test_a_login_is_had_once() -> None:
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv, Browser() as phone:
        begun = await begin(tv, stack)
        await decide(phone, begun)
        assert (await poll(tv, begun, clock)).status == 200
        asked = stack.op.token_requests[GRANT]
        again = await poll(tv, begun, clock)
        assert (again.status, again.json()["code"]) == (400, "login_expired")
        assert stack.op.token_requests[GRANT] == asked


@pytest.mark.rule("DL-03")
async def test_the_op_is_asked_as_often_as_it_allows_and_no_more() -> None:
    """However often the browser asks: each of these ten is answered from what is known."""
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv:
        begun = await begin(tv, stack)
        for _ in range(10):
            page = await tv.fetch("GET", begun["status_url"])
            assert page.json()["status"] == "pending"
        assert stack.op.token_requests[GRANT] == 0
        await poll(tv, begun, clock)
        for _ in range(10):
            await tv.fetch("GET", begun["status_url"])
        assert stack.op.token_requests[GRANT] == 1
        assert stack.op.token_errors["slow_down"] == 0


@pytest.mark.rule("DL-03")
async def test_slow_down_adds_five_seconds_for_good() -> None:
    """RFC 8628 section 3.5. The OP counts from when it was asked last, here by another client."""
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv:
        begun = await begin(tv, stack)
        assert (await poll(tv, begun, clock)).json()["interval"] == 5
        (device,) = stack.running_op.state.devices()
        device.next_poll_at = clock.now() + 60
        assert (await poll(tv, begun, clock)).json()["interval"] == 10
        asked = stack.op.token_requests[GRANT]
        assert (await poll(tv, begun, clock)).json()["interval"] == 10  # after 5 s: not asked
        assert stack.op.token_requests[GRANT] == asked
        assert (await poll(tv, begun, clock)).json()["interval"] == 10
        assert stack.op.token_requests[GRANT] == asked + 1


async def test_a_denial_ends_the_login() -> None:
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv, Browser() as phone:
        begun = await begin(tv, stack)
        assert "Access denied" in (await decide(phone, begun, "deny")).text
        denied = await poll(tv, begun, clock)
        assert (denied.status, denied.json()["code"]) == (403, "login_denied")
        assert (await poll(tv, begun, clock)).json()["code"] == "login_expired"
        assert (await tv.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("DL-02")
@pytest.mark.parametrize(
    ("op", "session"),
    [({"device_seconds": 30}, ""), ({}, 'login_timeout = "30s"')],
    ids=["the-op's", "ours"],
)
async def test_a_login_that_takes_too_long_is_over(op: dict[str, Any], session: str) -> None:
    """By the OP's time, or by `session.login_timeout`, whichever is shorter."""
    clock = ManualClock()
    async with (
        device_stack(clock, op=op, session=session) as stack,
        Browser() as tv,
        Browser() as phone,
    ):
        begun = await begin(tv, stack)
        assert begun["expires_in"] == 30
        assert (await poll(tv, begun, clock)).json()["expires_in"] == 25
        await decide(phone, begun)
        clock.advance(25)
        late = await tv.fetch("GET", begun["status_url"])
        assert (late.status, late.json()["code"]) == (400, "login_expired")


@pytest.mark.rule("DL-02")
async def test_a_login_whose_time_ends_while_the_op_is_asked_is_over() -> None:
    """The store refuses to keep a transaction with no time left."""
    clock = ManualClock()

    def prepare(op: web.Application) -> None:
        @web.middleware
        async def answer_late(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == "/token":
                clock.advance(30)
                return web.json_response({"error": "slow_down"}, status=400)
            return await handler(request)

        op.middlewares.append(answer_late)

    timeout = 'login_timeout = "30s"'
    async with device_stack(clock, session=timeout, prepare_op=prepare) as stack, Browser() as tv:
        begun = await begin(tv, stack)
        late = await poll(tv, begun, clock)
        assert (late.status, late.json()["code"]) == (400, "login_expired")


async def test_an_op_that_forgets_the_code_ends_the_login() -> None:
    """It was restarted: `invalid_grant`."""
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv:
        begun = await begin(tv, stack)
        stack.running_op.state.forget_devices()
        assert (await poll(tv, begun, clock)).json()["code"] == "login_expired"


@pytest.mark.rule("DL-04")
async def test_an_op_that_is_away_for_a_while_ends_no_login() -> None:
    """RFC 8628 section 3.5: it is asked half as often after each failure."""
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv, Browser() as phone:
        begun = await begin(tv, stack)
        await decide(phone, begun)
        await stack.op_server.stop()
        waits = []
        for wait in (5, 10, 20, 40, 60):
            clock.advance(wait)
            answer = (await tv.fetch("GET", begun["status_url"])).json()
            assert answer["status"] == "pending"
            waits.append(answer["interval"])
        assert waits == [10, 20, 40, 60, 60]
        await stack.op_server.start()
        clock.advance(60)
        done = await tv.fetch("GET", begun["status_url"])
        assert done.json()["status"] == "complete"


@pytest.mark.rule("DL-04")
async def test_an_op_that_rejects_the_gateway_ends_no_login() -> None:
    """The user has done nothing wrong: the login goes on once an operator has mended it."""
    is_rejected = False

    def prepare(op: web.Application) -> None:
        @web.middleware
        async def reject(request: web.Request, handler: Handler) -> web.StreamResponse:
            if is_rejected and request.path == "/token":
                return web.json_response({"error": "invalid_client"}, status=401)
            return await handler(request)

        op.middlewares.append(reject)

    clock = ManualClock()
    async with (
        device_stack(clock, prepare_op=prepare) as stack,
        Browser() as tv,
        Browser() as phone,
    ):
        begun = await begin(tv, stack)
        await decide(phone, begun)
        is_rejected = True
        with written_log() as log:
            pending = await poll(tv, begun, clock)
        assert (pending.status, pending.json()["status"]) == (200, "pending")
        (told,) = log.of("device_login_delayed")
        assert (told["code"], told["level"]) == ("op_client_rejected", "error")
        assert pending.json()["interval"] == 30
        is_rejected = False
        clock.advance(30)
        assert (await tv.fetch("GET", begun["status_url"])).json()["status"] == "complete"


@pytest.mark.rule("DL-02")
async def test_a_poll_that_hangs_up_takes_nothing_from_one_that_waits_for_the_same() -> None:
    """The page asks again when its connection breaks."""
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    def prepare(op: web.Application) -> None:
        @web.middleware
        async def hold(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == "/token":
                is_asked.set()
                await may_answer.wait()
            return await handler(request)

        op.middlewares.append(hold)

    clock = ManualClock()
    async with (
        device_stack(clock, prepare_op=prepare) as stack,
        Browser() as tv,
        Browser() as phone,
        ClientSession() as http,
    ):

        async def in_flight() -> int:
            async with http.get(f"{stack.admin_url}/metrics") as answer:
                text = await answer.text()
            (line,) = (x for x in text.splitlines() if x.startswith("bff_requests_in_flight"))
            return int(float(line.split()[-1]))

        async def are_in_flight(number: int) -> None:
            async def reached() -> bool:
                return await in_flight() == number

            await until(reached)

        begun = await begin(tv, stack)
        await decide(phone, begun)
        await are_in_flight(0)
        first = asyncio.create_task(poll(tv, begun, clock))
        await is_asked.wait()
        second = asyncio.create_task(tv.fetch("GET", begun["status_url"]))
        await are_in_flight(2)
        first.cancel()
        await are_in_flight(1)
        may_answer.set()
        assert (await second).json() == {"status": "complete"}
        assert stack.op.token_requests[GRANT] == 1
        assert (await tv.fetch("GET", "/bff/user")).json()["sub"] == "alice"
        assert len(stack.running_op.state.active_families()) == 1


@pytest.mark.rule("DL-04")
async def test_any_process_goes_on_with_it_and_one_asks_at_a_time(
    redis_server: RedisServer,
) -> None:
    """Also one that was started after it began: all of it is in the store."""
    clock = ManualClock()
    async with (
        device_stack(clock, store=redis_server.url, op={"device_interval": 1}) as stack,
        Browser() as tv,
        Browser() as phone,
    ):
        begun = await begin(tv, stack)
        await stack.gateway.stop()
        async with stack.replica() as one, stack.replica() as two:
            host = {"Host": f"localhost:{stack.ports.gateway}"}
            held = tv.cookies.header(stack.public_url, same_site=True, top_level_get=False)
            cookie = {"Cookie": held or ""}

            async def ask(origin: str) -> Page:
                url = f"{origin}{begun['status_url']}"
                headers = {**host, **cookie, "Sec-Fetch-Site": "same-origin"}
                return await tv.fetch("GET", url, headers=headers)

            async def asked_once() -> list[Page]:
                """Until the lease of the time before, of a second, has lapsed."""
                clock.advance(begun["interval"])
                before = stack.op.token_requests[GRANT]
                while stack.op.token_requests[GRANT] == before:
                    pages = await asyncio.gather(*(ask(one) for _ in range(5)), ask(two), ask(two))
                assert stack.op.token_requests[GRANT] == before + 1
                return pages

            assert {page.json()["status"] for page in await asked_once()} == {"pending"}
            await decide(phone, begun)
            pages = await asked_once()
            cookies = {page.headers.get("Set-Cookie") for page in pages if page.status == 200}
            assert len(cookies - {None}) == 1
        assert len(stack.running_op.state.active_families()) == 1


@pytest.mark.rule("DL-01")
async def test_beginning_is_guarded_as_what_changes_something_is() -> None:
    async with device_stack(ManualClock()) as stack, Browser() as tv:
        await tv.navigate(stack.public_url)
        assert (await tv.fetch("POST", "/bff/device", csrf=False)).status == 403
        foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await tv.fetch("POST", "/bff/device", headers=foreign)).status == 403
        assert (await tv.fetch("GET", "/bff/device")).status == 405
        begun = await begin(tv, stack)
        assert (await tv.fetch("GET", begun["status_url"], csrf=False)).status == 403


async def test_without_the_setting_there_is_no_such_endpoint() -> None:
    async with running_stack() as stack, Browser() as tv:
        await tv.navigate(stack.public_url)
        assert (await tv.fetch("POST", "/bff/device")).status == 404
        assert (await tv.fetch("GET", "/bff/device/abc")).status == 404


@pytest.mark.rule("DL-05")
async def test_how_many_may_begin_is_limited() -> None:
    """By client address as any login, and by browser: the oldest of too many is over."""
    clock = ManualClock()
    async with (
        device_stack(
            clock,
            session="logins_per_browser = 2",
            extra='[limits]\nlogins = "4/minute"\nfailed_callbacks = "3/minute"',
        ) as stack,
        Browser() as tv,
    ):
        begun = [await begin(tv, stack) for _ in range(4)]
        refused = await tv.fetch("POST", "/bff/device")
        assert (refused.status, refused.json()["code"]) == (429, "rate_limited")
        assert stack.op.requests["device_authorization"] == 4
        clock.advance(5)
        pages = [await tv.fetch("GET", one["status_url"]) for one in begun]
        assert [page.status for page in pages] == [400, 400, 200, 200]
        await tv.fetch("GET", "/bff/device/unknown")
        assert (await tv.fetch("GET", begun[3]["status_url"])).status == 429


@pytest.mark.rule("DL-01")
async def test_what_is_kept_for_one_way_of_logging_in_is_unknown_to_the_other() -> None:
    """The id of a login by device code is no `state` of a callback, nor the other way round."""
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv, Browser() as phone:
        begun = await begin(tv, stack)
        name = begun["status_url"].rpartition("/")[2]
        url = f"{stack.public_url}/bff/callback?state={name}&code=x&iss={stack.issuer}"
        assert (await tv.navigate(url, follow=False)).status in (400, 200)
        assert stack.op.token_requests["authorization_code"] == 0
        await decide(phone, begun)
        await tv.navigate(stack.public_url)
        assert (await poll(tv, begun, clock)).json()["status"] == "complete"


@pytest.mark.rule("SE-02")
async def test_the_session_takes_the_place_of_the_one_before() -> None:
    clock = ManualClock()
    async with device_stack(clock) as stack, Browser() as tv, Browser() as phone:
        await log_in(tv, stack, "bob")
        old = tv.cookies.get("bff")
        begun = await begin(tv, stack)
        await decide(phone, begun)
        await poll(tv, begun, clock)
        assert (await tv.fetch("GET", "/bff/user")).json()["sub"] == "alice"
        replayed = await tv.fetch("GET", "/bff/user", headers={"Cookie": f"bff={old}"})
        assert replayed.status == 401


async def test_a_user_keeps_to_the_limit_of_sessions() -> None:
    clock = ManualClock()
    async with (
        device_stack(clock, session="max_per_user = 1") as stack,
        Browser() as tv,
        Browser() as phone,
    ):
        await log_in(phone, stack, "alice")
        begun = await begin(tv, stack)
        await decide(phone, begun)
        assert (await poll(tv, begun, clock)).json()["status"] == "complete"
        await phone.navigate(stack.public_url)
        assert (await phone.fetch("GET", "/bff/user")).status == 401
        assert (await tv.fetch("GET", "/bff/user")).status == 200


@pytest.mark.parametrize("is_offered", [True, False])
async def test_the_check_says_whether_the_op_has_such_logins(
    tmp_path: Path, *, is_offered: bool
) -> None:
    async with running_stack(op={"device_login": is_offered}, oidc=ON) as stack:
        listen = f'listen = "127.0.0.1:{stack.ports.gateway}"'
        text = stack.toml.replace(listen, f'listen = "127.0.0.1:{free_port()}"', 1)
        (tmp_path / "bff.toml").write_text(text)
        result = await check(tmp_path / "bff.toml")
    told = "✓ OP            users may log in by device code"
    missing = "✗ OP            oidc.device_login is true, but there is no device_authorization"
    expected = told if is_offered else missing
    assert any(line.startswith(expected) for line in result.out.splitlines()), result.out
    assert (result.code == FAILED) == (not is_offered)
