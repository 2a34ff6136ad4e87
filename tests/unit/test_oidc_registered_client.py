"""What an OP says of a client that it has registered shows no secret, and is compared member by
member with what was asked for (RFC 7591 section 3.2.1)."""

import pytest

from bff.oidc.provider.endpoint_url import PlainHttp, is_endpoint_url
from bff.oidc.registered_client import (
    LONGEST_CHARS,
    Management,
    UnusableAnswer,
    Weight,
    differences,
    process_registration,
)

KNOWN = Management("https://op.example.com/register/a", "the-old-token")


def is_https_url(url: str) -> bool:
    return is_endpoint_url(url, PlainHttp.NEVER)


def test_no_secret_is_in_a_repr() -> None:
    document = {"client_id": "a", "client_secret": "s-3-c-r-e-t"}
    document |= {"registration_access_token": "t-0-k-e-n", "registration_client_uri": KNOWN.uri}
    client = process_registration(document, is_https_url)
    assert "s-3-c-r-e-t" not in repr(client)
    assert "t-0-k-e-n" not in repr(client)
    assert (client.client_secret, client.management) == (
        "s-3-c-r-e-t",
        Management(KNOWN.uri, "t-0-k-e-n"),
    )


def test_what_an_answer_leaves_out_stays_as_it_was() -> None:
    """RFC 7592 section 3: a new token or address only where there is one."""
    assert process_registration({"client_id": "a"}, is_https_url, KNOWN).management == KNOWN
    moved = {"client_id": "a", "registration_client_uri": "https://op.example.com/b"}
    assert process_registration(moved, is_https_url, KNOWN).management == Management(
        "https://op.example.com/b", "the-old-token"
    )
    assert process_registration(moved, is_https_url).management is None


@pytest.mark.parametrize("expires_at", [True, "0", 1.5, None])
def test_a_time_is_a_number(expires_at: object) -> None:
    with pytest.raises(UnusableAnswer, match="client_secret_expires_at"):
        process_registration(
            {"client_id": "a", "client_secret_expires_at": expires_at}, is_https_url
        )


MEMBERS = (
    "client_id",
    "client_secret",
    "registration_client_uri",
    "registration_access_token",
)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("value", [7, ["a"], "a b", "a\n", "\xe4", "x" * (LONGEST_CHARS + 1)])
def test_a_text_that_no_header_would_keep_is_unusable(member: str, value: object) -> None:
    """RFC 6749 appendices A.1 and A.2."""
    with pytest.raises(UnusableAnswer, match=f"no usable {member}"):
        process_registration({"client_id": "a", member: value}, is_https_url)


def test_a_text_may_be_so_long() -> None:
    longest = "x" * LONGEST_CHARS
    client = process_registration({"client_id": longest, "client_secret": longest}, is_https_url)
    assert client.client_id == client.client_secret == longest


@pytest.mark.parametrize("secret", [None, ""])
def test_an_empty_text_is_none(secret: object) -> None:
    """Some OPs write it so for a client without a secret."""
    client = process_registration({"client_id": "a", "client_secret": secret}, is_https_url)
    assert client.client_secret is None


@pytest.mark.parametrize(
    ("member", "asked", "found", "weight"),
    [
        ("redirect_uris", ["https://a/"], ["https://a/"], None),
        ("redirect_uris", ["https://a/"], None, Weight.IGNORED),
        ("redirect_uris", ["https://a/"], [], Weight.UNUSABLE),
        ("redirect_uris", ["https://a/"], ["https://a"], Weight.UNUSABLE),
        ("redirect_uris", ["https://a/"], ["https://a/", "https://b/"], Weight.UNUSABLE),
        ("token_endpoint_auth_method", "client_secret_basic", None, None),
        ("token_endpoint_auth_method", "client_secret_post", None, Weight.CHANGED),
        ("token_endpoint_auth_method", "client_secret_post", "client_secret_post", None),
        ("token_endpoint_auth_method", "client_secret_basic", "none", Weight.UNUSABLE),
        ("grant_types", ["authorization_code"], ["authorization_code"], None),
        ("grant_types", ["authorization_code"], ["authorization_code", "implicit"], Weight.CHANGED),
        ("grant_types", ["authorization_code"], ["implicit"], Weight.UNUSABLE),
        ("grant_types", ["authorization_code"], None, Weight.IGNORED),
        ("response_types", ["code"], ["code", "id_token"], None),
        ("response_types", ["code"], None, None),
        ("response_types", ["code"], ["id_token"], Weight.UNUSABLE),
        ("scope", "openid email", "email openid x", None),
        ("scope", "openid email", "openid", Weight.CHANGED),
        ("scope", "openid email", "email", Weight.UNUSABLE),
        ("scope", "openid email", None, Weight.IGNORED),
        ("id_token_signed_response_alg", "RS256", None, None),
        ("id_token_signed_response_alg", "RS256", "RS256", None),
        ("id_token_signed_response_alg", "RS256", "ES256", Weight.CHANGED),
        ("id_token_signed_response_alg", "RS256", "none", Weight.UNUSABLE),
        ("post_logout_redirect_uris", ["https://a/"], ["https://b/"], Weight.CHANGED),
        ("backchannel_logout_uri", "https://a/", None, Weight.IGNORED),
        ("backchannel_logout_uri", "https://a/", "https://b/", Weight.CHANGED),
        ("backchannel_logout_uri", "https://a/", "a:/htps", Weight.CHANGED),
        ("frontchannel_logout_uri", "https://a/", "https://a/", None),
        ("backchannel_logout_session_required", True, False, Weight.CHANGED),
        ("backchannel_logout_session_required", True, None, None),
        ("backchannel_logout_session_required", False, True, None),
        ("backchannel_logout_session_required", False, False, None),
        ("require_pushed_authorization_requests", True, True, None),
        ("require_pushed_authorization_requests", True, None, Weight.IGNORED),
        ("require_pushed_authorization_requests", True, False, Weight.IGNORED),
        ("client_name", "a", "b", None),
    ],
)
@pytest.mark.rule("OP-09")
def test_differences(member: str, asked: object, found: object, weight: Weight | None) -> None:
    registered = {} if found is None else {member: found}
    weights = [difference.weight for difference in differences({member: asked}, registered)]
    assert weights == ([] if weight is None else [weight])
