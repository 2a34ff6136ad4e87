"""Client authentication at the OP."""

import json
from base64 import b64decode, urlsafe_b64decode
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import OpMetadataRefused
from bff.oidc.client_auth.keys import ClientKey, client_key
from bff.oidc.client_auth.methods import ASSERTION_TYPE, METHODS, ClientAuth, require_supported
from bff.oidc.provider.metadata import ProviderMetadata
from tests.parts.client_keys import key_file

ISSUER = "https://op.example.test"
URL = f"{ISSUER}/x"
METADATA = ProviderMetadata(ISSUER, URL, URL, URL)
LONG_SECRET = "s3cret-of-at-least-thirty-two-bytes"
NOW = 1_800_000_000.5


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ClientKey:
    return client_key(key_file(tmp_path_factory.mktemp("keys") / "key.pem").read_bytes())


def part(assertion: str, index: int) -> dict[str, object]:
    text = assertion.split(".")[index]
    document: dict[str, object] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return document


@pytest.mark.rule("TK-02")
def test_basic_credentials_are_form_urlencoded_first() -> None:
    """RFC 6749 section 2.3.1 and appendix B."""
    auth = ClientAuth("client_secret_basic", "a:b c", "p%+&/=:ü").credentials(METADATA, NOW)
    pair = b64decode(auth.headers["Authorization"].removeprefix("Basic "))
    assert pair == b"a%3Ab+c:p%25%2B%26%2F%3D%3A%C3%BC"
    assert auth.form == {}


@pytest.mark.rule("TK-02")
@given(st.text(min_size=1).filter(lambda t: t.isprintable()), st.text(min_size=1, max_size=40))
def test_any_credentials_survive_basic(client_id: str, secret: str) -> None:
    try:
        (client_id + secret).encode("utf-8")
    except UnicodeEncodeError:
        return
    auth = ClientAuth("client_secret_basic", client_id, secret).credentials(METADATA, NOW)
    pair = b64decode(auth.headers["Authorization"].removeprefix("Basic ")).decode("ascii")
    assert [unquote_plus(part) for part in pair.split(":")] == [client_id, secret]


@pytest.mark.rule("TK-02")
def test_post_credentials_are_in_the_form_only() -> None:
    auth = ClientAuth("client_secret_post", "spa", "s").credentials(METADATA, NOW)
    assert auth.form == {"client_id": "spa", "client_secret": "s"}
    assert auth.headers == {}


@pytest.mark.rule("FP-10")
@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_an_assertion_is_for_this_op_and_for_once(method: str, key: ClientKey) -> None:
    """RFC 7523 section 3 and RFC 7523bis section 4: the issuer alone, as a string."""
    keys = (key,) if method == "private_key_jwt" else ()
    auth = ClientAuth(method, "spa", LONG_SECRET, keys)
    ids = set()
    for _ in range(1000):
        sent = auth.credentials(METADATA, NOW)
        assert sent.headers == {}
        assert sent.form.keys() == {"client_id", "client_assertion_type", "client_assertion"}
        assert sent.form["client_assertion_type"] == ASSERTION_TYPE
        claims = part(sent.form["client_assertion"], 1)
        ids.add(claims.pop("jti"))
        assert claims == {
            "iss": "spa",
            "sub": "spa",
            "aud": ISSUER,
            "iat": int(NOW) - 5,
            "exp": int(NOW) + 60,
        }
    assert len(ids) == 1000
    header = part(sent.form["client_assertion"], 0)
    if keys:
        assert header == {"alg": "ES256", "typ": "JWT", "kid": key.kid}
    else:
        assert header == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.rule("FP-10")
def test_the_first_key_signs(tmp_path: Path) -> None:
    first, second = (client_key(key_file(tmp_path / f"{name}.pem").read_bytes()) for name in "ab")
    auth = ClientAuth("private_key_jwt", "spa", keys=(first, second))
    assertion = auth.credentials(METADATA, NOW).form["client_assertion"]
    assert part(assertion, 0)["kid"] == first.kid != second.kid


@pytest.mark.rule("FP-11")
@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_with_a_certificate_the_form_names_the_client_only(method: str) -> None:
    """RFC 8705 section 2."""
    auth = ClientAuth(method, "spa", has_certificate=True).credentials(METADATA, NOW)
    assert (auth.headers, auth.form) == ({}, {"client_id": "spa"})


@pytest.mark.rule("TK-01")
@pytest.mark.parametrize("method", ["none", "", "magic_link", "CLIENT_SECRET_BASIC"])
def test_there_is_no_public_client(method: str) -> None:
    why = 'must not be "none": .* needs a sec' if method == "none" else "must be one of client_"
    with pytest.raises(ValueError, match=why):
        ClientAuth(method, "spa", "s")


@pytest.mark.rule("TK-01")
@pytest.mark.parametrize("method", METHODS)
def test_a_method_needs_what_it_proves_the_client_by(method: str) -> None:
    with pytest.raises(ValueError, match="needs"):
        ClientAuth(method, "spa")


def test_a_short_secret_is_no_key_for_a_signature() -> None:
    """RFC 7518 section 3.2."""
    with pytest.raises(ValueError, match="at least 32 bytes"):
        ClientAuth("client_secret_jwt", "spa", "x" * 31)


@pytest.mark.parametrize(
    ("listed", "supported"),
    [(None, True), (("client_secret_basic",), True), (("private_key_jwt",), False), ((), False)],
)
def test_an_op_that_lists_methods_must_list_ours(
    listed: tuple[str, ...] | None, *, supported: bool
) -> None:
    """An OP that lists none is tried: the default is client_secret_basic (RFC 8414 section 2)."""
    metadata = ProviderMetadata(ISSUER, URL, URL, URL, token_auth_methods=listed)
    auth = ClientAuth("client_secret_basic", "spa", "s")
    if supported:
        assert require_supported(auth, metadata) is None
    else:
        with pytest.raises(OpMetadataRefused, match="client_secret_basic"):
            require_supported(auth, metadata)


@pytest.mark.rule("FP-10")
@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_nothing_is_signed_with_an_algorithm_of_the_ops_choice(method: str, key: ClientKey) -> None:
    """Its list only narrows: `none`, or HMAC where the client has a key, is never used."""
    other = "HS256" if method == "private_key_jwt" else "ES256"
    metadata = ProviderMetadata(ISSUER, URL, URL, URL, token_auth_algs=("none", other))
    auth = ClientAuth(method, "spa", LONG_SECRET, (key,))
    with pytest.raises(OpMetadataRefused, match="auth_signing_alg_values_supported has none of"):
        auth.credentials(metadata, NOW)


def test_credentials_are_not_shown(key: ClientKey) -> None:
    for method in METHODS:
        auth = ClientAuth(method, "spa", LONG_SECRET, (key,), has_certificate=True)
        sent = auth.credentials(METADATA, NOW)
        assert "s3cret" not in repr(auth) + repr(sent)
        assert "eyJ" not in repr(sent)


@pytest.mark.rule("FP-10")
def test_where_several_issuers_share_an_op_its_token_endpoint_is_the_audience(
    key: ClientKey,
) -> None:
    """A template with `{tenantid}` names no OP."""
    several = ProviderMetadata(f"{ISSUER}/{{tenantid}}/v2.0", URL, URL, URL)
    auth = ClientAuth("private_key_jwt", "spa", "", (key,)).credentials(several, NOW)
    assert part(auth.form["client_assertion"], 1)["aud"] == URL
