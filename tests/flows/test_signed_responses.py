"""Signed authorization responses (JARM) of the demo OP: logins and their failures, together with
signed and pushed requests, and what `bff check` and `bff register` say and do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.flows.logins import log_in
from tests.flows.registering import before_registration
from tests.flows.test_check import check
from tests.flows.test_cli import FAILED, VALID
from tests.flows.test_client_authentication import public_set
from tests.flows.test_register import demo_op
from tests.parts.browser import Browser
from tests.parts.client_keys import key_file
from tests.parts.command import bff
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack

SIGNED = 'response_mode = "query.jwt"'


@asynccontextmanager
async def answering_signed(*, signs: bool = True, oidc: str = SIGNED) -> AsyncIterator[Stack]:
    async with running_stack(oidc=oidc, op={"signed_responses": signs}) as stack:
        yield stack


def callbacks(urls: list[str]) -> list[list[str]]:
    """The names of the parameters that came to the callback."""
    return [
        [name for name, _ in parse_qsl(urlsplit(url).query)]
        for url in urls
        if urlsplit(url).path == "/bff/callback"
    ]


@pytest.mark.rule("FP-15")
async def test_the_browser_brings_one_signed_parameter() -> None:
    async with answering_signed() as stack, Browser() as browser:
        login = await browser.navigate(f"{stack.public_url}/bff/login?returnUrl=/notes")
        page = await browser.log_in_at_op(login, "alice")
        assert page.url == f"{stack.public_url}/notes"
        assert callbacks([hop.url for hop in page.hops]) == [["response"]]
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["sub"] == "alice"
        await browser.navigate(user["bff"]["logout_url"])
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("FP-15")
async def test_what_goes_wrong_comes_signed_as_well() -> None:
    """A login that the user cancels, and a silent one without a session."""
    async with answering_signed() as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login")
        end = await browser.log_in_at_op(page, "alice", decision="cancel")
        assert (end.status, "login_denied" in end.text) == (403, True)
        assert callbacks([end.url]) == [["response"]]
    async with answering_signed() as stack, Browser() as browser:
        end = await browser.navigate(f"{stack.public_url}/bff/login?prompt=none&returnUrl=/quiet")
        assert end.url == f"{stack.public_url}/quiet?bff_error=login_required"


@pytest.mark.rule("FP-14")
@pytest.mark.rule("FP-15")
async def test_request_and_answer_are_signed_and_the_request_is_pushed(tmp_path: Path) -> None:
    """As FAPI 2.0 Message Signing has it."""
    file = key_file(tmp_path / "key.pem")
    client = {"auth_methods": frozenset({"private_key_jwt"}), "jwks": public_set(file)}
    oidc = f"""client_auth = "private_key_jwt"
client_keys = ["{file}"]
par = "required"
request_object = "signed"
{SIGNED}"""
    op = {
        "client": client,
        "par": "required",
        "request_objects": "required",
        "signed_responses": True,
    }
    async with running_stack(oidc=oidc, op=op) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("GET", "/bff/user")).json()["sub"] == "alice"


@pytest.mark.rule("FP-15")
async def test_no_login_begins_at_an_op_that_does_not_list_it() -> None:
    async with answering_signed(signs=False) as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
        assert page.status == 503
        assert "Location" not in page.headers


@pytest.mark.parametrize(
    ("signs", "oidc", "said", "code"),
    [
        (True, SIGNED, "✓ OP            its answers to logins have to be signed (JARM)", VALID),
        (True, "", "✓ redirect URI", VALID),
        (
            False,
            SIGNED,
            '✗ OP            oidc.response_mode is "query.jwt", but response_m',
            FAILED,
        ),
        (
            True,
            f'{SIGNED}\nid_token_algs = ["ES256"]',
            '✗ OP            oidc.response_mode is "query.jwt", but authorization_signing_alg_v',
            FAILED,
        ),
    ],
)
async def test_the_check_says_whether_answers_are_signed(
    tmp_path: Path, *, signs: bool, oidc: str, said: str, code: int
) -> None:
    async with answering_signed(signs=signs, oidc=oidc) as stack:
        listen = f'listen = "127.0.0.1:{stack.ports.gateway}"'
        text = stack.toml.replace(listen, f'listen = "127.0.0.1:{free_port()}"', 1)
        (tmp_path / "bff.toml").write_text(text)
        result = await check(tmp_path / "bff.toml")
    assert any(line.startswith(said) for line in result.out.splitlines()), result.out
    if code == FAILED:
        assert result.code == FAILED
    else:
        assert "is registered" in result.line("✓ redirect URI")


async def test_a_client_whose_answers_are_signed_is_registered(tmp_path: Path) -> None:
    """The demo OP signs by one algorithm and says nothing of it."""
    async with demo_op(tmp_path, oidc=f"[oidc]\n{SIGNED}\n", signed_responses=True) as place:
        shown = await place.register("--dry-run")
        assert '"authorization_signed_response_alg": "RS256"' in shown.out
        result = await place.register()
        assert result.code == VALID, result.out
        text = before_registration(place.ports, f"{place.text('oidc.toml')}{SIGNED}\n")
        (tmp_path / "bff.toml").write_text(text)
        checked = await bff("check", cwd=tmp_path)
        assert checked.code == VALID, checked.out
