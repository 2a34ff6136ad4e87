"""Signed authorization responses (JARM): what is asked for, what the claims must say, and which
login an answer may belong to."""

from dataclasses import replace

import pytest

from bff.errors import CallbackInvalid, LoginResponseInvalid, OpMetadataRefused
from bff.oidc.jwt.id_token import IdTokenRules
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.callback import AuthorizationResponse, process_callback, signed_response_in
from bff.oidc.steps.signed_response import (
    MODES,
    mode_to_ask_for,
    process_signed_claims,
    require_response_mode,
    stated_state,
)
from tests.parts.scripted_op import b64json

ISSUER = "https://op.example.test"
URL = f"{ISSUER}/x"
METADATA = ProviderMetadata(ISSUER, URL, URL, URL)
RULES = IdTokenRules(issuer=ISSUER, client_id="spa", algs=frozenset({"RS256"}))
NOW = 1_800_000_000.0
CLAIMS = {"iss": ISSUER, "aud": "spa", "exp": NOW + 60, "state": "s", "code": "c"}


@pytest.mark.rule("FP-15")
def test_a_signed_answer_is_asked_for_where_the_op_can_give_one() -> None:
    assert mode_to_ask_for("query", ["RS256"], METADATA) is None
    assert mode_to_ask_for("query.jwt", ["RS256"], METADATA) == "query.jwt"
    listed = replace(
        METADATA, response_modes=("query", "query.jwt"), response_algs=("RS256", "ES256")
    )
    assert mode_to_ask_for("query.jwt", ["PS256", "ES256"], listed) == "query.jwt"
    with pytest.raises(
        OpMetadataRefused, match=r"_supported has none of PS256: \['ES256', 'RS256'"
    ):
        mode_to_ask_for("query.jwt", ["PS256"], listed)
    plain = replace(METADATA, response_modes=("query", "fragment.jwt"))
    with pytest.raises(OpMetadataRefused, match=r"response_modes_supported lacks query\.jwt"):
        mode_to_ask_for("query.jwt", ["RS256"], plain)
    assert mode_to_ask_for("query", ["RS256"], plain) is None


@pytest.mark.rule("FP-15")
@pytest.mark.parametrize(
    ("listed", "mode"),
    [
        (("jwt",), "jwt"),
        (("query", "jwt", "fragment.jwt"), "jwt"),
        (("jwt", "query.jwt"), "query.jwt"),
    ],
)
def test_an_op_may_list_the_mode_that_means_the_same(listed: tuple[str, ...], mode: str) -> None:
    """JARM section 2.3.4: for the code flow `jwt` is `query.jwt`."""
    metadata = replace(METADATA, response_modes=listed)
    assert mode_to_ask_for("query.jwt", ["RS256"], metadata) == mode
    assert mode_to_ask_for("query", ["RS256"], metadata) is None


def test_there_are_two_modes() -> None:
    """A form that is posted across sites is none of them (ADR 1)."""
    assert [require_response_mode(mode) for mode in MODES] == ["query", "query.jwt"]
    with pytest.raises(ValueError, match=r"must be one of query, query\.jwt"):
        require_response_mode("form_post.jwt")


def test_an_answer_is_what_its_claims_say() -> None:
    assert process_signed_claims(CLAIMS, RULES, NOW) == AuthorizationResponse("s", "c", ISSUER)
    alone = {**CLAIMS, "aud": ["spa"], "nbf": NOW, "iat": NOW}
    assert process_signed_claims(alone, RULES, NOW).code == "c"
    denied = {**CLAIMS, "code": "", "error": "access_denied", "error_description": "a_b"}
    assert process_signed_claims(denied, RULES, NOW) == AuthorizationResponse(
        "s", None, ISSUER, "access_denied", "a_b"
    )


@pytest.mark.rule("FP-15")
@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"iss": f"{ISSUER}/"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": ["spa", "other"]}, "aud"),
        ({"aud": []}, "aud"),
        ({"exp": NOW - 30}, "exp"),
        ({"exp": "1"}, "exp"),
        ({"nbf": NOW + 31}, "nbf"),
        ({"nbf": None}, "nbf"),
        ({"iat": NOW + 31}, "iat"),
        ({"iat": True}, "iat"),
    ],
)
def test_a_claim_that_is_not_right_is_named(changes: dict[str, object], check: str) -> None:
    """JARM section 2.4 (3), (4) and (5)."""
    with pytest.raises(LoginResponseInvalid) as caught:
        process_signed_claims({**CLAIMS, **changes}, RULES, NOW)
    assert caught.value.check == check


@pytest.mark.parametrize("leeway", [("exp", -29.0), ("nbf", 30.0), ("iat", 30.0)])
def test_clocks_may_differ_a_little(leeway: tuple[str, float]) -> None:
    name, seconds = leeway
    assert process_signed_claims({**CLAIMS, name: NOW + seconds}, RULES, NOW).state == "s"


@pytest.mark.rule("FP-15")
@pytest.mark.rule("AZ-10")
@pytest.mark.parametrize(
    "raw",
    [
        "",
        "code=c&state=s",
        "response=",
        "response=a&response=b",
        "response=a&state=",
        "response=a&error_description=x",
        "response=%ff",
        "x=1&response=" + "a" * 9000,
    ],
)
def test_one_parameter_is_the_answer_and_nothing_stands_beside_it(raw: str) -> None:
    with pytest.raises(CallbackInvalid):
        signed_response_in(raw)


def test_other_parameters_are_ignored() -> None:
    """RFC 6749 section 4.1.2."""
    assert signed_response_in("x=1&response=a.b.c&session_state=y") == "a.b.c"
    assert process_callback("code=c&state=s&response=").code == "c"
    with pytest.raises(CallbackInvalid, match="signed, which was not asked for"):
        process_callback("code=c&state=s&response=a.b.c")


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        ("code=c&state=s", "s"),
        (f"response=x.{b64json({'state': 's'})}.x", "s"),
        (f"state=plain&response=x.{b64json({'state': 's'})}.x", "s"),
        (f"response=x.{b64json({'state': ['s']})}.x", None),
        (f"response=x.{b64json({})}.x", None),
        ("response=x&state=s", None),
        ("code=c", None),
    ],
)
def test_which_login_an_answer_is_for_can_be_told_before_it_is_verified(
    raw: str, state: str | None
) -> None:
    assert stated_state(raw) == state
