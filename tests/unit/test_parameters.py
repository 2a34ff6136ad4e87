"""Parameters of a query or a form: each at most once, and each of a known shape."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bff.endpoints.login import details_of, login_request_of, parameters_again, require_well_formed
from bff.endpoints.parameters import (
    MAX_PARAMETERS,
    acr_values_of,
    login_hint_of,
    max_age_of,
    parse_parameters,
    passed_on_value,
    prompt_of,
    ui_locales_of,
)
from bff.errors import BadRequest
from bff.model import LoginTransaction, Session, Tokens
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.authorization import LoginRequest
from bff.oidc.steps.authorization_details import as_text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (b"", {}),
        (b"a=1&b=x+y%26", {"a": "1", "b": "x y&"}),
        (b"a=&b&c=1", {"c": "1"}),
        (b"a=%C3%A4", {"a": "ä"}),
        (b"&".join(b"p%d=1" % n for n in range(MAX_PARAMETERS)), None),
    ],
)
def test_an_empty_value_is_as_good_as_none(query: bytes, found: dict[str, str] | None) -> None:
    """RFC 6749 section 3.1."""
    expected = {f"p{n}": "1" for n in range(MAX_PARAMETERS)} if found is None else found
    assert parse_parameters(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        b"a=1&a=1",
        b"a=&a=1",
        b"a=1&a",
        b"a=%ff",
        b"a=\xff",
        b"&".join(b"p%d=1" % n for n in range(MAX_PARAMETERS + 1)),
    ],
)
def test_what_repeats_or_can_not_be_read_is_refused(query: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_parameters(query)


TEXT = "!#[]~"  # RFC 6749 appendix A.4: neither a quote nor a backslash
READ: list[tuple[Callable[[dict[str, str]], object], str, dict[str, object], list[str]]] = [
    (
        prompt_of,
        "prompt",
        {
            "none": "none",
            "login": "login",
            "login consent": "login consent",
            "create": "create",
            "login consent select_account create": "login consent select_account create",
        },
        ["none login", "login none", "x", "login  consent", "Login", " login", "login x"],
    ),
    (
        max_age_of,
        "max_age",
        {"0": 0, "3600": 3600, "99999999": 99_999_999},
        ["100000000", "-1", "+1", "1.5", "1e3", "x", "٣", "²", "1 "],
    ),
    (
        acr_values_of,
        "acr_values",
        {"1": ("1",), f"{TEXT} b": (TEXT, "b"), " ".join("abcdefghij"): tuple("abcdefghij")},
        [" ".join("abcdefghijk"), "a" * 256, 'a"', "a\\b", "a  b", "a ", "a\n", "ä"],
    ),
    (
        ui_locales_of,
        "ui_locales",
        {"de-CH en": "de-CH en", "a" * 35: "a" * 35},
        ["a" * 36, "de_CH", "de,en", "de\n", " ".join("abcdefghijk")],
    ),
    (
        login_hint_of,
        "login_hint",
        {"alice@example.test": "alice@example.test", "ä b": "ä b", "a" * 320: "a" * 320},
        ["a" * 321, "a\n", "a\x7f", "\x00"],
    ),
]
NONE = {"acr_values": ()}


@pytest.mark.rule("AZ-10")
@pytest.mark.parametrize(("read", "name", "good", "bad"), READ, ids=[row[1] for row in READ])
def test_each_has_its_shape(
    read: Callable[[dict[str, str]], object], name: str, good: dict[str, object], bad: list[str]
) -> None:
    """OIDC Core section 3.1.2.1: what goes on to the OP is what could have been meant."""
    assert read({}) == read({"other": "1"}) == NONE.get(name)
    for value, expected in good.items():
        assert read({name: value, "other": "1"}) == expected
    for value in bad:
        with pytest.raises(BadRequest):
            read({name: value})


def test_what_a_login_may_ask_for_is_all_of_these_and_nothing_else() -> None:
    query = b"prompt=login&login_hint=a&acr_values=b+c&max_age=5&ui_locales=de&scope=all"
    assert login_request_of(parse_parameters(query)) == LoginRequest(
        prompt="login", login_hint="a", acr_values=("b", "c"), max_age=5, ui_locales="de"
    )
    assert login_request_of({}) == LoginRequest()


@pytest.mark.parametrize("name", ["idp", "iss", "org", "prompt", "max_age"])
def test_a_login_is_refused_before_it_begins_for_any_malformed_parameter(name: str) -> None:
    with pytest.raises(BadRequest):
        require_well_formed({name: "\x00"})


BEGUN = LoginTransaction("https://op.example", "v", "n", "b", "/items", 0.0)
IN_FULL: dict[str, Any] = {
    "prompt": "login",
    "acr_values": ("gold", "silver"),
    "max_age": 0,
    "organization": "acme",
    "passed_on": {"kc_action": "UPDATE_PASSWORD"},
}


def test_a_login_that_is_begun_again_asks_for_the_same() -> None:
    assert parameters_again(BEGUN) == {"returnUrl": "/items"}
    assert parameters_again(replace(BEGUN, **IN_FULL)) == {
        "returnUrl": "/items",
        "org": "acme",
        "prompt": "login",
        "acr_values": "gold silver",
        "max_age": "0",
        "kc_action": "UPDATE_PASSWORD",
    }


def test_a_parameter_of_the_op_is_passed_on_as_it_is() -> None:
    assert passed_on_value({"kc_action": "UPDATE_PASSWORD"}, "kc_action") == "UPDATE_PASSWORD"
    with pytest.raises(BadRequest):
        passed_on_value({"kc_action": "\x00"}, "kc_action")


@pytest.mark.rule("FP-16")
def test_a_step_up_is_for_the_details_of_its_session_that_are_still_allowed() -> None:
    """The configuration may have changed since the login."""
    kept, gone = {"type": "payment", "amount": 5}, {"type": "accounts"}
    settings = RelyingPartySettings(
        issuer="https://op",
        client_id="spa",
        redirect_uri="https://app/bff/callback",
        client_secret="secret",
        scope="openid",
        login_authorization_details=({"type": "payment", "amount": "*"},),
    )
    tokens = Tokens("at", 0, 60)
    session = Session("k", 1, "https://op", "alice", None, 0, 60, 60, tokens)
    session = replace(session, asked_details=as_text([gone, kept]))
    assert details_of({}, settings, session) == (kept,)
    assert details_of({"authorization_details": "[]"}, settings, session) == ()
    assert details_of({}, settings, None) == ()
