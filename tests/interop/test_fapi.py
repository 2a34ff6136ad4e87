"""FAPI 2.0 by one setting, at a certified OP that enforces it: the client is known by its key,
requests are pushed (and signed), tokens are bound, proofs have nonces, and nothing is signed with
RS256.
"""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.oidc.profiles import FAPI2, FAPI2_MESSAGE_SIGNING
from tests.interop.installation import Client, running_installation
from tests.interop.test_login_and_logout import end_session_request, leave_the_op
from tests.parts.browser import Browser
from tests.parts.client_keys import key_file
from tests.polling import until

CLIENTS: dict[str, str] = {FAPI2: "fapi", FAPI2_MESSAGE_SIGNING: "fapi-signing"}
ANSWERS: dict[str, set[str]] = {
    FAPI2: {"code", "state", "iss"},
    FAPI2_MESSAGE_SIGNING: {"response"},
}


@pytest.mark.rule("FP-17")
@pytest.mark.parametrize("kind", ["P-256", "RSA-2048", "Ed25519"])
@pytest.mark.parametrize("profile", CLIENTS)
async def test_a_user_logs_in_steps_up_calls_refreshes_and_logs_out(
    tmp_path: Path, profile: str, kind: str
) -> None:
    """In real time, since the OP judges when assertions and proofs were made. It dates a login only
    where max_age asks for it, as the step-up does."""
    key = key_file(tmp_path / "key.pem", kind)
    async with (
        running_installation(
            Client(CLIENTS[profile], key_file=key, profile=profile),
            access_token_seconds=4,
            route='max_auth_age = "1h"',
        ) as site,
        Browser() as browser,
    ):
        login = await browser.navigate(f"{site.origin}/bff/login", follow=False)
        asked = parse_qsl(urlsplit(login.headers["Location"]).query)
        assert [name for name, _ in asked] == ["client_id", "request_uri"]
        landed = await site.log_in(browser, "alice")
        assert landed.url == f"{site.origin}/"
        (back,) = (hop.url for hop in landed.hops if "/bff/callback?" in hop.url)
        assert {name for name, _ in parse_qsl(urlsplit(back).query)} == ANSWERS[profile]

        refused = await browser.fetch("GET", "/api/whoami")
        assert (refused.status, refused.json()["code"]) == (401, "step_up_required")
        page = await browser.click(f"{site.origin}{refused.json()['login_url']}")
        page = await site.through_op(browser, page, user="alice")
        assert (page.status, page.url) == (200, f"{site.origin}/")

        async def is_refreshed() -> bool:
            answer = await browser.fetch("GET", "/api/whoami")
            assert answer.json() == {"sub": "alice", "client_id": CLIENTS[profile]}
            return bool(site.op.issued("refresh_token"))

        await until(is_refreshed)
        refreshed = site.op.issued("refresh_token")[-1]["access_token"]
        assert (await browser.fetch("GET", "/api/whoami")).status == 200
        assert refreshed in site.api.bearers

        user = (await browser.fetch("GET", "/bff/user")).json()
        leaving = await browser.click(user["bff"]["logout_url"], follow=False)
        assert (await browser.fetch("GET", "/bff/user")).status == 401
        await site.op.wait_for("grant_revoked", route="revocation")
        await leave_the_op(site, browser, end_session_request(site, leaving.location))


@pytest.mark.rule("FP-17")
async def test_the_op_does_enforce_it(tmp_path: Path) -> None:
    """The same client by single settings, which leave out the binding of tokens."""
    key = key_file(tmp_path / "key.pem")
    plain = Client("fapi", "private_key_jwt", id_token_algs='["PS256"]', key_file=key)
    async with running_installation(plain, fapi=True) as site, Browser() as browser:
        page = await site.log_in(browser, "alice")
        assert page.status >= 400
        assert (await browser.fetch("GET", "/bff/user")).status == 401
