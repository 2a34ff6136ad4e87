"""The address of the OP's logout."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.errors import OpMetadataRefused
from bff.oidc.steps.end_session import MAX_HINT_CHARS, RESERVED_PARAMETERS, end_session_url
from bff.oidc.steps.end_session import require_unreserved as require_unreserved_parameters

ENDPOINT = "https://op.example.test/logout"


def build(
    endpoint: str = ENDPOINT,
    hint: str | None = "a.b.c",
    back: str | None = "https://app.example.test/",
    static: dict[str, str] | None = None,
) -> str:
    return end_session_url(
        endpoint,
        client_id="spa",
        post_logout_redirect_uri=back,
        state="st",
        id_token_hint=hint,
        static=static or {},
    )


def sent(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


FULL = {
    "id_token_hint": "a.b.c",
    "client_id": "spa",
    "post_logout_redirect_uri": "https://app.example.test/",
    "state": "st",
}


@pytest.mark.rule("LO-02")
def test_the_request_of_rp_initiated_logout() -> None:
    """RP-Initiated Logout section 2; the endpoint's own query stays."""
    assert sent(build()) == FULL
    assert sent(build(ENDPOINT + "?tenant=a")) == {**FULL, "tenant": "a"}
    assert sent(build(static={"returnTo": "x"})) == {**FULL, "returnTo": "x"}


def test_a_further_parameter_may_be_the_address_to_return_to() -> None:
    """Of each frontend its own: an OP with a name of its own for it (Cognito)."""
    own = {"logout_uri": "{post_logout_redirect_uri}"}
    assert sent(build(static=own)) == {**FULL, "logout_uri": FULL["post_logout_redirect_uri"]}
    assert "logout_uri=" in build(static=own, back=None), "empty where there is none to return to"


@pytest.mark.rule("LO-02")
@pytest.mark.parametrize("hint", [None, "x" * (MAX_HINT_CHARS + 1)])
def test_without_a_usable_hint_the_client_id_says_who_we_are(hint: str | None) -> None:
    assert sent(build(hint=hint)) == {k: v for k, v in FULL.items() if k != "id_token_hint"}


def test_a_hint_may_be_so_long() -> None:
    """A longer one would not fit into the head of a request."""
    longest = "x" * MAX_HINT_CHARS
    assert sent(build(hint=longest)) == {**FULL, "id_token_hint": longest}


def test_state_goes_only_where_it_can_come_back() -> None:
    assert sent(build(back=None)) == {"id_token_hint": "a.b.c", "client_id": "spa"}


@pytest.mark.parametrize("name", sorted(RESERVED_PARAMETERS))
def test_neither_configuration_nor_endpoint_can_hold_our_parameters(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        require_unreserved_parameters({name: "x"})
    with pytest.raises(OpMetadataRefused):
        build(f"{ENDPOINT}?{name}=x")
