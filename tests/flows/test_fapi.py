"""A profile (FAPI 2.0) at an OP that lacks what it needs: what `bff check` and a login say."""

from pathlib import Path

import pytest

from tests.flows.test_check import check
from tests.flows.test_cli import FAILED
from tests.flows.test_client_authentication import public_set
from tests.parts.browser import Browser
from tests.parts.client_keys import key_file
from tests.parts.servers import free_port
from tests.parts.stack import running_stack


@pytest.mark.rule("FP-17")
@pytest.mark.parametrize("profile", ["fapi2", "fapi2-message-signing"])
async def test_the_check_says_what_the_op_lacks_and_no_login_begins(
    tmp_path: Path, profile: str
) -> None:
    file = key_file(tmp_path / "key.pem")
    oidc = f'profile = "{profile}"\nclient_keys = ["{file}"]'
    client = {"auth_methods": frozenset({"private_key_jwt"}), "jwks": public_set(file)}
    async with running_stack(oidc=oidc, op={"client": client}) as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/bff/login", follow=False)
        assert (page.status, "Location" in page.headers) == (503, False)
        listen = f'listen = "127.0.0.1:{stack.ports.gateway}"'
        text = stack.toml.replace(listen, f'listen = "127.0.0.1:{free_port()}"', 1)
        (tmp_path / "bff.toml").write_text(text)
        result = await check(tmp_path / "bff.toml")
    assert result.code == FAILED
    said = "\n".join(line for line in result.out.splitlines() if line.startswith("✗ OP "))
    lacking = [
        f'oidc.profile is "{profile}", but dpop_signing_alg_values_supported',
        'oidc.par is "required", but',
        "signs ID tokens with RS256",
    ]
    if profile != "fapi2":
        lacking += ['oidc.response_mode is "query.jwt", but', "oidc.request_object"]
    for one in lacking:
        assert one in said, result.out
