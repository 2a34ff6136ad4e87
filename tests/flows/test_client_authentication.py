"""How the gateway proves itself to the OP, at an OP that verifies it: a whole life of a session,
the change of keys and of a secret without a restart, and what is published of the keys.

OIDC Core section 9, RFC 7521, RFC 7523; the demo OP wants the issuer alone as the audience, each
assertion once, and algorithms for keys only with keys.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from bff.clock import ManualClock, SystemClock
from bff.config.values.files import load_client_key
from bff.oidc.client_auth.methods import ASSERTION_TYPE, ClientAuth
from bff.oidc.provider.metadata import ProviderMetadata
from tests.flows.logins import log_in
from tests.flows.test_check import check, configuration
from tests.flows.test_cli import FAILED, VALID
from tests.parts.browser import Browser
from tests.parts.client_keys import key_file
from tests.parts.command import bff
from tests.parts.configuration import CLIENT_ID
from tests.parts.stack import Stack, running_stack

SECRET = "a-secret-that-is-long-enough-for-hmac-0123"


def public_set(*files: Path) -> dict[str, object]:
    return {"keys": [dict(load_client_key(file).public) for file in files]}


@asynccontextmanager
async def by_keys(
    *files: Path, known: tuple[Path, ...] | None = None, clock: ManualClock | None = None
) -> AsyncIterator[Stack]:
    """An installation with these client keys; the OP knows them, or those that are `known`."""
    listed = json.dumps([str(file) for file in files])
    client = {
        "auth_methods": frozenset({"private_key_jwt"}),
        "jwks": public_set(*(known or files)),
    }
    async with running_stack(
        oidc=f'client_auth = "private_key_jwt"\nclient_keys = {listed}',
        op={"client": client},
        clock=clock,
    ) as stack:
        yield stack


@pytest.mark.rule("FP-10")
@pytest.mark.parametrize("kind", ["P-256", "RSA-2048", "Ed25519"])
async def test_a_session_from_login_to_logout_with_a_key(tmp_path: Path, kind: str) -> None:
    """Code, refresh and revocation are each authenticated by an assertion of their own."""
    clock = ManualClock()
    file = key_file(tmp_path / "key.pem", kind)
    async with by_keys(file, clock=clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        clock.advance(61)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        assert stack.op.refreshes == 1
        user = (await browser.fetch("GET", "/bff/user")).json()
        await browser.navigate(user["bff"]["logout_url"])
        assert stack.op.revocations
        assert not stack.op.token_errors


@pytest.mark.rule("FP-10")
async def test_keys_are_changed_with_overlap(tmp_path: Path) -> None:
    """The new key is published beside the old one, then signs, then the old one goes: a session
    lives through all of it."""
    old, new = (key_file(tmp_path / name) for name in ("old.pem", "new.pem"))
    async with by_keys(old, new) as stack, Browser() as browser:
        await log_in(browser, stack)
        text = stack.toml
        listed = json.dumps([str(old), str(new)])
        assert listed in text
        async with stack.restarted((listed, json.dumps([str(new), str(old)]))):
            await log_in(browser, stack)
        async with stack.restarted((listed, json.dumps([str(new)]))):
            await log_in(browser, stack)
        assert not stack.op.token_errors


@pytest.mark.rule("FP-10")
async def test_only_public_halves_are_served(tmp_path: Path) -> None:
    """At `/bff/jwks`, and by `bff jwks`; the answer may be cached, and needs no session."""
    files = [key_file(tmp_path / f"{kind}.pem", kind) for kind in ("P-256", "RSA-2048", "Ed25519")]
    async with by_keys(*files) as stack, aiohttp.ClientSession() as http:
        answer = await http.get(f"{stack.public_url}/bff/jwks")
        assert answer.status == 200
        assert answer.content_type == "application/jwk-set+json"
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        served = await answer.json(content_type=None)
        head = await http.head(f"{stack.public_url}/bff/jwks")
        assert head.status == 200
        config = tmp_path / "bff.toml"
        config.write_text(stack.toml)
        printed = await bff("jwks", "--config", str(config), cwd=tmp_path)
        written = await bff(
            "jwks", "--config", str(config), "--output", str(tmp_path / "jwks.json"), cwd=tmp_path
        )
        shown = await bff("config", "show", "--config", str(config), cwd=tmp_path)
    assert served == public_set(*files)
    public = {"kty", "crv", "x", "y", "n", "e", "kid", "use"}
    assert all(key.keys() <= public for key in served["keys"])
    assert (printed.code, json.loads(printed.out)) == (VALID, served)
    assert (written.code, written.out) == (VALID, "")
    assert json.loads((tmp_path / "jwks.json").read_text()) == served
    private = [load_client_key(file).material.as_dict(private=True)["d"] for file in files]
    for text in (json.dumps(served), printed.out, shown.out):
        assert not any(str(one) in text for one in private)
        assert "PRIVATE KEY" not in text


async def test_a_gateway_that_no_op_knows_by_keys_serves_none(tmp_path: Path) -> None:
    async with running_stack() as stack, aiohttp.ClientSession() as http:
        assert (await http.get(f"{stack.public_url}/bff/jwks")).status == 404
        config = tmp_path / "bff.toml"
        config.write_text(stack.toml)
        printed = await bff("jwks", "--config", str(config), cwd=tmp_path)
    assert (printed.code, printed.out) == (FAILED, "")
    assert "no OP knows this gateway by a key" in printed.err


@pytest.mark.rule("FP-10")
async def test_a_key_that_the_op_does_not_know_logs_no_user_in(tmp_path: Path) -> None:
    """And the trouble is the operator's: nothing of it is shown to the browser."""
    ours, theirs = (key_file(tmp_path / name) for name in ("ours.pem", "theirs.pem"))
    async with by_keys(ours, known=(theirs,)) as stack, Browser() as browser:
        login = await browser.navigate(f"{stack.public_url}/bff/login")
        page = await browser.log_in_at_op(login, "alice")
        assert page.status == 503
        assert (await browser.fetch("GET", "/bff/user")).status == 401


def assertion(stack: Stack, file: Path, secret: str = "", **changes: object) -> dict[str, str]:
    """A form for the token endpoint, with the gateway's assertion or one that is changed."""
    metadata = ProviderMetadata(stack.issuer, "", "", "")
    auth = ClientAuth("private_key_jwt", CLIENT_ID, keys=(load_client_key(file),))
    form = dict(auth.credentials(metadata, SystemClock().now()).form)
    key = load_client_key(file)
    if changes:
        claims = {**jwt.decode(form["client_assertion"], key.material, ["ES256"]).claims, **changes}
        header = {"alg": "ES256", "kid": key.kid}
        form["client_assertion"] = jwt.encode(header, claims, key.material, ["ES256"])
    if secret:
        claims = jwt.decode(form["client_assertion"], key.material, ["ES256"]).claims
        form["client_assertion"] = jwt.encode(
            {"alg": "HS256"}, claims, OctKey.import_key(secret), ["HS256"]
        )
    return {**form, "grant_type": "client_credentials"}


@pytest.mark.rule("FP-10")
async def test_the_op_of_these_tests_refuses_other_assertions(tmp_path: Path) -> None:
    """Or they would show nothing: replayed, for another audience, expired, of another client,
    unsigned, and HMAC with the public key."""
    file = key_file(tmp_path / "key.pem")
    async with by_keys(file) as stack, aiohttp.ClientSession() as http:
        good = assertion(stack, file)
        now = SystemClock().now()
        unsigned = {**assertion(stack, file)}
        unsigned["client_assertion"] = unsigned["client_assertion"].rpartition(".")[0] + "."
        forms = [
            (good, 200),
            (good, 401),
            (assertion(stack, file, aud=f"{stack.issuer}/token"), 401),
            (assertion(stack, file, aud=[stack.issuer]), 401),
            (assertion(stack, file, exp=int(now) - 60), 401),
            (assertion(stack, file, exp=int(now) + 3600), 401),
            (assertion(stack, file, iat=int(now) + 600), 401),
            (assertion(stack, file, sub="other"), 401),
            (assertion(stack, file, secret=json.dumps(public_set(file))), 401),
            (unsigned, 401),
            ({**assertion(stack, file), "client_assertion_type": "x"}, 401),
            (assertion(stack, file), 200),
        ]
        for form, status in forms:
            answer = await http.post(f"{stack.issuer}/token", data=form)
            assert answer.status == status, form


@pytest.mark.rule("FP-10")
async def test_a_session_with_a_secret_that_signs() -> None:
    """`client_secret_jwt`: the secret itself is never sent."""
    clock = ManualClock()
    async with (
        running_stack(
            oidc=f'client_auth = "client_secret_jwt"\nclient_secret = "{SECRET}"',
            op={
                "client": {
                    "auth_methods": frozenset({"client_secret_jwt"}),
                    "client_secret": SECRET,
                }
            },
            clock=clock,
        ) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        clock.advance(61)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        assert stack.op.refreshes == 1


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_jwt"])
@pytest.mark.rule("OP-03")
async def test_a_secret_that_was_changed_at_the_op_is_found_in_its_file(
    tmp_path: Path, method: str
) -> None:
    """Without a restart: the refused refresh is sent once more, and the session goes on."""
    clock = ManualClock()
    file = tmp_path / "client_secret"
    file.write_text(f"{SECRET}\n")
    async with (
        running_stack(
            oidc=f'client_auth = "{method}"\nclient_secret_file = "{file}"',
            op={"client": {"auth_methods": frozenset({method}), "client_secret": SECRET}},
            clock=clock,
        ) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        new = SECRET[::-1]
        change_secret(stack, new)
        clock.advance(61)
        refused = await browser.fetch("GET", "/api/me")
        assert refused.status == 503, "the file still holds the old secret"
        file.write_text(f"{new}\n")
        clock.advance(300)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        assert stack.op.refreshes == 1
        file.write_text("")  # nothing reads it while the OP accepts the secret
        clock.advance(61)
        assert (await browser.fetch("GET", "/api/me")).status == 200


def change_secret(stack: Stack, secret: str) -> None:
    """As an administrator of the OP could."""
    client = stack.running_op.state.clients.find(CLIENT_ID)
    assert client is not None
    object.__setattr__(client, "client_secret", secret)


async def test_the_check_names_the_client_authentication(tmp_path: Path) -> None:
    file = key_file(tmp_path / "key.pem")
    async with by_keys(file) as stack:
        config = configuration(
            tmp_path,
            stack.issuer,
            oidc={
                "client_auth": '"private_key_jwt"',
                "client_keys": json.dumps([str(file)]),
                "client_secret": None,
            },
        )
        result = await check(config)
    kid = load_client_key(file).kid
    assert result.line("✓ client authentication").endswith(
        f"private_key_jwt, signed with ES256, kid {kid}"
    )
    assert ASSERTION_TYPE not in result.out
