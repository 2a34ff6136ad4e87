"""The claims of an ID token, one table row a check of OIDC Core section 3.1.3.7."""

from collections.abc import Mapping

import pytest

from bff.errors import IdTokenInvalid, StepUpNotMet
from bff.model import Session, Tokens
from bff.oidc.jwt.id_token import (
    EndUser,
    IdTokenRules,
    require_same_end_user,
    require_step_up,
    verify_login_id_token,
    verify_refreshed_id_token,
)
from bff.oidc.jwt.signed_jwt import VerifiedJwt
from bff.oidc.step_up import StepUp
from tests.parts.scripted_op import at_hash

NOW = 1_700_000_000.0
T = int(NOW)
ISSUER = "https://op.example.test"
RULES = IdTokenRules(issuer=ISSUER, client_id="spa", algs=frozenset({"RS256"}))
CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": "spa",
    "exp": T + 300,
    "iat": T,
    "nonce": "n1",
}
REMOVED = object()


def changed(changes: Mapping[str, object]) -> dict[str, object]:
    return {k: v for k, v in {**CLAIMS, **changes}.items() if v is not REMOVED}


def log_in(
    changes: Mapping[str, object],
    *,
    alg: str = "RS256",
    rules: IdTokenRules = RULES,
    nonce: str = "n1",
) -> EndUser:
    jwt = VerifiedJwt(alg, changed(changes))
    return verify_login_id_token(jwt, rules, nonce=nonce, access_token="the-token", now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["spa"]},
        {"aud": ["spa", "spa"]},
        {"azp": "spa"},
        {"exp": T - 29},
        {"exp": T + 300.5},
        {"iat": T + 29},
        {"iat": T + 30},
        {"iat": T - 630},
        {"nbf": T + 30},
        {"sub": "a"},
        {"at_hash": at_hash("the-token")},
        {"sub": "a" * 255},
        {"unknown": {"x": 1}},
    ],
)
def test_a_good_id_token_is_accepted(changes: Mapping[str, object]) -> None:
    assert log_in(changes).sub == changed(changes)["sub"]


ISS = [ISSUER + "/", ISSUER.upper(), "https://evil.test", "", None, [ISSUER], REMOVED]
AUD = ["other", "spa-prefix", "SPA", "", [], [["spa"]], ["other"], {"spa": 1}, 7, None, REMOVED]
SUB = ["", "a" * 256, "älice", "a\nb", "a\x00", 7, {"id": 1}, ["alice"], None, REMOVED]
NONCE = ["other", "", "N1", ["n1"], 7, None, REMOVED]
EXP = [T - 30, T - 61, 0, -1, 1e18, 10**400, str(T + 300), True, None, [T], REMOVED]
IAT = [T + 31, T + 600, T - 631, T - 86400, 1e18, -1, str(T), False, None, REMOVED]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        *[pytest.param({"iss": v}, "iss", marks=pytest.mark.rule("ID-01")) for v in ISS],
        *[pytest.param({"aud": v}, "aud", marks=pytest.mark.rule("ID-02")) for v in AUD],
        *[pytest.param({"sub": v}, "sub", marks=pytest.mark.rule("ID-11")) for v in SUB],
        *[pytest.param({"nonce": v}, "nonce", marks=pytest.mark.rule("ID-09")) for v in NONCE],
        *[pytest.param({"exp": v}, "exp", marks=pytest.mark.rule("ID-10")) for v in EXP],
        *[pytest.param({"iat": v}, "iat", marks=pytest.mark.rule("ID-10")) for v in IAT],
        *[
            pytest.param({"nbf": v}, "nbf", marks=pytest.mark.rule("ID-10"))
            for v in (T + 31, T + 600, "soon", None, 1e18)
        ],
        *[
            pytest.param(changes, check, marks=pytest.mark.rule("ID-03"))
            for changes, check in (
                ({"aud": "other", "azp": "spa"}, "aud"),
                ({"aud": ["spa", "other"]}, "aud_untrusted"),
                ({"aud": ["spa", "other"], "azp": "spa"}, "aud_untrusted"),
                ({"aud": ["spa", 7]}, "aud"),
                ({"azp": "other"}, "azp"),
                ({"azp": ["spa"]}, "azp"),
            )
        ],
        *[
            pytest.param({"at_hash": v}, "at_hash", marks=pytest.mark.rule("ID-12"))
            for v in ("", "wrong", at_hash("another"), at_hash("the-token") + "=", None, 7)
        ],
        pytest.param({"events": {}}, "events", marks=pytest.mark.rule("ID-14")),
        ({"sid": 7}, "sid"),
        ({"sid": ""}, "sid"),
        ({"acr": ["1"]}, "acr"),
        ({"auth_time": "yesterday"}, "auth_time"),
        ({"auth_time": True}, "auth_time"),
        ({"auth_time": 10**400}, "auth_time"),
    ],
)
def test_each_check_refuses_by_its_name(changes: Mapping[str, object], check: str) -> None:
    with pytest.raises(IdTokenInvalid) as caught:
        log_in(changes)
    assert caught.value.check == check
    assert caught.value.log_detail.partition(":")[0] == check
    assert "alice" not in caught.value.log_detail  # nothing about the user


@pytest.mark.rule("ID-09")
def test_an_empty_nonce_never_matches() -> None:
    with pytest.raises(IdTokenInvalid, match="nonce"):
        log_in({"nonce": ""}, nonce="")


@pytest.mark.rule("DL-06")
@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"nonce": REMOVED}, None),
        ({"nonce": None}, None),
        ({"nonce": REMOVED, "iat": T - 100 - 30}, None),
        ({"nonce": REMOVED, "iat": T - 100 - 31}, "iat"),
        ({"nonce": REMOVED, "iat": T + 31}, "iat"),
        ({"nonce": "n1"}, "nonce"),
        ({"nonce": ""}, "nonce"),
    ],
)
def test_without_a_nonce_the_token_is_of_this_login_by_its_time(
    changes: Mapping[str, object], check: str | None
) -> None:
    """A login by device code that was begun 100 s ago, and clocks that may differ by 30 s."""
    jwt = VerifiedJwt("RS256", changed(changes))

    def verify() -> EndUser:
        return verify_login_id_token(
            jwt, RULES, nonce=None, access_token="the-token", now=NOW, begun_at=NOW - 100
        )

    if check is None:
        assert verify().sub == "alice"
    else:
        with pytest.raises(IdTokenInvalid, match=check):
            verify()


@pytest.mark.rule("ID-03")
def test_an_audience_beside_us_must_be_trusted_and_azp_must_name_us() -> None:
    """OIDC Core section 3.1.3.7 (3), (4), (5)."""
    rules = IdTokenRules(ISSUER, "spa", frozenset({"RS256"}), frozenset({"project"}))
    assert log_in({"aud": ["spa", "project"], "azp": "spa"}, rules=rules).sub == "alice"
    for changes in (
        {"aud": ["spa", "project"]},
        {"aud": ["spa", "project"], "azp": "project"},
    ):
        with pytest.raises(IdTokenInvalid, match="azp"):
            log_in(changes, rules=rules)
    with pytest.raises(IdTokenInvalid, match="aud"):
        log_in({"aud": ["project"], "azp": "spa"}, rules=rules)


@pytest.mark.rule("ID-12")
@pytest.mark.parametrize(
    ("alg", "name"),
    [
        ("RS256", "sha256"),
        ("ES384", "sha384"),
        ("PS512", "sha512"),
        ("EdDSA", "sha512"),
        ("Ed25519", "sha512"),
    ],
)
def test_at_hash_uses_the_hash_of_the_tokens_algorithm(alg: str, name: str) -> None:
    """OIDC Core section 3.1.3.6."""
    assert log_in({"at_hash": at_hash("the-token", name)}, alg=alg).sub == "alice"
    wrong = "sha256" if name != "sha256" else "sha512"
    with pytest.raises(IdTokenInvalid, match="at_hash"):
        log_in({"at_hash": at_hash("the-token", wrong)}, alg=alg)


@pytest.mark.rule("ID-10")
@pytest.mark.rule("OP-04")
def test_the_leeway_is_the_configured_one() -> None:
    strict = IdTokenRules(ISSUER, "spa", frozenset({"RS256"}), leeway_seconds=0)
    for changes in ({"exp": T}, {"iat": T + 1}, {"nbf": T + 1}):
        with pytest.raises(IdTokenInvalid):
            log_in(changes, rules=strict)
    assert log_in({"exp": T + 1, "iat": T, "nbf": T}, rules=strict).sub == "alice"


def test_what_was_said_about_the_authentication_is_kept() -> None:
    user = log_in({"sid": "s1", "acr": "gold", "auth_time": T - 5.5})
    assert (user.sid, user.acr, user.auth_time) == ("s1", "gold", T - 6)
    assert user.claims["nonce"] == "n1"
    assert "alice" in repr(user)
    assert "n1" not in repr(user)


@pytest.mark.rule("ID-13")
@pytest.mark.parametrize(
    ("acr", "auth_time", "acr_values", "max_age", "met"),
    [
        (None, None, (), None, True),
        ("gold", None, ("gold",), None, True),
        ("gold", None, ("silver", "gold"), None, True),
        ("silver", None, ("gold",), None, False),
        ("GOLD", None, ("gold",), None, False),
        ("gol", None, ("gold",), None, False),
        (None, None, ("gold",), None, False),
        (None, T - 60, (), 60, True),
        (None, T - 90, (), 60, True),
        (None, T - 91, (), 60, False),
        (None, T + 30, (), 60, True),
        (None, T + 31, (), 60, False),
        (None, None, (), 60, False),
        (None, T - 10, (), 0, True),
        (None, T - 31, (), 0, False),
        ("gold", None, ("gold",), 60, False),
    ],
)
def test_a_step_up_is_met_only_as_it_was_asked_for(
    acr: str | None,
    auth_time: int | None,
    acr_values: tuple[str, ...],
    max_age: int | None,
    met: bool,
) -> None:
    """OIDC Core sections 3.1.2.1 and 3.1.3.7 (12), (13); leeway 30 s."""
    user = EndUser("alice", None, acr, auth_time, {}, ISSUER)
    if met:
        require_step_up(user, StepUp(acr_values, max_age), RULES.step_up, NOW)
    else:
        with pytest.raises(StepUpNotMet):
            require_step_up(user, StepUp(acr_values, max_age), RULES.step_up, NOW)


SESSION = Session(
    key="0" * 64,
    version=1,
    issuer=ISSUER,
    sub="alice",
    sid=None,
    created_at=NOW - 7200,
    expires_at=NOW + 3600,
    idle_expires_at=NOW + 600,
    tokens=Tokens("old", NOW - 60, NOW),
)


def refresh(changes: Mapping[str, object], nonce: str | None = "n1") -> EndUser:
    jwt = VerifiedJwt("RS256", changed(changes))
    return verify_refreshed_id_token(
        jwt, RULES, session=SESSION, nonce=nonce, access_token="the-token", now=NOW
    )


@pytest.mark.rule("TK-11")
@pytest.mark.parametrize(
    ("changes", "nonce"),
    [
        ({}, "n1"),
        ({"nonce": REMOVED}, "n1"),
        ({"nonce": "anything"}, None),
        ({"iat": T - 7200}, "n1"),
        ({"aud": ["spa"]}, "n1"),
        ({"at_hash": at_hash("the-token")}, "n1"),
    ],
)
def test_a_refreshed_id_token_for_the_same_user_is_accepted(
    changes: Mapping[str, object], nonce: str | None
) -> None:
    """OIDC Core section 12.2. Some OPs repeat the login's ID token, so its age is no matter."""
    assert refresh(changes, nonce).sub == "alice"


@pytest.mark.rule("TK-11")
@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"sub": "bob"}, "sub"),
        ({"sub": "ALICE"}, "sub"),
        ({"sub": REMOVED}, "sub"),
        ({"iss": "https://evil.test"}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": ["spa", "other"]}, "aud_untrusted"),
        ({"azp": "other"}, "azp"),
        ({"nonce": "n2"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"events": {}}, "events"),
        ({"at_hash": at_hash("old")}, "at_hash"),
        ({"exp": T - 31}, "exp"),
        ({"exp": REMOVED}, "exp"),
        ({"iat": T + 31}, "iat"),
        ({"nbf": T + 31}, "nbf"),
    ],
)
def test_a_refreshed_id_token_is_checked_by_name(changes: Mapping[str, object], check: str) -> None:
    with pytest.raises(IdTokenInvalid) as caught:
        refresh(changes)
    assert caught.value.check == check


@pytest.mark.rule("TK-11")
def test_the_session_decides_whose_token_it_must_be() -> None:
    """Also when the session stems from a time with another issuer in the configuration."""
    other = IdTokenRules(issuer="https://new.test", client_id="spa", algs=frozenset({"RS256"}))
    with pytest.raises(IdTokenInvalid, match="iss"):
        require_same_end_user(changed({"iss": "https://new.test"}), other, SESSION, "n1")


@pytest.mark.parametrize(
    ("pattern", "audience", "fits"),
    [
        ("app.example", "app.example", True),
        ("app.example", "app-example", False),
        ("app*", "app", True),
        ("*app", "the app", True),
        ("*app", "app2", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*b*c*d", "a-b-d", False),
        ("a*a", "a", False),
        ("*a*a*a*a*a*a*a*a*b", "a" * 5000, False),  # in no time
    ],
)
def test_a_pattern_is_for_whole_audiences(pattern: str, audience: str, fits: bool) -> None:
    rules = IdTokenRules("https://id.example", "spa", frozenset(), audience_pattern=pattern)
    assert (rules.untrusted(frozenset({"spa", audience})) == frozenset()) == fits
