"""The gateway's own keys: which files hold one, and what of them is published."""

from pathlib import Path

import pytest

from bff.config.values.files import load_client_key
from bff.oidc.client_auth.keys import client_key
from tests.parts.client_keys import key_file

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}  # RFC 7518 section 6


@pytest.mark.rule("FP-10")
@pytest.mark.parametrize(
    ("kind", "algs"),
    [
        ("P-256", ("ES256",)),
        ("P-384", ("ES384",)),
        ("P-521", ("ES512",)),
        ("Ed25519", ("EdDSA", "Ed25519")),
        ("RSA-2048", ("PS256", "RS256")),
    ],
)
def test_a_key_signs_by_its_kind_and_publishes_no_private_part(
    tmp_path: Path, kind: str, algs: tuple[str, ...]
) -> None:
    key = client_key(key_file(tmp_path / "key.pem", kind).read_bytes())
    assert key.algs == algs
    assert not PRIVATE & key.public.keys()
    assert key.public["kid"] == key.kid == key.material.thumbprint()  # RFC 7638
    assert str(key.material.as_dict(private=True)["d"]) not in repr(key)


@pytest.mark.rule("FP-10")
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("RSA-1024", "1024 bits; at least 2048"),
        ("secp256k1", "none of RSA, EC"),
        ("brainpool", "none of RSA, EC"),
    ],
)
def test_a_weak_or_unknown_key_is_refused(tmp_path: Path, kind: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        client_key(key_file(tmp_path / "key.pem", kind).read_bytes())


def test_a_file_without_a_usable_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has a passphrase"):
        client_key(key_file(tmp_path / "locked.pem", passphrase=b"a passphrase").read_bytes())
    for content in (
        b"",
        b"not a key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ):
        with pytest.raises(ValueError, match="no private key in PEM form"):
            client_key(content)


def test_a_file_is_there_and_small(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        load_client_key(tmp_path / "absent.pem")
    (tmp_path / "large.pem").write_bytes(b"-" * 70_000)
    with pytest.raises(ValueError, match="too large"):
        load_client_key(tmp_path / "large.pem")


@pytest.mark.parametrize(
    ("kind", "listed", "alg"),
    [
        ("RSA-2048", None, "RS256"),
        ("RSA-2048", ("RS256", "PS256"), "PS256"),
        ("RSA-2048", ("RS256",), "RS256"),
        ("RSA-2048", ("ES256", "none", "HS256"), None),
        ("Ed25519", ("Ed25519",), "Ed25519"),
        ("Ed25519", None, "EdDSA"),
        ("P-256", None, "ES256"),
        ("P-256", (), None),
    ],
)
def test_the_algorithm_is_one_that_the_op_lists(
    tmp_path: Path, kind: str, listed: tuple[str, ...] | None, alg: str | None
) -> None:
    assert client_key(key_file(tmp_path / "key.pem", kind).read_bytes()).alg_for(listed) == alg
