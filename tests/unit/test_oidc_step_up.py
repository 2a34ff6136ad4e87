"""How strong and how recent an authentication is, against what is asked of it."""

import pytest

from bff.oidc.step_up import (
    StepUp,
    StepUpRules,
    read_acr_values,
    read_max_age,
    require_acr_values,
)

NOW = 1_700_000_000.0
ORDER = ("bronze", "silver", "gold")


@pytest.mark.rule("ID-13")
@pytest.mark.parametrize(
    ("acr", "asked", "met"),
    [
        ("silver", ("silver",), True),
        ("gold", ("silver",), True),
        ("gold", ("bronze",), True),
        ("bronze", ("silver",), False),
        ("silver", ("gold",), False),
        ("silver", ("gold", "bronze"), True),
        ("other", ("other",), True),
        ("other", ("bronze",), False),
        ("gold", ("other",), False),
        (None, ("bronze",), False),
        ("", ("bronze",), False),
        ("Gold", ("gold",), False),
    ],
)
def test_a_stronger_acr_does_in_the_place_of_a_weaker_one(
    acr: str | None, asked: tuple[str, ...], *, met: bool
) -> None:
    """In the provider's order only; a value outside it stands for itself."""
    unmet = StepUpRules(ORDER).why_unmet(StepUp(asked), acr, None, NOW)
    assert (unmet is None) is met


def test_without_an_order_each_value_stands_for_itself() -> None:
    rules = StepUpRules()
    assert rules.why_unmet(StepUp(("silver",)), "silver", None, NOW) is None
    assert rules.why_unmet(StepUp(("silver",)), "gold", None, NOW) is not None


@pytest.mark.rule("ID-13")
@pytest.mark.parametrize(
    ("age", "met"), [(0, True), (310, True), (311, False), (-10, True), (-11, False), (None, False)]
)
def test_an_age_counts_with_the_leeway_in_both_directions(age: int | None, *, met: bool) -> None:
    auth_time = None if age is None else NOW - age
    unmet = StepUpRules(leeway_seconds=10).why_unmet(StepUp((), 300), "gold", auth_time, NOW)
    assert (unmet is None) is met


def test_both_have_to_be_met() -> None:
    asked, rules = StepUp(("gold",), 300), StepUpRules()
    assert rules.why_unmet(asked, "gold", NOW - 1000, NOW) is not None
    assert rules.why_unmet(asked, "silver", NOW, NOW) is not None
    assert rules.why_unmet(asked, "gold", NOW, NOW) is None


def test_a_provider_with_an_order_is_asked_for_known_values_only() -> None:
    rules = StepUpRules(("silver", "gold"), frozenset({"phr"}))
    assert rules.may_be_asked(("gold", "phr"))
    assert rules.may_be_asked(())
    assert not rules.may_be_asked(("gold", "idp:evil"))
    assert StepUpRules((), frozenset({"phr"})).may_be_asked(("urn:any",))


@pytest.mark.parametrize(
    "text", ["", " ", "a  b", "a ", " a", 'a"b', "a\\b", "ä", "a\tb", "a\n", "x" * 256, "x " * 10]
)
def test_a_text_that_is_no_list_of_acr_values_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|too many"):
        read_acr_values(text)


def test_acr_values_keep_their_order() -> None:
    """OIDC Core section 3.1.2.1: in order of preference."""
    assert read_acr_values("gold urn:x:y silver") == ("gold", "urn:x:y", "silver")
    assert len(read_acr_values(" ".join("abcdefghij"))) == 10


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e9", "٣", "123456789", " 5", "5\n"])
def test_a_text_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seconds"):
        read_max_age(text)


@pytest.mark.parametrize("values", [("a", "a"), ("a b",), ("",), tuple("abcdefghijk")])
def test_values_that_no_login_could_ask_for_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        require_acr_values(values)
