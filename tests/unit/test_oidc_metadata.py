"""Provider metadata: what is believed and what is not."""

import pytest

from bff.errors import OpAnswerMalformed, OpError, OpMetadataRefused
from bff.oidc.provider.metadata import discovery_url, process_metadata

ISSUER = "https://op.example.test/realms/acme"
DOCUMENT: dict[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
}


def test_the_least_an_op_can_say_is_enough() -> None:
    metadata = process_metadata(200, DOCUMENT, issuer=ISSUER)
    assert metadata.token_endpoint == f"{ISSUER}/token"
    assert metadata.end_session_endpoint is None
    assert metadata.token_auth_methods is None
    assert metadata.sends_response_issuer is False
    assert metadata.scopes_supported is None


def test_everything_that_is_used_is_read() -> None:
    more = {
        "userinfo_endpoint": f"{ISSUER}/userinfo",
        "revocation_endpoint": f"{ISSUER}/revoke",
        "end_session_endpoint": f"{ISSUER}/logout?x=1",
        "response_types_supported": ["code", "id_token"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": ["openid", "offline_access"],
        "an_unknown_member": {"x": 1},
    }
    metadata = process_metadata(200, {**DOCUMENT, **more}, issuer=ISSUER)
    assert metadata.userinfo_endpoint == f"{ISSUER}/userinfo"
    assert metadata.revocation_endpoint == f"{ISSUER}/revoke"
    assert metadata.end_session_endpoint == f"{ISSUER}/logout?x=1"
    assert metadata.token_auth_methods == ("client_secret_basic",)
    assert metadata.sends_response_issuer is True
    assert metadata.scopes_supported == ("openid", "offline_access")


@pytest.mark.parametrize("listed", ["openid", {"openid": True}, 1])
def test_a_malformed_list_that_nothing_depends_on_locks_no_user_out(listed: object) -> None:
    """It is for advice only."""
    metadata = process_metadata(200, {**DOCUMENT, "scopes_supported": listed}, issuer=ISSUER)
    assert metadata.scopes_supported is None


@pytest.mark.rule("AZ-17")
@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER.replace("https", "http"),
        ISSUER.replace("realms", "%72ealms"),
        "https://evil.example.test",
        [ISSUER],
        None,
    ],
)
def test_the_issuer_must_be_the_configured_one_to_the_letter(issuer: object) -> None:
    """Discovery section 4.3, RFC 8414 section 3.3."""
    with pytest.raises(OpMetadataRefused):
        process_metadata(200, {**DOCUMENT, "issuer": issuer}, issuer=ISSUER)


@pytest.mark.rule("AZ-17")
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("value", [None, 7, "", "/token", "http://op.example.test/x"])
def test_a_needed_endpoint_must_be_there_and_secure(name: str, value: object) -> None:
    with pytest.raises(OpMetadataRefused, match=name):
        process_metadata(200, {**DOCUMENT, name: value}, issuer=ISSUER)


@pytest.mark.rule("AZ-17")
@pytest.mark.parametrize(
    "name", ["userinfo_endpoint", "revocation_endpoint", "end_session_endpoint"]
)
def test_an_optional_endpoint_is_secure_or_absent(name: str) -> None:
    with pytest.raises(OpMetadataRefused, match=name):
        process_metadata(200, {**DOCUMENT, name: "http://op.example.test/x"}, issuer=ISSUER)


@pytest.mark.rule("AZ-17")
def test_plain_http_works_on_loopback_and_by_explicit_relaxation_only() -> None:
    local = "http://127.0.0.1:9000"
    document: dict[str, object] = {
        "issuer": local,
        "authorization_endpoint": f"{local}/auth",
        "token_endpoint": f"{local}/token",
        "jwks_uri": f"{local}/jwks",
    }
    assert process_metadata(200, document, issuer=local).jwks_uri == f"{local}/jwks"
    mixed = {**DOCUMENT, "token_endpoint": f"{local}/token"}
    with pytest.raises(OpMetadataRefused):
        process_metadata(200, mixed, issuer=ISSUER)
    relaxed = process_metadata(200, mixed, issuer=ISSUER, allow_insecure_http=True)
    assert relaxed.token_endpoint == f"{local}/token"


@pytest.mark.rule("AZ-01")
@pytest.mark.rule("AZ-02")
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": []},
        {"code_challenge_methods_supported": "S256"},
        {"response_types_supported": ["id_token"]},
        {"token_endpoint_auth_methods_supported": "client_secret_basic"},
    ],
)
def test_an_op_that_cannot_do_code_with_s256_is_refused(changes: dict[str, object]) -> None:
    """RFC 9700 section 2.1.1: `plain` is never fallen back to."""
    with pytest.raises(OpMetadataRefused):
        process_metadata(200, {**DOCUMENT, **changes}, issuer=ISSUER)


@pytest.mark.parametrize(
    ("status", "document"), [(302, None), (404, DOCUMENT), (200, None), (200, []), (200, "x")]
)
def test_anything_but_a_document_is_malformed(status: int, document: object) -> None:
    with pytest.raises(OpAnswerMalformed):
        process_metadata(status, document, issuer=ISSUER)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"issuer": f"{ISSUER}/"}, [f"'{ISSUER}/'", f"'{ISSUER}'", "oidc.issuer"]),
        ({"issuer": None}, ["nothing", f"'{ISSUER}'"]),
        ({"issuer": {"a": "CANARY"}}, ["no text", f"'{ISSUER}'"]),
        ({"token_endpoint": "http://op.test/t"}, ["token_endpoint", "'http://op.test/t'"]),
        ({"response_types_supported": ["id_token"]}, ["code", "['id_token']"]),
        ({"issuer": "a\r\n\x1b[2J\u2028" + "x" * 9000}, [r"a\r\n\x1b[2J\u2028xxx", "..."]),
    ],
)
def test_what_is_wrong_is_shown_beside_what_is_expected(
    changes: dict[str, object], shown: list[str]
) -> None:
    """For the log: quoted, escaped and cut. An operator can mend nothing without both."""
    with pytest.raises(OpError) as caught:
        process_metadata(200, {**DOCUMENT, **changes}, issuer=ISSUER)
    detail = caught.value.log_detail
    for text in shown:
        assert text in detail
    assert len(detail) < 400
    assert detail.isprintable()
    assert "CANARY" not in detail
    assert caught.value.title not in detail


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://op.test", "https://op.test/.well-known/openid-configuration"),
        ("https://op.test/", "https://op.test/.well-known/openid-configuration"),
        ("https://op.test/a/", "https://op.test/a/.well-known/openid-configuration"),
    ],
)
def test_metadata_lies_under_the_issuer(issuer: str, url: str) -> None:
    """Discovery section 4: a terminating slash is removed first."""
    assert discovery_url(issuer) == url


def test_what_is_no_name_in_a_list_of_names_is_left_out() -> None:
    listed = {"token_endpoint_auth_methods_supported": ["client_secret_post", 7, None]}
    metadata = process_metadata(200, {**DOCUMENT, **listed}, issuer=ISSUER)
    assert metadata.token_auth_methods == ("client_secret_post",)


def test_null_is_no_alias_and_takes_no_endpoint_away() -> None:
    usual = {**DOCUMENT, "revocation_endpoint": f"{ISSUER}/revoke"}
    for aliases in (None, {"revocation_endpoint": None, "token_endpoint": f"{ISSUER}/mtls"}):
        document = {**usual, "mtls_endpoint_aliases": aliases}
        metadata = process_metadata(200, document, issuer=ISSUER, uses_mtls=True)
        assert metadata.revocation_endpoint == f"{ISSUER}/revoke"
        assert metadata.token_endpoint == f"{ISSUER}/{'mtls' if aliases else 'token'}"
