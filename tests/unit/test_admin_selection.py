"""What an administrator selects is what is said, or nothing: never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.admin.selection import (
    MOST_ON_A_PAGE,
    TO_END,
    TO_LIST,
    By,
    Page,
    Selection,
    parse_page,
    parse_selection,
)
from bff.errors import BadRequest

OURS = "https://op.example"

Parameters = list[tuple[str, str]]


def parse(parameters: Parameters, *, ending: bool = True) -> Selection:
    allowed = TO_END if ending else TO_LIST
    return parse_selection(parameters, allowed=allowed, default_issuers=(OURS,))


@pytest.mark.parametrize("ending", [True, False])
@pytest.mark.parametrize("by", [By.SUB, By.SID, By.ID])
def test_one_selector_selects(by: By, ending: bool) -> None:
    assert parse([(by.value, "x y")], ending=ending) == Selection(by, "x y", (OURS,))


@pytest.mark.parametrize("name", ["sub", "sid"])
def test_sub_and_sid_may_be_of_another_issuer(name: str) -> None:
    """Both are unique within one OP only (OIDC Core section 5.7)."""
    for parameters in ([(name, "x"), ("issuer", "i")], [("issuer", "i"), (name, "x")]):
        assert parse(parameters).issuers == ("i",)


def test_everybody_is_for_ending_and_must_be_spelt_out() -> None:
    assert parse([("all", "true")]).by is By.ALL
    with pytest.raises(BadRequest):
        parse([("all", "true")], ending=False)


REFUSED: list[Parameters] = [
    [],
    [("issuer", OURS)],
    [("sub", "")],
    [("sub", "a"), ("issuer", "")],
    [("sub", "a"), ("sub", "a")],
    [("sub", "a"), ("issuer", "i"), ("issuer", "j")],
    [("sub", "a"), ("sid", "b")],
    [("sub", "a"), ("all", "true")],
    [("id", "a"), ("issuer", "i")],
    [("all", "true"), ("issuer", "i")],
    [("all", "false")],
    [("all", "1")],
    [("all", "")],
    [("subject", "a")],
    [("sub", "a"), ("limit", "1")],
    [("SUB", "a")],
]


@pytest.mark.parametrize("parameters", REFUSED)
def test_whatever_is_not_understood_is_refused(parameters: Parameters) -> None:
    with pytest.raises(BadRequest):
        parse(parameters)


@pytest.mark.parametrize("limit", ["1", "42", str(MOST_ON_A_PAGE)])
def test_a_page_has_a_limit(limit: str) -> None:
    assert parse_page([("limit", limit)]) == Page(int(limit), "")


@pytest.mark.parametrize(
    "limit",
    ["0", "-1", "1.0", "1001", "9999", "00001000000", "1" * 5000, "0" * 5000 + "1", "\u0661"],
)
def test_a_page_of_another_length_is_refused(limit: str) -> None:
    with pytest.raises(BadRequest):
        parse_page([("limit", limit)])


NAMES = st.sampled_from(["sub", "sid", "id", "all", "issuer", "x"])
VALUES = st.sampled_from(["", "a", "true"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_everybody_is_selected_by_one_request_only(parameters: Parameters) -> None:
    """No combination of other parameters widens a selection to all."""
    try:
        selection = parse(parameters)
    except BadRequest:
        return
    assert (selection.by is By.ALL) == (parameters == [("all", "true")])
    assert (selection.by.value, selection.value) in parameters
