"""An installation before its client is registered, for the tests of `bff register`."""

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from bff.cli import main
from spa_demo import SPA_ROOT
from tests.parts.command import Result
from tests.parts.configuration import SESSION_SECRET, Ports

INITIAL = "initial-access-token-of-a-test"
FILES = {"oidc.toml", "client_secret", "registration.json"}


def before_registration(ports: Ports, oidc: str = "", routes: str = "") -> str:
    """A configuration that lacks the client; `oidc` is the beginning of its [oidc]."""
    return f"""
[server]
public_url = "http://localhost:{ports.gateway}"
listen = "127.0.0.1:{ports.gateway}"
admin_listen = "127.0.0.1:{ports.admin}"
shutdown_timeout = "2s"

[session]
store = "memory://"
secrets = ["{SESSION_SECRET}"]

[user]
claims = ["name", "email"]

[spa]
root = "{SPA_ROOT}"

[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{ports.api}/"
{routes}
{oidc}
"""


class Place:
    """A folder with a configuration, in which the command runs."""

    def __init__(self, folder: Path, ports: Ports, issuer: str, *, oidc: str = "") -> None:
        self.folder = folder
        self.ports = ports
        self.issuer = issuer
        (folder / "bff.toml").write_text(before_registration(ports, oidc))
        (folder / "initial").write_text(f"{INITIAL}\n")

    @property
    def redirect_uri(self) -> str:
        return f"http://localhost:{self.ports.gateway}/bff/callback"

    async def register(self, *options: str, **variables: str) -> Result:
        """A new registration."""
        token = ("--initial-access-token-file", str(self.folder / "initial"))
        return await self.run("--issuer", self.issuer, *token, *options, **variables)

    async def run(self, *options: str, **variables: str) -> Result:
        """Any other use of the command; no secret that it knows is in what it prints."""
        known = self.secrets()
        result = await self.invoke(*options, **variables)
        for secret in known | self.secrets():
            assert secret not in result.out + result.err
        return result

    async def invoke(self, *options: str, **variables: str) -> Result:
        """Without a process of its own. The command has an event loop, so it needs a thread."""
        runner = CliRunner(env=variables)
        arguments = ["register", "--config", str(self.folder / "bff.toml"), *options]
        result = await asyncio.to_thread(runner.invoke, main, arguments, catch_exceptions=False)
        return Result(result.exit_code, result.stdout, result.stderr)

    def written(self) -> set[str]:
        """What is in the folder beside the configuration."""
        given = ("bff.toml", "initial")
        return {one.name for one in self.folder.iterdir() if not one.name.startswith(given)}

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def record(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.text("registration.json"))
        return document

    def secrets(self) -> set[str]:
        found = {INITIAL}
        if (self.folder / "client_secret").exists():
            found.add(self.text("client_secret").strip())
        if (self.folder / "registration.json").exists():
            found.add(self.record()["registration_access_token"])
        return found

    def mode(self, name: str) -> int:
        return stat.S_IMODE((self.folder / name).stat().st_mode)

    def take_keys_over(self) -> None:
        """What an operator does with what the command has written."""
        ports, keys = self.ports, self.text("oidc.toml")
        (self.folder / "bff.toml").write_text(before_registration(ports, keys))


def registered(issuer: str, place: Place, **changes: object) -> Mapping[str, object]:
    """What an OP answers that registers all that it is asked for. A None removes a member."""
    answer: dict[str, object] = {
        "client_id": "made-by-the-op",
        "client_secret": "given-to-the-client-once",
        "client_secret_expires_at": 0,
        "redirect_uris": [place.redirect_uri],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "openid profile email",
        "id_token_signed_response_alg": "RS256",
        "post_logout_redirect_uris": [f"http://localhost:{place.ports.gateway}/"],
        "backchannel_logout_uri": (
            f"http://localhost:{place.ports.gateway}/bff/backchannel-logout"
        ),
        "registration_client_uri": f"{issuer}/register/made-by-the-op",
        "registration_access_token": "for-the-client-itself",
        **changes,
    }
    return {name: value for name, value in answer.items() if value is not None}
