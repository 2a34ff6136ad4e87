"""A configuration that would open a door does not start (`bff check` tells why)."""

from pathlib import Path

import pytest

from tests.parts.config_files import problems, toml


@pytest.mark.rule("CVE-2021-21411")
@pytest.mark.parametrize("table", ["server", "oidc", "session", "user", "spa", "csrf", "log"])
def test_an_unknown_key_is_a_problem_in_every_table(tmp_path: Path, table: str) -> None:
    """What is written down is enforced, or said not to be."""
    (problem,) = problems(tmp_path, toml({table: {"allowed_group": '"admins"'}}))
    assert problem.key == f"{table}.allowed_group"


@pytest.mark.rule("CVE-2021-21411")
def test_an_unknown_table_or_route_key_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, toml(extra='[authz]\ngroups = ["admins"]'))
    assert problems(tmp_path, toml({"routes": {"groups": '["admins"]'}}))
    assert problems(tmp_path, environ={"BFF_SESSION__ALLOWED_GROUP": "admins"})


@pytest.mark.rule("traefik-oidc-auth-secret")
@pytest.mark.parametrize(
    "secrets",
    [
        None,
        "[]",
        '[""]',
        '["short"]',
        '["Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0p"]',  # as random as can be, and a byte too short
        '["00000000000000000000000000000000"]',
        '["abcdefghijklmnopqrstuvwxyz0123456789"]',
        '["changemechangemechangemechangeme"]',
        '["this-is-a-default-secret-with-32-bytes"]',
    ],
)
def test_no_secret_is_built_in_and_none_may_be_weak(tmp_path: Path, secrets: str | None) -> None:
    found = problems(tmp_path, toml({"session": {"secrets": secrets}}))
    assert [problem.key.partition("[")[0] for problem in found] == ["session.secrets"]


@pytest.mark.rule("CVE-2023-1584")
@pytest.mark.parametrize("host", ["idp.example", "10.0.0.1", "localhost.example", "[2001:db8::1]"])
def test_no_token_travels_over_plain_http(tmp_path: Path, host: str) -> None:
    """Plain http is for loopback only, at the issuer, the public URL and the OP's endpoints."""
    for table, key in (("oidc", "issuer"), ("server", "public_url")):
        (problem,) = problems(tmp_path, toml({table: {key: f'"http://{host}"'}}))
        assert problem.key == f"{table}.{key}"


@pytest.mark.rule("PX-12")
@pytest.mark.parametrize("name", ["__Host-Http-bff", "__host-http-BFF", "__Host-Http-bff-login"])
def test_no_route_passes_our_own_cookies(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, toml({"routes": {"forward_cookies": f'["{name}"]'}}))
    assert problem.key.endswith("forward_cookies")
