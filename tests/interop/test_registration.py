"""`bff register` at OPs that we did not write, npm oidc-provider and Keycloak: from an initial
access token to a login by the client that came of it, and to the end of that client (RFC 7591,
RFC 7592).
"""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from bff.config import load
from tests.flows.registering import FILES, Place
from tests.interop.conftest import StartedKeycloak
from tests.interop.ops import certified, keycloak
from tests.interop.ops.provider import Provider, a_place
from tests.interop.ops.relay import relaying
from tests.parts.browser import Browser
from tests.parts.command import bff
from tests.parts.configuration import Ports
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway

pytestmark = [pytest.mark.real_op, pytest.mark.timeout(900)]


@asynccontextmanager
async def running_op(
    name: str, gateway: str, started: StartedKeycloak | None, folder: Path
) -> AsyncIterator[Provider]:
    """At its public address, with no client for this gateway."""
    running: AbstractAsyncContextManager[Provider]
    if name == "keycloak":
        assert started is not None
        place, process = started
        running = keycloak.running(replace(place, gateway=gateway), process, "registration")
    else:
        place = a_place(folder)
        running = certified.running(place)
    async with running as op, relaying(place.public_port, place.direct):
        yield op


@pytest.mark.parametrize("name", ["oidc-provider", "keycloak"])
async def test_from_an_initial_access_token_to_a_login_and_to_the_end(
    name: str, tmp_path: Path, early_keycloak: StartedKeycloak | None
) -> None:
    ports = Ports(free_port(), free_port(), op=0, api=free_port())
    origin, folder = f"http://localhost:{ports.gateway}", tmp_path / "gateway"
    folder.mkdir()
    async with running_op(name, "http://localhost:1", early_keycloak, tmp_path) as op:
        place = Place(folder, ports, op.issuer, oidc=f'[oidc]\nscope = "{op.scope}"')
        (folder / "initial").write_text(await op.initial_access_token())
        # At Keycloak `openid` is no scope that a policy could allow, and none that is to be named.
        options = ("--no-scope",) if name == "keycloak" else ()
        result = await place.register(*options)
        assert result.code == 0, result.out
        assert place.written() == FILES
        client_id, secret = place.record()["client_id"], place.text("client_secret").strip()
        assert await is_known(op, client_id, secret)

        place.take_keys_over()
        config = folder / "bff.toml"
        config.write_text(f"{config.read_text()}{op.further_toml}\n")
        checked = await bff("check", cwd=folder)
        assert "✓ client" in checked.out, checked.out + checked.err
        assert "✓ redirect URI" in checked.out, checked.out
        async with running_gateway(load(config, {})), Browser() as browser:
            await browser.navigate(f"{origin}/")
            page = await op.log_in(browser, await browser.click("/bff/login?returnUrl=/notes"))
            assert (page.status, page.url) == (200, f"{origin}/notes"), page.text
            user = (await browser.fetch("GET", "/bff/user")).json()
            assert {name: user[name] for name in op.user} == op.user

        read = await place.run("--read", *options)
        assert read.code == 0, read.out
        config.write_text(config.read_text().replace("[server]", '[server]\nprefix = "/auth"'))
        assert (await place.run("--read", *options)).code == 1
        updated = await place.run("--update", *options)
        assert updated.code == 0, updated.out
        read = await place.run("--read", *options)
        assert read.code == 0, read.out
        assert json.loads(read.out.partition("\n}\n")[0] + "\n}")["redirect_uris"] == [
            f"{origin}/auth/callback"
        ]

        secret = place.text("client_secret").strip()
        assert (await place.run("--delete")).code == 0
        assert place.written() == set()
        assert not await is_known(op, client_id, secret)


async def is_known(op: Provider, client_id: str, secret: str) -> bool:
    """Whether the OP takes these credentials; what is asked for with them is refused either way."""
    form = {"grant_type": "refresh_token", "refresh_token": "none"}
    credentials = aiohttp.encode_basic_auth(client_id, secret)
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            (await op.metadata())["token_endpoint"],
            data=form,
            headers={"Authorization": credentials},
        ) as answer,
    ):
        return bool((await answer.json())["error"] == "invalid_grant")
