"""What deploy/keycloak says, with a real Keycloak: a browser knows it by one address, and gateway
and API by another one, without TLS. No Docker runs here, so the addresses are others; all else is
as the files have it.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from spa_demo import SPA_ROOT
from spa_demo.api import ApiSettings
from tests.interop.conftest import StartedKeycloak
from tests.interop.ops import keycloak
from tests.interop.ops.provider import CLIENT_SECRET
from tests.interop.ops.relay import relaying
from tests.interop.story import PATIENCE_SECONDS, PAUSE_SECONDS
from tests.parts.browser import Browser
from tests.parts.configuration import SESSION_SECRET, listening_at
from tests.parts.demo_servers import running_api
from tests.parts.deployment import DEPLOY
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway
from tests.polling import until

pytestmark = [pytest.mark.real_op, pytest.mark.timeout(900)]

REALM = "acme"


@pytest.fixture
async def there(
    early_keycloak: StartedKeycloak | None, tmp_path: Path
) -> AsyncIterator[tuple[keycloak.Keycloak, str]]:
    """Keycloak, and the gateway's origin."""
    assert early_keycloak is not None
    place, process = early_keycloak
    gateway, api = free_port(), free_port()
    origin = f"http://localhost:{gateway}"
    (tmp_path / "secret").write_text(CLIENT_SECRET)
    (tmp_path / "session_secrets").write_text(SESSION_SECRET)
    realm = (DEPLOY / "keycloak" / "realm.json").read_text()
    for written, here in (
        ("${SPA_CLIENT_SECRET}", CLIENT_SECRET),
        ("http://localhost:8080/", f"{origin}/"),
        ("http://bff:8080/", f"http://127.0.0.1:{gateway}/"),
    ):
        assert written in realm
        realm = realm.replace(written, here)
    metadata = f"{place.direct}/realms/{REALM}/.well-known/openid-configuration"
    environ = {
        **listening_at(gateway, free_port()),
        "BFF_SERVER__PUBLIC_URL": origin,
        "BFF_SERVER__ADDITIONAL_HOSTS": f"127.0.0.1:{gateway}",
        "BFF_OIDC__ISSUER": f"{place.public}/realms/{REALM}",
        "BFF_OIDC__DISCOVERY_URL": metadata,
        "BFF_OIDC__CLIENT_SECRET_FILE": f"{tmp_path / 'secret'}",
        "BFF_SESSION__SECRETS_FILE": f"{tmp_path / 'session_secrets'}",
        "BFF_ROUTES__0__UPSTREAM": f"http://127.0.0.1:{api}/",
        "BFF_SPA__ROOT": f"{SPA_ROOT}",
    }
    toml = (DEPLOY / "keycloak" / "bff.toml").read_text()
    async with (
        keycloak.running(replace(place, gateway=origin), process, REALM, json.loads(realm)) as op,
        relaying(place.public_port, place.direct) as (relay, _),
        running_api(ApiSettings(op.issuer, discovery_url=metadata), port=api),
        running_gateway(toml, environ=environ),
    ):
        yield op, origin
        assert relay.grants == [], "the gateway has an address of its own for them"


async def test_the_app_is_used_at_keycloak(there: tuple[keycloak.Keycloak, str]) -> None:
    """Login, call, logout at the OP."""
    op, origin = there
    async with Browser() as browser:
        await browser.navigate(f"{origin}/")
        page = await op.log_in(browser, await browser.click("/bff/login?returnUrl=/notes"))
        assert (page.status, page.url) == (200, f"{origin}/notes"), page.text
        user = (await browser.fetch("GET", "/bff/user")).json()
        assert {name: user[name] for name in op.user} == op.user
        assert (await browser.fetch("GET", "/api/notes")).status == 200
        made = await browser.fetch("POST", "/api/notes", json={"text": "from the SPA"})
        assert made.status == 201, made.text

        await op.sign_out(browser)

        async def is_gone() -> bool:
            return (await browser.fetch("GET", "/bff/user")).status == 401

        await until(is_gone, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
