"""Client authentication at the OP."""

from base64 import b64decode
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import OpMetadataRefused
from bff.oidc.client_auth import client_auth, require_supported
from bff.oidc.metadata import ProviderMetadata


@pytest.mark.rule("TK-02")
def test_basic_credentials_are_form_urlencoded_first() -> None:
    """RFC 6749 section 2.3.1 and appendix B."""
    auth = client_auth("client_secret_basic", "a:b c", "p%+&/=:ü")
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
    auth = client_auth("client_secret_basic", client_id, secret)
    pair = b64decode(auth.headers["Authorization"].removeprefix("Basic ")).decode("ascii")
    assert [unquote_plus(part) for part in pair.split(":")] == [client_id, secret]


@pytest.mark.rule("TK-02")
def test_post_credentials_are_in_the_form_only() -> None:
    auth = client_auth("client_secret_post", "spa", "s")
    assert auth.form == {"client_id": "spa", "client_secret": "s"}
    assert auth.headers == {}


@pytest.mark.rule("TK-01")
@pytest.mark.parametrize("method", ["none", "", "private_key_jwt", "CLIENT_SECRET_BASIC"])
def test_there_is_no_public_client(method: str) -> None:
    why = 'must not be "none": .* needs a secret' if method == "none" else "must be one of client_"
    with pytest.raises(ValueError, match=why):
        client_auth(method, "spa", "s")


@pytest.mark.parametrize(
    ("listed", "supported"),
    [(None, True), (("client_secret_basic",), True), (("private_key_jwt",), False), ((), False)],
)
def test_an_op_that_lists_methods_must_list_ours(
    listed: tuple[str, ...] | None, *, supported: bool
) -> None:
    """An OP that lists none is tried: the default is client_secret_basic (RFC 8414 section 2)."""
    url = "https://op.example.test/x"
    metadata = ProviderMetadata("https://op.example.test", url, url, url, token_auth_methods=listed)
    auth = client_auth("client_secret_basic", "spa", "s")
    if supported:
        require_supported(auth, metadata)
    else:
        with pytest.raises(OpMetadataRefused, match="client_secret_basic"):
            require_supported(auth, metadata)


def test_credentials_are_not_shown() -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        assert "s3cret" not in repr(client_auth(method, "spa", "s3cret"))
