"""The Cookie header never raises and never lets a planted cookie win (RFC 6265bis section 4.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.gate.cookies import Cookie, find, keep

NAME = b"__Host-Http-bff"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], Cookie.ABSENT),
        ([b""], Cookie.ABSENT),
        ([b"a=b"], Cookie.ABSENT),
        ([NAME], Cookie.ABSENT),
        ([NAME + b"=v"], b"v"),
        ([b"a=b; " + NAME + b"=v; c=d"], b"v"),
        ([b"a=b;" + NAME + b"=v"], b"v"),
        ([b"a=b;\t" + NAME + b"=v "], b"v"),
        ([b"a=b", NAME + b"=v"], b"v"),
        ([NAME + b"=a=b"], b"a=b"),
        ([NAME + b'="v"'], b'"v"'),
        ([b"x" + NAME + b"=v"], Cookie.ABSENT),
        ([NAME + b"x=v"], Cookie.ABSENT),
        ([b"a=" + NAME], Cookie.ABSENT),
        ([b"__host-http-bff=v"], Cookie.ABSENT),
        ([NAME + b"="], b""),
    ],
)
def test_one_cookie_is_found_by_its_exact_name(lines: list[bytes], found: bytes | Cookie) -> None:
    assert find(lines, NAME) == found


@pytest.mark.rule("CK-09")
@pytest.mark.parametrize(
    "lines",
    [
        [NAME + b"=victim; " + NAME + b"=attacker"],
        [NAME + b"=attacker; " + NAME + b"=victim"],
        [NAME + b"=victim", NAME + b"=attacker"],
        [NAME + b"=same; " + NAME + b"=same"],
    ],
)
def test_two_cookies_of_one_name_are_of_no_user(lines: list[bytes]) -> None:
    assert find(lines, NAME) is Cookie.DUPLICATE


@pytest.mark.rule("PX-05")
def test_only_listed_cookies_are_kept() -> None:
    lines = [b"theme=dark; " + NAME + b"=v;locale=de", b'q="a b"; theme=light']
    assert keep(lines, {b"theme", b"q"}) == b'theme=dark; q="a b"; theme=light'
    assert keep([b"theme; q=1"], {b"theme", b"q"}) == b"q=1"
    assert keep(lines, set()) == b""
    assert keep(lines, {b"absent"}) == b""


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_is_no_cookie_and_no_crash(lines: list[bytes]) -> None:
    result = find(lines, NAME)
    assert isinstance(result, bytes | Cookie)
    assert NAME not in keep(lines, {b"a"}) or NAME in b"".join(lines)
