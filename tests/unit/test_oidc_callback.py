"""The authorization response: one reading, one sender."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import (
    BffError,
    CallbackInvalid,
    IssuerMismatch,
    LoginDenied,
    LoginExpired,
    LoginRefused,
    OpUnavailable,
    StepUpNotMet,
)
from bff.oidc.provider.issuers import TrustedIssuers
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.callback import (
    MAX_RESPONSE_CHARS,
    AuthorizationResponse,
    process_callback,
    require_code,
    require_issuer,
)

ISSUER = "https://op.example.test"


def metadata(*, advertises: bool) -> ProviderMetadata:
    url = f"{ISSUER}/x"
    return ProviderMetadata(ISSUER, url, url, url, sends_response_issuer=advertises)


@pytest.mark.parametrize(
    ("raw", "response"),
    [
        ("code=c&state=s", AuthorizationResponse("s", "c")),
        ("state=a%20b&code=c%2Fd", AuthorizationResponse("a b", "c/d")),
        ("code=c&state=s&iss=https%3A%2F%2Fop", AuthorizationResponse("s", "c", "https://op")),
        ("code=c&state=s&session_state=x&x=1&x=2", AuthorizationResponse("s", "c")),
        ("error=a&state=s", AuthorizationResponse("s", error="a", reason="unreadable")),
        (
            "code=&error=a&error_description=b_c&state=s",
            AuthorizationResponse("s", error="a", reason="b_c"),
        ),
        (
            "error=a&error_description=%3Cb%3E&error_description=c%20d%C3%A4&state=s",
            AuthorizationResponse("s", error="a", reason="unreadable"),
        ),
        ("code=c&state=s&iss=", AuthorizationResponse("s", "c")),
        ("code=c&state=s&access_token=t&id_token=t", AuthorizationResponse("s", "c")),
    ],
)
def test_a_response_is_read(raw: str, response: AuthorizationResponse) -> None:
    """RFC 6749 section 4.1.2: unrecognised parameters are ignored (implicit tokens among them)."""
    assert process_callback(raw) == response


REFUSED = {
    "nothing": "",
    "no_state": "code=c",
    "empty_state": "code=c&state=",
    "no_code": "state=s",
    "empty_code": "code=&state=s",
    "implicit": "access_token=t&state=s",
    "code_and_error": "code=c&error=access_denied&state=s",
    "code_twice": "code=a&code=b&state=s",
    "code_twice_the_same": "code=a&code=a&state=s",
    "code_twice_one_empty": "code=&code=b&state=s",
    "code_twice_by_escape": "code=a&c%6fde=b&state=s",
    "state_twice": "code=a&state=s&state=t",
    "iss_twice": "code=a&state=s&iss=a&iss=b",
    "error_twice": "error=a&error=b&state=s",
    "control_character": "code=a%0d%0ab&state=s",
    "nul": "code=a&state=s%00",
    "not_ascii": "code=%C3%A9&state=s",
    "not_utf8": "code=%ff&state=s",
    "not_utf8_elsewhere": "code=a&state=s&x=%ff",
    "too_long": "code=a&state=s&error_reason=" + "x" * 9000,
    "too_many": "code=a&state=s" + "&x=1" * 40,
}


@pytest.mark.rule("AZ-03")
@pytest.mark.rule("AZ-09")
@pytest.mark.rule("AZ-10")
@pytest.mark.parametrize("kind", REFUSED)
def test_an_ambiguous_response_is_refused(kind: str) -> None:
    """RFC 6749 section 3.1: not more than once; without a value, omitted."""
    with pytest.raises(CallbackInvalid):
        process_callback(REFUSED[kind])


@given(st.text(max_size=80) | st.text(alphabet="code=state&%r0", max_size=80))
def test_any_text_is_read_or_refused(raw: str) -> None:
    try:
        response = process_callback(raw)
    except CallbackInvalid:
        return
    assert response.state
    assert (response.code is None) != (response.error is None)


@pytest.mark.rule("AZ-07")
@pytest.mark.parametrize("advertises", [True, False])
@pytest.mark.parametrize(
    "iss",
    [
        "https://evil.example.test",
        ISSUER + "/",
        ISSUER.upper(),
        "https://op.example.test:443",
        "https://op.example%2Etest",
        "HTTPS://op.example.test",
        "op.example.test",
    ],
)
def test_another_issuer_is_refused_by_simple_comparison(iss: str, *, advertises: bool) -> None:
    """RFC 9207 section 2.4, RFC 3986 section 6.2.1."""
    with pytest.raises(IssuerMismatch):
        require_issuer(iss, metadata(advertises=advertises), TrustedIssuers(ISSUER))
    require_issuer(ISSUER, metadata(advertises=advertises), TrustedIssuers(ISSUER))


@pytest.mark.rule("AZ-07")
def test_a_missing_issuer_is_refused_when_the_op_says_it_sends_it() -> None:
    """RFC 9207 section 2.4."""
    with pytest.raises(IssuerMismatch):
        require_issuer(None, metadata(advertises=True), TrustedIssuers(ISSUER))
    require_issuer(None, metadata(advertises=False), TrustedIssuers(ISSUER))


@pytest.mark.rule("AZ-09")
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("access_denied", LoginDenied),
        ("login_required", LoginDenied),
        ("interaction_required", LoginDenied),
        ("consent_required", LoginDenied),
        ("account_selection_required", LoginDenied),
        ("unmet_authentication_requirements", StepUpNotMet),
        ("temporarily_unavailable", OpUnavailable),
        ("server_error", OpUnavailable),
        ("invalid_scope", LoginRefused),
        ("<script>alert(1)</script>", LoginRefused),
        ("x" * 41, LoginRefused),
    ],
)
def test_an_error_becomes_one_of_ours(error: str, kind: type[BffError]) -> None:
    """RFC 6749 section 4.1.2.1, OIDC Core section 3.1.2.6; its text goes nowhere."""
    response = process_callback(f"error={error}&error_description=CANARY&state=s")
    with pytest.raises(kind) as caught:
        require_code(response)
    assert type(caught.value) is kind
    shown = f"{caught.value} {caught.value.title} {response!r}"
    assert "CANARY" not in shown
    assert "<" not in shown.replace(repr(response), "")
    assert "script" not in shown


def test_a_code_is_handed_on_and_not_shown() -> None:
    response = process_callback("code=the-code&state=the-state")
    assert require_code(response) == "the-code"
    assert "the-" not in repr(response)


def test_a_login_that_took_longer_than_the_op_allows_has_expired() -> None:
    """Keycloak says so in the description of an outage."""
    late = AuthorizationResponse(
        "s", error="temporarily_unavailable", reason="authentication_expired"
    )
    with pytest.raises(LoginExpired):
        require_code(late)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("state=s", "neither code nor error"),
        ("state=s&code=c&error=e", "both code and error"),
        ("code=c", "no state"),
        ("code=a&code=b&state=s", "code is given more than once"),
        ("code=a&state=%00", "state holds characters"),
    ],
)
def test_the_log_says_why_a_response_is_refused(raw: str, why: str) -> None:
    with pytest.raises(CallbackInvalid, match=why):
        process_callback(raw)


@pytest.mark.rule("AZ-09")
def test_a_response_may_be_so_long_and_no_longer() -> None:
    raw = "code=c&state=s&x=".ljust(MAX_RESPONSE_CHARS, "x")
    assert process_callback(raw).code == "c"
    with pytest.raises(CallbackInvalid, match="too long"):
        process_callback(raw + "x")
