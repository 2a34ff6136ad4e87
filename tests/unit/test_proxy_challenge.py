"""What an API's challenge asks of a user's login: read strictly, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.step_up import StepUp
from bff.proxy.upstream.challenge import (
    MAX_CHALLENGE_BYTES,
    Challenge,
    read_challenges,
    step_up_asked,
    wants_nonce,
)

ERROR = b'Bearer error="insufficient_user_authentication"'


def asked(*values: bytes) -> StepUp | None:
    return step_up_asked([(b"Date", b"x"), *((b"WWW-Authenticate", value) for value in values)])


@pytest.mark.rule("PX-22")
@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ((ERROR + b', acr_values="gold"',), StepUp(("gold",))),
        ((ERROR + b', acr_values="gold silver", max_age="5"',), StepUp(("gold", "silver"), 5)),
        ((ERROR + b", max_age=300",), StepUp((), 300)),
        ((ERROR + b", max_age=0",), StepUp((), 0)),
        ((b"bearer max_age=5,ERROR=insufficient_user_authentication",), StepUp((), 5)),
        ((b'Basic realm="a, Bearer b", ' + ERROR + b", max_age=5",), StepUp((), 5)),
        ((b"Negotiate YWJj==, " + ERROR + b", max_age=5, Digest",), StepUp((), 5)),
        ((b"Negotiate", ERROR + b", max_age=5"), StepUp((), 5)),
        ((ERROR + b', error_description="say \\"please\\"", max_age=5',), StepUp((), 5)),
        ((ERROR + b" , ,  max_age = 5",), StepUp((), 5)),
        (
            (b'DPoP algs="ES256", error="insufficient_user_authentication", max_age=5',),
            StepUp((), 5),
        ),
        ((ERROR + b", max_age=5", b"DPoP" + ERROR[6:] + b", max_age=5"), StepUp((), 5)),
    ],
)
def test_a_challenge_is_understood(values: tuple[bytes, ...], meant: StepUp) -> None:
    """RFC 9470 section 3, beside challenges of other schemes (RFC 9110 section 11.6.1)."""
    assert asked(*values) == meant


@pytest.mark.rule("PX-22")
@pytest.mark.parametrize(
    "values",
    [
        (),
        (b'Bearer error="invalid_token"',),
        (ERROR,),
        (ERROR + b', acr_values=""',),
        (ERROR + b', acr_values="gold\\"x"',),
        (ERROR + b', acr_values="gold&scope=admin\x01"',),
        (ERROR + b', acr_values="' + b"x " * 10 + b'x"',),
        (ERROR + b', acr_values="' + b"x" * 256 + b'"',),
        (ERROR + b', acr_values="\xc3\xa4"',),
        (ERROR + b", max_age=-5",),
        (ERROR + b", max_age=123456789",),
        (ERROR + b', max_age="5',),
        (ERROR + b", max_age=5, max_age=5",),
        (ERROR + b", max_age=5, Max_Age=6",),
        (ERROR + b", max_age=5 acr_values=gold",),
        (ERROR + b", max_age=5", ERROR + b", max_age=6"),
        (b'Basic realm="x", error="insufficient_user_authentication", max_age=5',),
        (b'error="insufficient_user_authentication", max_age=5',),
        (b'Bearer error="insufficient_user_authentication_x", max_age=5',),
        (b'Bearer error_description="insufficient_user_authentication", max_age=5',),
        (ERROR + b", max_age=5, x=" + b"y" * MAX_CHALLENGE_BYTES,),
    ],
)
def test_anything_else_is_none(values: tuple[bytes, ...]) -> None:
    assert asked(*values) is None


@pytest.mark.rule("FP-07")
@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ((b'DPoP error="use_dpop_nonce"',), True),
        ((b'dpop realm="x", ERROR=use_dpop_nonce, algs="ES256"',), True),
        ((b"Bearer", b'DPoP error="use_dpop_nonce"'), True),
        ((b'Bearer error="invalid_token", DPoP error="use_dpop_nonce"',), True),
        ((), False),
        ((b'Bearer error="use_dpop_nonce"',), False),
        ((b'DPoP error="invalid_token", error_description="use_dpop_nonce"',), False),
        ((b'DPoP error="use_dpop_nonce", error="use_dpop_nonce"',), False),
        ((b'DPoP error="use_dpop_nonce',), False),
        ((b'DPoP error="use_dpop_nonce", x=' + b"y" * MAX_CHALLENGE_BYTES,), False),
    ],
)
def test_a_nonce_is_wanted_by_one_error_of_one_scheme(
    values: tuple[bytes, ...], *, meant: bool
) -> None:
    """RFC 9449 section 9."""
    assert wants_nonce([(b"www-authenticate", value) for value in values]) == meant


def test_all_challenges_of_a_list_are_told_apart() -> None:
    text = b'A, B abc==, , C x="1, D", Y=2 ,D  z = w'
    assert read_challenges(text) == [
        Challenge(b"a", {}),
        Challenge(b"b", {}),
        Challenge(b"c", {b"x": b"1, D", b"y": b"2"}),
        Challenge(b"d", {b"z": b"w"}),
    ]


@given(st.binary(max_size=60) | st.text('aB=", \\\t', max_size=60).map(str.encode))
def test_any_bytes_are_read_to_an_end(text: bytes) -> None:
    """A list of challenges, or ValueError."""
    try:
        found = read_challenges(text)
    except ValueError:
        return
    assert all(one.scheme == one.scheme.lower() for one in found)
