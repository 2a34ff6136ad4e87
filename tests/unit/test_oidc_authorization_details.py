"""Authorization details (RFC 9396): what can be asked for, and what is kept of an answer."""

import datetime
from dataclasses import replace

import pytest

from bff.errors import OpMetadataRefused
from bff.model import TokenTarget
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.authorization_details import (
    as_text,
    granted_details,
    is_allowed,
    read_details,
    require_allowed,
    require_details,
    require_types_supported,
    types_of,
)

URL = "https://op.example.test/x"
METADATA = ProviderMetadata("https://op.example.test", URL, URL, URL)
ACCOUNTS = {"type": "account_information", "actions": ["list_accounts"]}
PRICES = {"type": "price_list", "n": 1.5, "all": True, "none": None, "at": {"x": [{}]}}


def test_details_are_sent_as_json_text() -> None:
    assert as_text(()) == ""
    assert as_text([ACCOUNTS]) == '[{"type":"account_information","actions":["list_accounts"]}]'
    assert types_of([ACCOUNTS, PRICES, ACCOUNTS]) == ["account_information", "price_list"]
    assert require_details((ACCOUNTS, PRICES)) == (ACCOUNTS, PRICES)


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"actions": ["read"]}, "must have a type"),
        ({"type": ""}, "must have a type"),
        ({"type": 7}, "must have a type"),
        ({"type": "a", "since": datetime.date(2026, 1, 1)}, "must hold texts"),
        ({"type": "a", "limit": float("inf")}, "must hold texts"),
    ],
)
def test_what_is_no_json_object_with_a_type_is_refused(
    details: dict[str, object], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        require_details((ACCOUNTS, details))
    with pytest.raises(ValueError, match="at most 32"):
        require_details([ACCOUNTS] * 33)


PAYMENT = {
    "type": "payment",
    "amount": "*",
    "currency": ["EUR", "CHF"],
    "to": {"iban": "*", "country": "DE"},
    "actions": ["initiate", "status", {"cancel": "*"}],
    "once": True,
    "limit": 5,
}
ASKED = {
    "type": "payment",
    "amount": "12.50",
    "currency": ["CHF"],
    "to": {"iban": "DE02", "country": "DE"},
    "actions": ["status", "initiate"],
    "once": True,
    "limit": 5,
}


@pytest.mark.rule("FP-16")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"amount": 12},
        {"amount": 12.5},
        {"amount": "x" * 320},
        {"currency": ["EUR", "CHF"]},
        {"actions": [{"cancel": "all"}]},
    ],
)
def test_a_login_may_ask_for_what_the_list_allows(changes: dict[str, object]) -> None:
    assert is_allowed({**ASKED, **changes}, [ACCOUNTS, PAYMENT])


@pytest.mark.rule("FP-16")
@pytest.mark.parametrize(
    "changes",
    [
        {"type": "other"},
        {"type": ["payment"]},
        {"amount": ""},
        {"amount": "x" * 321},
        {"amount": "a\nb"},
        {"amount": None},
        {"amount": True},
        {"amount": ["12.50"]},
        {"amount": {"any": "thing"}},
        {"currency": []},
        {"currency": "CHF"},
        {"currency": ["CHF", "USD"]},
        {"to": {"iban": "DE02"}},
        {"to": {"iban": "DE02", "country": "DE", "more": "x"}},
        {"to": {"iban": "DE02", "country": "FR"}},
        {"to": "DE02"},
        {"actions": [{"cancel": "all", "more": "x"}]},
        {"once": 1},
        {"once": False},
        {"limit": 5.0},
        {"limit": "5"},
        {"more": "x"},
    ],
)
def test_and_for_nothing_else(changes: dict[str, object]) -> None:
    """No member may be left out either: without one it could stand for all."""
    assert not is_allowed({**ASKED, **changes}, [ACCOUNTS, PAYMENT])
    assert not is_allowed({k: v for k, v in ASKED.items() if k != "to"}, [PAYMENT])
    assert not is_allowed(ASKED, [ACCOUNTS])
    assert not is_allowed(ASKED, [])


def test_the_type_is_said_in_full() -> None:
    assert require_allowed((PAYMENT,)) == (PAYMENT,)
    with pytest.raises(ValueError, match="a type that is not"):
        require_allowed(({"type": "*"},))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        '{"type":"a"}',
        "[7]",
        "[{}]",
        '[{"type":7}]',
        '[{"type":"a","type":"b"}]',
        '[{"type":"a","n":NaN}]',
        f'[{{"type":"{"a" * 4096}"}}]',
        "[" * 100,
    ],
)
def test_what_a_login_names_must_be_json_with_one_reading(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_details(text)


def test_what_a_login_names_is_read() -> None:
    assert read_details(as_text([ASKED, ACCOUNTS])) == (ASKED, ACCOUNTS)
    assert read_details("[]") == ()


@pytest.mark.rule("FP-16")
def test_a_type_that_the_op_does_not_list_is_asked_for_nowhere() -> None:
    """RFC 9396 section 10; an OP without a list is asked."""
    require_types_supported((ACCOUNTS,), METADATA)
    listed = replace(METADATA, details_types=("price_list",))
    require_types_supported((PRICES,), listed)
    require_types_supported((), listed)
    with pytest.raises(OpMetadataRefused, match=r"supported lacks \['account_information'\]"):
        require_types_supported((ACCOUNTS, PRICES), listed)


@pytest.mark.rule("FP-16")
@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        ([ACCOUNTS], as_text([ACCOUNTS])),
        ([], "[]"),
        (None, None),
        ("[]", None),
        (ACCOUNTS, None),
        ([ACCOUNTS, "x"], None),
        ([{"actions": []}], None),
        ([{"type": 7}], None),
        ([ACCOUNTS] * 33, None),
        ([{"type": "a", "text": "x" * 20_000}], None),
    ],
)
def test_what_is_granted_is_kept_where_it_can_be(stated: object, kept: str | None) -> None:
    """Of what is malformed or too much nothing; the tokens are as good without it."""
    assert granted_details(stated) == kept


@pytest.mark.rule("FP-16")
def test_a_token_is_found_by_its_details_as_well() -> None:
    plain = TokenTarget("https://a.example", "b", "c")
    detailed = replace(plain, authorization_details=as_text([ACCOUNTS]))
    other = replace(plain, authorization_details=as_text([PRICES]))
    assert len({plain.key, detailed.key, other.key}) == 3
    assert plain.key == "https://a.example\nb\nc", "as sessions that are stored have it"
    assert "authorization_details" not in plain.form()
    assert detailed.form()["authorization_details"] == as_text([ACCOUNTS])
