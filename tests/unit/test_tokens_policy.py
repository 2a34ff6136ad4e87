"""When a token is due: before expiry, by at most a third of its life, spread over sessions."""

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.model import Session, Tokens
from bff.tokens.policy import ClaimFilter, RefreshPolicy, ShownClaims, claim_at

NOW = 1_700_000_000.0
POLICY = RefreshPolicy(60)


def session(lifetime: float, *, key: str = "0" * 64, refresh_token: str | None = "rt") -> Session:
    tokens = Tokens("at", NOW, NOW + lifetime, refresh_token=refresh_token)
    return Session(key, 1, "https://op", "alice", None, NOW, NOW + 1e6, NOW + 1e6, tokens)


@given(
    st.floats(min_value=0, max_value=1e6),
    st.binary(max_size=8),
    st.floats(min_value=0, max_value=1e4),
)
def test_the_margin_is_bounded_by_a_third_of_the_lifetime(
    lifetime: float, seed: bytes, before: float
) -> None:
    some = session(lifetime, key=hashlib.sha256(seed).hexdigest())
    margin = some.tokens.expires_at - RefreshPolicy(before).due_at(some)
    most = min(before, lifetime / 3)
    assert most * 0.8 - 1e-3 <= margin <= most + 1e-3


def test_each_frontend_may_have_a_margin_of_its_own() -> None:
    policy = RefreshPolicy(60, {"shop": 10})
    shop, other = (
        dataclasses.replace(session(600), frontend=name, key="f" * 64) for name in ("shop", "other")
    )
    for some, before in ((shop, 10), (other, 60)):
        assert not policy.is_due(some, NOW + 600 - before)
        assert policy.is_due(some, NOW + 600 - before * 0.8)


def test_sessions_born_together_are_not_due_together() -> None:
    keys = [hashlib.sha256(bytes([n])).hexdigest() for n in range(100)]
    times = [POLICY.due_at(session(600, key=key)) for key in keys]
    assert 11 < max(times) - min(times) <= 12  # a fifth of the margin
    assert len(set(times)) > 90


def test_due_and_expired() -> None:
    some = session(600)
    at = POLICY.due_at(some)
    assert not POLICY.is_due(some, at - 0.01)
    assert POLICY.is_due(some, at)
    assert not POLICY.is_expired(some.tokens, some.tokens.expires_at - 0.01)
    assert POLICY.is_expired(some.tokens, some.tokens.expires_at)


def test_without_a_refresh_token_nothing_is_ever_due() -> None:
    some = session(600, refresh_token=None)
    assert not POLICY.is_due(some, NOW + 1e5)
    assert POLICY.is_due(dataclasses.replace(some, tokens=session(600).tokens), NOW + 1e5)


def test_only_claims_on_the_list_are_kept_and_newer_ones_replace_older_ones() -> None:
    claims = ClaimFilter(ShownClaims(["name", "email"]))
    first = claims.kept({"name": "Alice", "groups": ["admin"], "email": "a@example.test"})
    assert first == {"name": "Alice", "email": "a@example.test"}
    assert claims.kept({"name": "Al", "role": "admin"}, before=first) == {**first, "name": "Al"}
    assert claims.kept({}, before=first) == first
    assert claims.kept({}) == {}


def test_a_frontend_may_have_a_list_of_claims_of_its_own() -> None:
    claims = ClaimFilter(ShownClaims(["name"]), {"shop": ShownClaims(["email"])})
    said = {"name": "Alice", "email": "a@example.test"}
    assert claims.kept(said, frontend="shop") == {"email": "a@example.test"}
    assert claims.kept(said, frontend="another") == claims.kept(said) == {"name": "Alice"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": 1, "b.c": {"d": 2}, "b.c.d": 3}),
        ("a.b", 1),
        ("a.b.c", {"d": 2}),
        ("a.b.c.d", 3),
        ("a.b.x", None),
        ("https://x.example/roles", ["r"]),
        ("x", None),
        ("l.0", None),
    ],
)
def test_a_path_takes_the_longest_name_that_is_there(path: str, value: object) -> None:
    inner = {"b": 1, "b.c": {"d": 2}, "b.c.d": 3}
    claims = {"a": inner, "https://x.example/roles": ["r"], "l": [1]}
    assert claim_at(claims, path) == value
