"""Pushed authorization requests (RFC 9126): what the browser sees, and what happens when the OP
does not take one. The demo OP takes each reference once, within its life, from the client that it
gave it to.
"""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.flows.test_check import check
from tests.flows.test_cli import FAILED, VALID
from tests.parts.browser import Browser
from tests.parts.configuration import CLIENT_ID, CLIENT_SECRET
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack


async def authorization_url(stack: Stack, browser: Browser, query: str = "") -> str:
    """Where a login leads the browser first."""
    page = await browser.navigate(f"{stack.public_url}/bff/login{query}", follow=False)
    assert page.status == 302
    return page.headers["Location"]


@pytest.mark.rule("FP-01")
async def test_the_browser_sees_a_reference_and_nothing_else() -> None:
    async with running_stack(op={"par": "required"}) as stack, Browser() as browser:
        url = await authorization_url(stack, browser, "?login_hint=alice&max_age=60")
        fields = parse_qsl(urlsplit(url).query)
        assert [name for name, _ in fields] == ["client_id", "request_uri"]
        assert dict(fields)["client_id"] == CLIENT_ID
        for secret in ("alice", "code_challenge", "nonce", "state"):
            assert secret not in url


@pytest.mark.rule("FP-02")
async def test_each_login_pushes_a_request_of_its_own() -> None:
    """A reference serves once: two logins of one browser have two."""
    async with running_stack(op={"par": "offered"}) as stack, Browser() as browser:
        urls = {await authorization_url(stack, browser) for _ in range(3)}
        assert len(urls) == 3
        assert stack.op.requests["par"] == 3
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("FP-02")
async def test_the_op_of_these_tests_takes_a_reference_once_and_in_time() -> None:
    """Or the tests would show nothing: nor does it take one of another client, or none at all."""
    clock = ManualClock()
    async with (
        running_stack(op={"par": "required", "par_seconds": 60}, clock=clock) as stack,
        Browser() as browser,
        aiohttp.ClientSession() as http,
    ):

        async def status(url: str) -> int:
            async with http.get(url, allow_redirects=False) as answer:
                return answer.status

        used = await authorization_url(stack, browser)
        assert await status(used) == 303
        assert await status(used) == 400
        late = await authorization_url(stack, browser)
        clock.advance(61)
        assert await status(late) == 400
        other = (await authorization_url(stack, browser)).replace(
            f"client_id={CLIENT_ID}", "client_id=other"
        )
        assert await status(other) == 400
        assert await status(f"{stack.issuer}/authorize?client_id={CLIENT_ID}") == 400
        form = {"client_id": CLIENT_ID, "response_type": "code"}
        async with http.post(f"{stack.issuer}/par", data=form) as answer:
            assert answer.status == 401
        nested = {**form, "client_secret": CLIENT_SECRET, "request_uri": "urn:x"}
        async with http.post(f"{stack.issuer}/par", data=nested) as answer:
            assert answer.status == 400


async def test_without_par_the_request_goes_through_the_browser() -> None:
    async with (
        running_stack(op={"par": "offered"}, oidc='par = "off"') as stack,
        Browser() as browser,
    ):
        fields = dict(parse_qsl(urlsplit(await authorization_url(stack, browser)).query))
        assert "code_challenge" in fields
        assert "request_uri" not in fields
        assert stack.op.requests["par"] == 0


@pytest.mark.rule("FP-03")
@pytest.mark.parametrize(
    ("par", "op_par"), [("required", "off"), ("off", "required")], ids=["ours", "theirs"]
)
async def test_no_login_begins_where_par_is_required_and_cannot_be(par: str, op_par: str) -> None:
    """Ours: the OP has no endpoint. Theirs: `par = "off"` (RFC 9126 section 5)."""
    async with (
        running_stack(op={"par": op_par}, oidc=f'par = "{par}"') as stack,
        Browser() as browser,
    ):
        page = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
        assert page.status == 503
        assert "Location" not in page.headers


async def test_the_check_says_that_a_redirect_uri_is_not_registered(tmp_path: Path) -> None:
    """RFC 9126 section 2.3: the OP tells the client, no browser is needed."""
    async with running_stack(op={"par": "required"}) as stack:
        listen = f'listen = "127.0.0.1:{stack.ports.gateway}"'
        text = stack.toml.replace(listen, f'listen = "127.0.0.1:{free_port()}"', 1)
        (tmp_path / "bff.toml").write_text(text.replace("localhost:", "app.localhost:"))
        result = await check(tmp_path / "bff.toml")
    said = result.line("✗ redirect URI")
    assert "par: status 400" in said
    assert f"Register exactly http://app.localhost:{stack.ports.gateway}/bff/callback" in said


@pytest.mark.parametrize(
    ("par", "op_par", "said", "code"),
    [
        ("if-offered", "offered", "✓ OP            authorization requests are pushed", VALID),
        ("off", "offered", "✓ OP            authorization requests go through", VALID),
        ("required", "required", "✓ OP            authorization requests are pushed", VALID),
        ("required", "off", '✗ OP            oidc.par is "required", but pushed_', FAILED),
        ("off", "required", '✗ OP            oidc.par is "off", but require_pushed_', FAILED),
    ],
)
async def test_the_check_says_which_way_requests_take(
    tmp_path: Path, par: str, op_par: str, said: str, code: int
) -> None:
    async with running_stack(op={"par": op_par}) as stack:
        text = stack.toml.replace("[oidc]", f'[oidc]\npar = "{par}"')
        text = text.replace(
            f'listen = "127.0.0.1:{stack.ports.gateway}"', f'listen = "127.0.0.1:{free_port()}"', 1
        )
        (tmp_path / "bff.toml").write_text(text)
        result = await check(tmp_path / "bff.toml")
    assert any(line.startswith(said) for line in result.out.splitlines()), result.out
    if code == FAILED:
        assert result.code == FAILED
