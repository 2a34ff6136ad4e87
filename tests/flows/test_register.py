"""`bff register` at the demo OP: a configuration without a client becomes one with which users log
in; later the registration is read, changed and deleted (RFC 7591, RFC 7592)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bff.config import load
from bff.config.values.files import load_client_key
from spa_demo.api.settings import ApiSettings
from spa_demo.op.clients import Registration
from spa_demo.op.state import OpState
from tests.flows.registering import FILES, INITIAL, Place, before_registration
from tests.flows.test_cli import FAILED, UNUSABLE, VALID
from tests.parts.browser import Browser
from tests.parts.client_keys import key_file
from tests.parts.command import bff
from tests.parts.configuration import SESSION_SECRET, free_ports
from tests.parts.demo_servers import SETTINGS, running_api, running_op
from tests.parts.stack import running_gateway


class AtDemoOp(Place):
    """With the inside of the OP."""

    state: OpState

    def registration(self) -> Registration | None:
        return self.state.clients.registration(self.record()["client_id"])


@asynccontextmanager
async def demo_op(folder: Path, *, oidc: str = "", **options: Any) -> AsyncIterator[AtDemoOp]:
    """The demo OP, which has no client yet, and the demo API. `options` are settings of the OP."""
    ports = free_ports()
    settings = replace(SETTINGS, clients=(), initial_access_token=INITIAL, **options)
    async with (
        running_op(settings, port=ports.op) as op,
        running_api(ApiSettings(op.issuer), port=ports.api),
    ):
        place = AtDemoOp(folder, ports, op.issuer, oidc=oidc)
        place.state = op.state
        yield place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[AtDemoOp]:
    async with demo_op(tmp_path) as found:
        yield found


async def test_from_nothing_to_a_login(place: AtDemoOp) -> None:
    """Register, take the keys over, check, log in, log out: the commands as processes."""
    token = {"BFF_INITIAL_ACCESS_TOKEN": INITIAL}
    result = await bff("register", "--issuer", place.issuer, cwd=place.folder, **token)
    assert (result.code, result.err) == (VALID, ""), result.out
    assert place.written() == FILES
    assert (place.mode("client_secret"), place.mode("registration.json")) == (0o600, 0o600)
    assert place.record()["client_id"] in result.out
    place.take_keys_over()
    checked = await bff("check", cwd=place.folder)
    assert checked.code == VALID, checked.out
    assert checked.line("✓ client")
    assert checked.line("✓ redirect URI")
    async with running_gateway(load(place.folder / "bff.toml", {})), Browser() as browser:
        origin = f"http://localhost:{place.ports.gateway}"
        login = await browser.navigate(f"{origin}/bff/login?returnUrl=/session")
        assert (await browser.log_in_at_op(login, "alice")).url == f"{origin}/session"
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert user["sub"] == "alice"
        left = await browser.navigate(user["bff"]["logout_url"])
        assert left.url.startswith(f"{origin}/?state=")
        assert (await browser.fetch("GET", "/bff/user")).status == 401


async def test_a_client_with_a_key_of_its_own(tmp_path: Path) -> None:
    """Registered with the public half, by value where the OP can't reach this machine: the OP gives
    no secret, and none is written."""
    key_file(tmp_path / "key.pem")
    keys = 'client_auth = "private_key_jwt"\nclient_keys = ["key.pem"]'
    async with demo_op(tmp_path, oidc=f"[oidc]\n{keys}") as place:
        result = await place.register()
        assert result.code == VALID, result.out
        assert place.written() - {"key.pem"} == {"oidc.toml", "registration.json"}
        registration = place.registration()
        assert registration is not None
        public = load_client_key(tmp_path / "key.pem").public
        assert registration.metadata["jwks"] == {"keys": [public]}
        read = await place.run("--read")
        assert read.code == VALID, read.out
        updated = await place.run("--update")
        assert updated.code == VALID, updated.out
        text = place.text("oidc.toml") + 'client_keys = ["key.pem"]\n'
        (tmp_path / "bff.toml").write_text(before_registration(place.ports, text))
        checked = await bff("check", cwd=tmp_path)
        assert checked.code == VALID, checked.out
        assert checked.line("✓ client ")


async def test_what_is_asked_for_comes_from_the_configuration(tmp_path: Path) -> None:
    """Redirect URI, logout URIs, authentication and scope, as the gateway will use them."""
    oidc = """
[oidc]
client_auth = "client_secret_post"
scope = "openid email"
post_logout_path = "/goodbye"
frontchannel_logout = true
client_secret_file = "client_secret"
"""
    async with demo_op(tmp_path, oidc=oidc) as place:
        shown = json.loads((await place.register("--dry-run", "--name", "The shop")).out)
        assert not place.written()
        assert not place.state.counters.registrations, "nothing was sent"
        origin = f"http://localhost:{place.ports.gateway}"
        assert shown == {
            "client_name": "The shop",
            "client_uri": origin,
            "redirect_uris": [f"{origin}/bff/callback"],
            "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "openid email",
            "id_token_signed_response_alg": "RS256",
            "backchannel_logout_uri": f"{origin}/bff/backchannel-logout",
            "backchannel_logout_session_required": False,
            "post_logout_redirect_uris": [f"{origin}/goodbye"],
            "frontchannel_logout_uri": f"{origin}/bff/frontchannel-logout",
            "frontchannel_logout_session_required": True,
        }
        result = await place.register("--name", "The shop")
        assert result.code == VALID
        assert "frontchannel_logout_uri: the OP does not do this" in result.out
        registration = place.registration()
        assert registration is not None
        for name in ("redirect_uris", "scope", "client_name", "post_logout_redirect_uris"):
            assert registration.metadata[name] == shown[name]
        assert 'client_auth = "client_secret_post"' in place.text("oidc.toml")


@pytest.mark.rule("FP-03")
async def test_a_client_that_pushes_its_requests_is_registered_for_nothing_else(
    tmp_path: Path,
) -> None:
    """RFC 9126 section 6. The demo OP does not know it, and makes the client all the same."""
    member = "require_pushed_authorization_requests"
    oidc = '[oidc]\nclient_secret_file = "client_secret"\npar = "{mode}"\n'
    async with demo_op(tmp_path, oidc=oidc.format(mode="if-offered")) as place:
        assert member not in json.loads((await place.register("--dry-run")).out)
    async with demo_op(tmp_path, oidc=oidc.format(mode="required")) as place:
        assert json.loads((await place.register("--dry-run")).out)[member] is True
        result = await place.register()
        assert result.code == VALID
        assert f"{member}: the OP still takes requests through the browser" in result.out


SEVERAL_APPLICATIONS = """
[server]
listen = "127.0.0.1:8080"

[session]
store = "memory://"
secrets = ["{secret}"]

[providers.corp]
issuer = "{issuer}"
frontchannel_logout = true

[providers.other]
issuer = "https://other.example.com"
client_id = "spa"
client_secret = "a-secret-of-the-other-op"

[[frontends]]
name = "shop"
public_url = "https://shop.example.com"
providers = ["corp"]

[[frontends]]
name = "crm"
public_url = "https://crm.example.com/wiki"
providers = ["other", "corp"]
session = {{ logout_return_paths = ["/goodbye"] }}

[[frontends]]
name = "desk"
public_url = "https://desk.example.com"
providers = ["other"]
"""


async def test_the_client_is_that_of_every_application_that_uses_the_provider(
    place: AtDemoOp,
) -> None:
    """An update would take the addresses of the others away, and with them their logins."""
    text = SEVERAL_APPLICATIONS.format(secret=SESSION_SECRET, issuer=place.issuer)
    (place.folder / "bff.toml").write_text(text)
    unnamed = await place.register("--dry-run")
    assert (unnamed.code, "name one with --provider" in unnamed.err) == (UNUSABLE, True)
    shown = json.loads((await place.register("--dry-run", "--provider", "corp")).out)
    assert shown["redirect_uris"] == [
        "https://shop.example.com/bff/callback/corp",
        "https://crm.example.com/wiki/bff/callback/corp",
    ]
    assert shown["post_logout_redirect_uris"] == [
        "https://shop.example.com/",
        "https://crm.example.com/wiki/bff/logged-out",
    ]
    assert shown["client_uri"] == "https://shop.example.com"
    assert shown["frontchannel_logout_uri"] == "https://shop.example.com/bff/frontchannel-logout"
    result = await place.register("--provider", "corp")
    assert result.code == VALID, result.out
    assert "[providers.corp]" in place.text("oidc.toml")


async def test_the_op_is_reached_as_the_gateway_reaches_it(place: AtDemoOp) -> None:
    """The initial access token must not go past the proxy that the configuration names."""
    config = place.folder / "bff.toml"
    config.write_text(f'{config.read_text()}\n[oidc]\nproxy = "http://127.0.0.1:1"\n')
    result = await place.register()
    assert (result.code, "can't be had" in result.out) == (FAILED, True)
    assert not place.state.counters.registrations


async def test_the_scopes_may_be_left_to_the_op(place: AtDemoOp) -> None:
    """As Keycloak needs it. A login asks for those of the configuration all the same."""
    dry = await place.register("--no-scope", "--dry-run")
    assert "scope" not in json.loads(dry.out)
    result = await place.register("--no-scope")
    assert result.code == VALID, result.out
    assert 'scope = "openid profile email"' in place.text("oidc.toml")
    place.take_keys_over()
    assert (await place.run("--read", "--no-scope")).code == VALID
    assert (await place.run("--update", "--no-scope")).code == VALID
    assert 'scope = "openid profile email"' in place.text("oidc.toml")


async def test_an_earlier_registration_is_not_written_over(place: AtDemoOp) -> None:
    """Its secrets would be lost, and the client at the OP with them. The OP is not even asked."""
    (place.folder / "client_secret").write_text("an-older-secret-of-another-client")
    result = await place.register()
    assert result.code == FAILED
    assert "--force" in result.out
    assert place.text("client_secret") == "an-older-secret-of-another-client"
    assert place.written() == {"client_secret"}
    assert not place.state.counters.registrations
    assert (await place.register("--force")).code == VALID
    assert place.written() == FILES
    assert place.mode("client_secret") == 0o600


async def test_a_folder_that_cannot_be_written_costs_no_registration(place: AtDemoOp) -> None:
    """Nothing is to be left at the OP whose secret is nowhere."""
    nowhere = place.folder / "nowhere"
    result = await place.register("--folder", str(nowhere))
    assert result.code == FAILED
    assert f"can't write to {nowhere}" in result.out
    assert not place.state.counters.registrations


async def test_the_files_can_be_elsewhere(
    place: AtDemoOp, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Then the configuration names the secret by its whole path; below it, by a relative one."""
    elsewhere = tmp_path_factory.mktemp("secrets")
    assert (await place.register("--folder", str(elsewhere))).code == VALID
    assert f'"{elsewhere}/client_secret"' in (elsewhere / "oidc.toml").read_text()
    (place.folder / "op").mkdir()
    assert (await place.register("--folder", str(place.folder / "op"))).code == VALID
    assert 'client_secret_file = "op/client_secret"' in place.text("op/oidc.toml")


async def test_the_initial_access_token_can_be_a_variable(place: AtDemoOp) -> None:
    """As in a container; it is no key of the configuration."""
    (place.folder / "initial").unlink()
    result = await place.run("--issuer", place.issuer, BFF_INITIAL_ACCESS_TOKEN=INITIAL)
    assert result.code == VALID, result.out


async def test_a_registration_is_read_changed_and_deleted(place: AtDemoOp) -> None:
    """RFC 7592. The token that an update replaces is stored, so that the next step works."""
    await place.register()
    place.take_keys_over()
    first = place.record()
    read = await place.run("--read")
    assert read.code == VALID, read.out
    assert json.loads(read.out)["client_id"] == first["client_id"]

    config = place.folder / "bff.toml"
    config.write_text(config.read_text().replace("openid profile email", "openid email"))
    wider = config.read_text().replace("[server]", '[server]\nprefix = "/auth"')
    config.write_text(wider)
    differs = await place.run("--read")
    assert differs.code == FAILED
    assert "redirect_uris: ['http://localhost" in differs.out
    assert "--update" in differs.out

    dry = await place.run("--update", "--dry-run")
    assert "/auth/callback" in dry.out
    assert place.record() == first
    updated = await place.run("--update")
    assert updated.code == VALID, updated.out
    assert place.record()["registration_access_token"] != first["registration_access_token"]
    assert place.mode("registration.json") == 0o600
    registration = place.registration()
    assert registration is not None
    assert registration.metadata["scope"] == "openid email"
    assert (await place.run("--read")).code == VALID

    deleted = await place.run("--delete")
    assert deleted.code == VALID, deleted.out
    assert place.state.clients.registration(first["client_id"]) is None
    assert place.written() == set()
    again = await place.run("--delete")
    assert again.code == FAILED
    assert "nothing was registered from here" in again.out


async def test_a_registration_that_is_gone_at_the_op(place: AtDemoOp) -> None:
    """RFC 7592 section 2.1: a 401 is the answer for a client that is not there."""
    await place.register()
    place.state.clients.forget(place.record()["client_id"])
    for option in ("--read", "--update", "--delete"):
        result = await place.run(option)
        assert result.code == FAILED
        assert "does not know this registration any more" in result.out
    assert place.written() == FILES


async def test_without_the_permission_of_the_op(place: AtDemoOp) -> None:
    """RFC 7591 section 3: whether there was no token or a wrong one is told apart."""
    without = await place.run("--issuer", place.issuer)
    assert without.code == FAILED
    assert "wants an initial access token" in without.out
    assert "--initial-access-token-file" in without.out
    (place.folder / "initial").write_text("another-token")
    wrong = await place.register()
    assert wrong.code == FAILED
    assert "does not accept the initial access token (401, 'invalid_token')" in wrong.out
    assert place.written() == set()


@pytest.mark.parametrize(
    "options",
    [
        ("--read", "--delete"),
        ("--read", "--update"),
        ("--read", "--dry-run"),
        ("--delete", "--dry-run"),
        ("--update", "--force"),
        ("--read", "--issuer", "https://idp.example.com"),
        ("--delete", "--initial-access-token-file", "initial"),
        ("--update", "--software-statement-file", "initial"),
    ],
)
async def test_options_that_mean_nothing_together(
    place: AtDemoOp, options: tuple[str, ...]
) -> None:
    result = await place.run(*options)
    assert result.code == UNUSABLE
    assert "go" in result.err


@pytest.mark.parametrize("content", ["", "\n", "two words", "a\nb", "caf\u00e9"])
async def test_a_token_file_without_a_token(place: AtDemoOp, content: str) -> None:
    (place.folder / "initial").write_text(content)
    result = await place.register()
    assert (result.code, place.written()) == (FAILED, set())
    assert "initial does not hold one token" in result.out


async def test_the_rest_of_the_configuration_has_to_be_valid(place: AtDemoOp) -> None:
    config = place.folder / "bff.toml"
    config.write_text(config.read_text().replace("admin_listen", "admin_lisen"))
    result = await place.register()
    assert result.code == UNUSABLE
    assert 'did you mean "admin_listen"' in result.err
    assert not place.state.counters.registrations
