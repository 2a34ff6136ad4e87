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
