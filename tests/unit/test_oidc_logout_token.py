"""The claims of a logout token, one table row a check of Back-Channel Logout section 2.6."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import LogoutTokenInvalid
from bff.oidc.jwt.id_token import IdTokenRules
from bff.oidc.jwt.logout_token import (
    LOGOUT_EVENT,
    MAX_AGE_SECONDS,
    LogoutNotice,
    LogoutTokenRules,
    verify_logout_claims,
)

NOW = 1_700_000_000.0
T = int(NOW)
ISSUER = "https://op.example.test"
RULES = LogoutTokenRules(
    IdTokenRules(issuer=ISSUER, client_id="spa", algs=frozenset({"RS256"}), leeway_seconds=30.0)
)
RELAXED = replace(RULES, allow_without_exp=True)
CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "aud": "spa",
    "iat": T,
    "exp": T + 120,
    "jti": "j1",
    "events": {LOGOUT_EVENT: {}},
    "sub": "alice",
    "sid": "s1",
}
REMOVED = object()


def verify(changes: Mapping[str, object], rules: LogoutTokenRules = RULES) -> LogoutNotice:
    claims = {k: v for k, v in {**CLAIMS, **changes}.items() if v is not REMOVED}
    return verify_logout_claims(claims, rules, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["spa"]},
        {"aud": ["spa", "spa"]},
        {"iat": T + 30},
        {"iat": T - MAX_AGE_SECONDS - 29, "exp": T + 1},
        {"exp": T - 29},
        {"exp": T + 86_400},
        {"nbf": T + 30},
        {"events": {LOGOUT_EVENT: {"detail": 1}, "https://other.example/event": {}}},
        {"sub": "a" * 255},
        {"unknown": {"x": 1}},
    ],
)
def test_a_good_logout_token_is_accepted(changes: Mapping[str, object]) -> None:
    notice = verify(changes)
    assert (notice.issuer, notice.jti, notice.sid) == (ISSUER, "j1", "s1")


@pytest.mark.rule("LO-08")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ("alice", "s1")),
        ({"sid": REMOVED}, ("alice", None)),
        ({"sub": REMOVED}, (None, "s1")),
    ],
)
def test_it_names_a_user_or_a_session_or_both(
    changes: Mapping[str, object], named: tuple[str | None, str | None]
) -> None:
    notice = verify(changes)
    assert (notice.sub, notice.sid) == named


ISS = [ISSUER + "/", ISSUER.upper(), "https://evil.test", "", None, [ISSUER], REMOVED]
AUD = ["other", "SPA", "", [], [["spa"]], ["other"], ["spa", 7], {"spa": 1}, None, REMOVED]
IAT = [T + 31, T + 600, 1e18, -1, str(T), False, None, [T], REMOVED]
EXP = [T - 30, T - 600, 0, -1, 1e18, str(T + 120), True, None, [T], REMOVED]
WHO = ["", "a" * 256, "älice", "a\nb", 7, {"id": 1}, ["alice"], None]
JTI: list[object] = [REMOVED, "", None, 7, ["j1"]]
NO_OBJECT: list[object] = ["", "yes", None, True, 1, [], [{}]]
EVENTS: list[object] = [
    REMOVED,
    None,
    {},
    [LOGOUT_EVENT],
    LOGOUT_EVENT,
    {LOGOUT_EVENT + "/": {}},
    {"https://other.example/event": {}},
    *({LOGOUT_EVENT: value} for value in NO_OBJECT),
]


def rows(rule: str, check: str, name: str, values: list[object]) -> list[object]:
    """One claim with values that its check refuses."""
    return [pytest.param({name: v}, check, marks=pytest.mark.rule(rule)) for v in values]


@pytest.mark.rule("mod_auth_openidc-2026-08-07")
@pytest.mark.parametrize(
    ("changes", "check"),
    [
        *rows("LO-05", "iss", "iss", ISS),
        *rows("LO-05", "aud", "aud", AUD),
        *rows("LO-05", "aud_untrusted", "aud", [["spa", "other"]]),
        *rows("LO-05", "iat", "iat", IAT),
        *rows("LO-05", "iat_old", "iat", [0, T - 86_400, T - MAX_AGE_SECONDS - 30]),
        *rows("LO-05", "exp", "exp", EXP),
        *rows("LO-05", "nbf", "nbf", [T + 31, "soon", None, 1e18]),
        *rows("LO-08", "sub", "sub", list(WHO)),
        *rows("LO-08", "sid", "sid", list(WHO)),
        pytest.param({"sub": REMOVED, "sid": REMOVED}, "subject", marks=pytest.mark.rule("LO-08")),
        *rows("LO-06", "events", "events", EVENTS),
        *rows("LO-07", "nonce", "nonce", ["n1", "", None, {}]),
        *rows("LO-05", "jti", "jti", JTI),
    ],
)
def test_each_check_refuses_by_its_name(changes: Mapping[str, object], check: str) -> None:
    with pytest.raises(LogoutTokenInvalid) as caught:
        verify(changes)
    assert caught.value.check == check
    assert caught.value.log_detail.partition(":")[0] == check
    assert "alice" not in caught.value.log_detail  # nothing about the user
    assert caught.value.status == 400


@pytest.mark.rule("LO-05")
def test_an_audience_beside_us_must_be_trusted() -> None:
    """OIDC Core section 3.1.3.7 (3), as for ID tokens."""
    trusting = replace(RULES.common, trusted_audiences=frozenset({"project"}))
    rules = replace(RULES, common=trusting)
    assert verify({"aud": ["spa", "project"]}, rules).sub == "alice"
    with pytest.raises(LogoutTokenInvalid, match="aud"):
        verify({"aud": ["project"]}, rules)


@pytest.mark.rule("LO-08")
def test_a_client_that_requires_sid_gets_one() -> None:
    """Section 2.2: registered with `backchannel_logout_session_required`."""
    rules = replace(RULES, session_required=True)
    assert verify({}, rules).sid == "s1"
    assert verify({"sub": REMOVED}, rules).sid == "s1"
    with pytest.raises(LogoutTokenInvalid, match="sid"):
        verify({"sid": REMOVED}, rules)


@pytest.mark.rule("LO-09")
def test_the_relaxation_does_without_exp_and_no_more() -> None:
    """An `exp` that is there must still be good; `iat` still limits the token's life."""
    assert verify({"exp": REMOVED}, RELAXED).expires_at == T + MAX_AGE_SECONDS + 30
    for exp in (T - 30, "soon", None, 1e18):
        with pytest.raises(LogoutTokenInvalid, match="exp"):
            verify({"exp": exp}, RELAXED)
    for name in ("iss", "aud", "iat", "events", "jti"):
        with pytest.raises(LogoutTokenInvalid, match=name):
            verify({"exp": REMOVED, name: REMOVED}, RELAXED)
    with pytest.raises(LogoutTokenInvalid, match="iat_old"):
        verify({"exp": REMOVED, "iat": T - MAX_AGE_SECONDS - 30}, RELAXED)


@pytest.mark.parametrize("rules", [RULES, RELAXED])
@pytest.mark.parametrize(
    "changes", [{}, {"exp": T + 86_400}, {"iat": T - 250}, {"iat": T - 250, "exp": T + 5}]
)
def test_it_says_when_it_will_be_too_old(
    changes: Mapping[str, object], rules: LogoutTokenRules
) -> None:
    """So long must a used token be known; not a moment less, or it could be used again."""
    end = verify(changes, rules).expires_at
    claims = {**CLAIMS, **changes}
    assert verify_logout_claims(claims, rules, end - 0.001).expires_at == end
    with pytest.raises(LogoutTokenInvalid, match=r"exp|iat_old"):
        verify_logout_claims(claims, rules, end)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(changes=st.dictionaries(st.sampled_from(sorted({*CLAIMS, "nonce", "nbf"})), JSON))
def test_whatever_the_claims_are_they_are_judged(changes: dict[str, object]) -> None:
    """Any JSON leads to a notice or to a named check, never to another exception."""
    try:
        notice = verify(changes)
    except LogoutTokenInvalid as refused:
        assert refused.check  # noqa: PT017 - either way is right
    else:
        assert notice.sub is not None or notice.sid is not None
        assert notice.expires_at > NOW
