"""What goes with each `client_auth`: all else is a problem at start, at the key that is wrong."""

from pathlib import Path

import pytest

from tests.parts.certificates import self_signed
from tests.parts.client_keys import key_file
from tests.parts.config_files import loaded, problems, toml

LONG = '"given-by-the-provider-at-random-0123"'
KEYS = '["key.pem"]'
CERTIFICATE: dict[str, str | None] = {
    "client_cert_file": '"gateway.crt"',
    "client_key_file": '"gateway.key"',
}
Keys = dict[str, str | None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key_file(tmp_path / "key.pem")
    key_file(tmp_path / "weak.pem", "RSA-1024")
    self_signed(tmp_path, "gateway")
    self_signed(tmp_path, "weak", rsa_bits=1024)
    return tmp_path


WHOLE: list[Keys] = [
    {"client_auth": '"client_secret_jwt"', "client_secret": LONG},
    {"client_auth": '"private_key_jwt"', "client_secret": None, "client_keys": KEYS},
    {"client_auth": '"tls_client_auth"', "client_secret": None, **CERTIFICATE},
    {"client_auth": '"self_signed_tls_client_auth"', "client_secret": None, **CERTIFICATE},
    {**CERTIFICATE},  # for a proxy that asks for one
]


@pytest.mark.parametrize("oidc", WHOLE)
def test_what_goes_together_is_accepted(folder: Path, oidc: Keys) -> None:
    settings = loaded(folder, toml({"oidc": oidc}))
    (client,) = settings.relying_parties()
    assert client.authentication().method == client.client_auth
    assert "given-by" not in repr(client)


REFUSED: list[tuple[Keys, str, str]] = [
    ({"client_secret": None}, "oidc.client_secret", "is required"),
    (
        {"client_auth": '"client_secret_jwt"'},
        "oidc.client_secret",
        "at least 32 bytes for client_secret_jwt",
    ),
    (
        {"client_auth": '"private_key_jwt"', "client_secret": None},
        "oidc.client_keys",
        "is required",
    ),
    (
        {"client_auth": '"private_key_jwt"', "client_keys": KEYS},
        "oidc.client_secret",
        "must not be given",
    ),
    ({"client_keys": KEYS}, "oidc.client_keys", '"private_key_jwt" and request_object'),
    ({"request_object": '"signed"'}, "oidc.client_keys", 'required for request_object = "signed"'),
    (
        {
            "request_object": '"signed"',
            "client_auth": '"private_key_jwt"',
            "client_secret": None,
        },
        "oidc.client_keys",
        'required for client_auth = "private_key_jwt" and request_object = "signed"',
    ),
    (
        {"request_object": '"signed"', "client_keys": KEYS, "login_params": '["sub"]'},
        "oidc.login_params",
        "must not hold sub",
    ),
    (
        {
            "request_object": '"signed"',
            "client_keys": KEYS,
            "authorization_params": '{ aud = "x", audience = "y" }',
        },
        "oidc.authorization_params",
        "must not hold aud, a claim",
    ),
    (
        {"client_auth": '"tls_client_auth"', "client_secret": None},
        "oidc.client_cert_file",
        "is required",
    ),
    (
        {"client_auth": '"tls_client_auth"', **CERTIFICATE},
        "oidc.client_secret",
        "must not be given",
    ),
    (
        {"client_auth": '"private_key_jwt"', "client_secret": None, "client_keys": '["no.pem"]'},
        "oidc.client_keys",
        "cannot be read",
    ),
    (
        {"client_auth": '"private_key_jwt"', "client_secret": None, "client_keys": '["weak.pem"]'},
        "oidc.client_keys",
        "1024 bits",
    ),
    (
        {"client_cert_file": '"weak.crt"', "client_key_file": '"weak.key"'},
        "oidc.client_cert_file",
        "is for an RSA key of 1024 bits; at least 2048",
    ),
    (
        {"client_cert_file": '"gateway.crt"', "client_key_file": '"weak.key"'},
        "oidc.client_cert_file",
        "that client_key_file is the key of",
    ),
]


@pytest.mark.rule("TK-01")
@pytest.mark.parametrize(("oidc", "key", "why"), REFUSED)
def test_what_does_not_is_refused_with_its_reason(
    folder: Path, oidc: Keys, key: str, why: str
) -> None:
    (problem,) = problems(folder, toml({"oidc": oidc}))
    assert problem.key.startswith(key)
    assert why in problem.message
    assert "given-by" not in str(problem)
