"""Signed authorization requests (RFC 9101) at an OP that verifies them: logins of a client with a
secret, what a browser can change on the way, the change of keys, `bff check` and `bff register`.

The demo OP wants the JWT of the client's own key, for itself, for an hour at most, and of the type
that is no client assertion.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest
from joserfc import jwt

from bff.clock import ManualClock
from bff.config.values.files import load_client_key
from bff.oidc.client_auth.keys import signed_jwt
from tests.flows.logins import log_in
from tests.flows.registering import Place, before_registration
from tests.flows.test_check import check
from tests.flows.test_cli import FAILED, VALID
from tests.flows.test_client_authentication import public_set
from tests.flows.test_pushed_requests import authorization_url
from tests.flows.test_register import demo_op
from tests.parts.browser import Browser
from tests.parts.client_keys import key_file
from tests.parts.command import bff
from tests.parts.configuration import CLIENT_ID, CLIENT_SECRET
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack


@asynccontextmanager
async def signing(
    *files: Path,
    op: str = "required",
    par: str = "off",
    oidc: str = 'request_object = "signed"',
    clock: ManualClock | None = None,
) -> AsyncIterator[Stack]:
    """An installation with these client keys and a secret; the OP knows their public halves."""
    keys = f"client_keys = {json.dumps([str(file) for file in files])}" if files else ""
    async with running_stack(
        oidc=f"{oidc}\n{keys}",
        op={"request_objects": op, "par": par, "client": {"jwks": public_set(*files)}},
        clock=clock,
    ) as stack:
        yield stack


@pytest.mark.rule("FP-14")
@pytest.mark.parametrize("kind", ["P-256", "RSA-2048", "Ed25519"])
@pytest.mark.parametrize("par", ["off", "required"])
async def test_a_session_from_login_to_logout_with_signed_requests(
    tmp_path: Path, kind: str, par: str
) -> None:
    async with (
        signing(key_file(tmp_path / "key.pem", kind), par=par) as stack,
        Browser() as browser,
    ):
        url = await authorization_url(stack, browser, "?login_hint=alice")
        names = [name for name, _ in parse_qsl(urlsplit(url).query)]
        by_value = ["response_type", "client_id", "scope", "request"]
        assert names == (["client_id", "request_uri"] if par == "required" else by_value)
        await log_in(browser, stack)
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["sub"] == "alice"
        await browser.navigate(user["bff"]["logout_url"])
        assert (await browser.fetch("GET", "/bff/user")).status == 401


@pytest.mark.rule("FP-14")
async def test_what_stands_beside_the_jwt_changes_nothing(tmp_path: Path) -> None:
    """RFC 9101 section 5: the OP reads the parameters in it alone."""
    async with signing(key_file(tmp_path / "key.pem")) as stack, Browser() as browser:
        url = await authorization_url(stack, browser, "?login_hint=alice")
        evil = urlencode({"redirect_uri": "https://evil.example/", "state": "x", "nonce": "y"})
        page = await browser.log_in_at_op(await browser.navigate(f"{url}&{evil}"), "alice")
        assert urlsplit(page.url).netloc == urlsplit(stack.public_url).netloc
        assert (await browser.fetch("GET", "/bff/user")).json()["sub"] == "alice"


@dataclass
class Asking:
    """A request as the gateway has made it, for changes to it on the way."""

    url: str
    key_file: Path

    def fields(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    def changed(
        self, *, file: Path | None = None, typ: str = "oauth-authz-req+jwt", **claims: object
    ) -> str:
        """Signed again with other claims; a None takes one out."""
        own, other = load_client_key(self.key_file), load_client_key(file or self.key_file)
        given = jwt.decode(self.fields()["request"], own.material, ["ES256"]).claims
        named = {name: v for name, v in {**given, **claims}.items() if v is not None}
        return self.with_request(signed_jwt("ES256", other.material, own.kid, named, typ=typ))

    def with_request(self, signed: str) -> str:
        endpoint = self.url.partition("?")[0]
        return f"{endpoint}?{urlencode({**self.fields(), 'request': signed})}"


async def test_the_op_of_these_tests_takes_no_other_than_the_client_s(tmp_path: Path) -> None:
    """Or the tests would show nothing."""
    clock = ManualClock()
    file, other = (key_file(tmp_path / name) for name in ("key.pem", "other.pem"))
    async with (
        signing(file, clock=clock) as stack,
        Browser() as browser,
        aiohttp.ClientSession() as http,
    ):

        async def status(url: str) -> int:
            async with http.get(url, allow_redirects=False) as answer:
                return answer.status

        asking = Asking(await authorization_url(stack, browser), file)
        assert await status(asking.url) == 303
        assert await status(asking.changed()) == 303
        now = int(clock.now())
        refused: dict[str, str] = {
            "another signer": asking.changed(file=other),
            "a client assertion": asking.changed(typ="JWT"),
            "another OP's": asking.changed(aud="https://other.example"),
            "another issuer": asking.changed(iss="other"),
            "another client": asking.changed(client_id="other"),
            "with a subject": asking.changed(sub=CLIENT_ID),
            "nested": asking.changed(request="x"),
            "over": asking.changed(exp=now),
            "without an end": asking.changed(exp=None),
            "for too long": asking.changed(exp=now + 4000),
            "not yet valid": asking.changed(nbf=now + 60),
            "another scope beside it": asking.changed(scope="openid"),
            "unsigned": asking.url.partition("&request=")[0],
            "no JWT": asking.with_request("x.y.z"),
        }
        assert {why: await status(url) for why, url in refused.items()} == dict.fromkeys(
            refused, 400
        )
        form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "request": "x.y.z"}
        async with http.post(f"{stack.issuer}/par", data=form) as answer:
            assert answer.status == 404, "it offers no push here"


@pytest.mark.rule("FP-14")
async def test_a_pushed_request_that_the_op_refuses_is_no_login(tmp_path: Path) -> None:
    """The OP knows another key: nothing goes out in another way."""
    ours, theirs = (key_file(tmp_path / name) for name in ("ours.pem", "theirs.pem"))
    async with (
        signing(theirs, par="offered") as stack,
        stack.restarted((str(theirs), str(ours))),
        Browser() as browser,
    ):
        page = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
        assert (page.status, "login_refused" in page.text) == (502, True)
        assert "Location" not in page.headers


@pytest.mark.rule("FP-14")
async def test_keys_are_changed_with_overlap(tmp_path: Path) -> None:
    """And their public halves are served, of a client that has a secret as well."""
    old, new = (key_file(tmp_path / name) for name in ("old.pem", "new.pem"))
    async with signing(old, new) as stack, Browser() as browser:
        await log_in(browser, stack)
        before = json.dumps([str(old), str(new)])
        async with stack.restarted((before, json.dumps([str(new)]))):
            await log_in(browser, stack)
            async with aiohttp.ClientSession() as http:
                served = await http.get(f"{stack.public_url}/bff/jwks")
                assert await served.json(content_type=None) == public_set(new)


@pytest.mark.rule("FP-14")
@pytest.mark.parametrize(
    ("op", "oidc"),
    [("off", 'request_object = "signed"'), ("required", "")],
    ids=["ours", "theirs"],
)
async def test_no_login_begins_where_requests_must_be_signed_and_cannot_be(
    tmp_path: Path, op: str, oidc: str
) -> None:
    files = [key_file(tmp_path / "key.pem")] if oidc else []
    async with signing(*files, op=op, oidc=oidc) as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
        assert page.status == 503
        assert "Location" not in page.headers


async def test_without_the_setting_the_request_is_as_it_was(tmp_path: Path) -> None:
    async with signing(op="offered", oidc="") as stack, Browser() as browser:
        fields = dict(parse_qsl(urlsplit(await authorization_url(stack, browser)).query))
        assert "code_challenge" in fields
        assert "request" not in fields


@pytest.mark.parametrize(
    ("op", "oidc", "said", "code"),
    [
        (
            "offered",
            'request_object = "signed"',
            "✓ OP            authorization requests are signed (RFC 9101) with ES256, kid",
            VALID,
        ),
        (
            "off",
            'request_object = "signed"',
            '✗ OP            oidc.request_object is "signed", but request_parameter_supported is f',
            FAILED,
        ),
        (
            "required",
            "",
            '✗ OP            oidc.request_object is "off", but require_signed_request_object is t',
            FAILED,
        ),
    ],
)
async def test_the_check_says_whether_requests_are_signed(
    tmp_path: Path, op: str, oidc: str, said: str, code: int
) -> None:
    files = [key_file(tmp_path / "key.pem")] if oidc else []
    async with signing(*files, op=op, oidc=oidc) as stack:
        listen = f'listen = "127.0.0.1:{stack.ports.gateway}"'
        text = stack.toml.replace(listen, f'listen = "127.0.0.1:{free_port()}"', 1)
        (tmp_path / "bff.toml").write_text(text)
        result = await check(tmp_path / "bff.toml")
    assert any(line.startswith(said) for line in result.out.splitlines()), result.out
    if code == FAILED:
        assert result.code == FAILED
    else:
        assert result.line("✓ redirect URI")
        assert "client_secret_basic, kid" not in result.out


async def test_a_client_that_signs_its_requests_is_registered(tmp_path: Path) -> None:
    """With the public half beside a secret; from then on the OP takes nothing unsigned of it."""
    key_file(tmp_path / "key.pem")
    signs = 'request_object = "signed"\nclient_keys = ["key.pem"]\n'
    oidc = f"[oidc]\n{signs}"
    async with demo_op(tmp_path, oidc=oidc, request_objects="offered") as place:
        result = await place.register()
        assert result.code == VALID, result.out
        registration = place.registration()
        assert registration is not None
        assert registration.client.must_sign_requests
        assert registration.metadata["jwks"] == public_set(tmp_path / "key.pem")
        assert (await place.run("--read")).code == VALID
        assert await _is_checked(place, signs) == VALID
        assert await _is_checked(place, "") == FAILED


async def _is_checked(place: Place, lines: str) -> int:
    """The exit code of `bff check` with the registered client and these lines."""
    text = before_registration(place.ports, place.text("oidc.toml") + lines)
    (place.folder / "bff.toml").write_text(text)
    return (await bff("check", cwd=place.folder)).code
