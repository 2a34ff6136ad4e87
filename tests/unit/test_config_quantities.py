"""Durations and sizes: what is read, exactly, and that anything else is refused."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.config.values.quantities import Between, parse_duration, parse_size

SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


@given(st.integers(0, 10**9 - 1), st.sampled_from(sorted(SECONDS)))
def test_a_whole_duration_is_its_number_of_seconds(number: int, unit: str) -> None:
    """`30s` is 30 seconds, whatever the number and unit."""
    assert parse_duration(f"{number}{unit}") == pytest.approx(float(number * SECONDS[unit]))


@given(st.integers(0, 10**9 - 1), st.integers(0, 999), st.sampled_from(sorted(SECONDS)))
def test_a_duration_may_have_decimals(whole: int, thousandths: int, unit: str) -> None:
    """Three are enough."""
    expected = (whole + Fraction(thousandths, 1000)) * SECONDS[unit]
    assert parse_duration(f"{whole}.{thousandths:03}{unit}") == pytest.approx(float(expected))


@given(st.integers(0, 10**9 - 1), st.sampled_from(sorted(BYTES)))
def test_a_size_is_its_number_of_bytes(number: int, unit: str) -> None:
    """MB are millions, MiB powers of 1024: never the one for the other."""
    assert parse_size(f"{number}{unit}") == number * BYTES[unit]


@pytest.mark.parametrize("parse", [parse_duration, parse_size])
@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.text())))
def test_anything_else_is_refused_with_an_example(parse, value) -> None:  # type: ignore[no-untyped-def]
    """A number without unit too: its unit would be a guess. No other exception gets out."""
    try:
        assert parse(value) >= 0
    except ValueError as error:
        assert "such as" in str(error)  # noqa: PT017 - both outcomes are right, for different texts


NO_DURATIONS = (
    "|30|s|-1s|+1s|1 s| 1s|1s |1s\n|1.s|.5s|1e3s|1h30m|1S|1min|٣s|1,5s|0x1s|inf|1000000000s|1.0001s"
)


@pytest.mark.parametrize("text", NO_DURATIONS.split("|"))
def test_a_duration_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "1", "1M", "1mb", "1 MB", "-1B", "1.5MB", "1TB", "٣B", "1B\n"]
)
def test_a_size_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "holds"), [(0.999, False), (1, True), (60, True), (60.1, False)]
)
def test_bounds_include_both_ends(seconds: float, holds: bool) -> None:
    bound = Between("1s", "1m")
    if holds:
        assert bound.require(seconds) == seconds
    else:
        with pytest.raises(ValueError, match="between 1s and 1m"):
            bound.require(seconds)
