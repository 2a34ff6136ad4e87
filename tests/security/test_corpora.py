"""The tables of paths, return URLs, cookies and fields, each entry in microseconds."""

import re
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.endpoints.return_url import HOME, safe_return_url
from bff.errors import AmbiguousPath, BffError
from bff.gate.cookies import Cookie, find, keep
from bff.gate.head import is_ours, scan
from bff.sessions.cookie import SessionCookie
from tests.canonical_target import parse_target
from tests.security import corpus_cookies, corpus_fields, corpus_paths, corpus_return_urls

ORIGIN = "https://app.example"


def flat(table: Mapping[str, Sequence[object]]) -> list[object]:
    """One parameter for each entry, named after its trick and its place."""
    return [
        pytest.param(entry, id=f"{trick}-{number}")
        for trick, entries in table.items()
        for number, entry in enumerate(entries)
    ]


def test_the_tables_are_as_large_as_they_claim() -> None:
    """An entry that is lost or doubled by a slip of the editor is seen here."""
    paths = [path for entries in corpus_paths.REFUSED.values() for path in entries]
    urls = [url for entries in corpus_return_urls.GO_HOME.values() for url in entries]
    cookies = corpus_cookies.OURS + corpus_cookies.OF_NO_USER + corpus_cookies.HOSTILE
    assert len({*paths}) + len(corpus_paths.KEPT) + len(corpus_paths.NO_TARGET) >= 350
    assert len({*urls}) >= 200
    assert len(cookies) >= 450
    assert len({*corpus_fields.NAMES}) >= 60


# --- paths


@pytest.mark.rule("PX-02")
@pytest.mark.rule("CVE-2023-33189")
@pytest.mark.rule("CVE-2026-33494")
@pytest.mark.parametrize("target", flat(corpus_paths.REFUSED))
def test_a_path_of_two_readings_is_refused(target: bytes) -> None:
    with pytest.raises(AmbiguousPath):
        parse_target(target)
    with pytest.raises(AmbiguousPath):
        parse_target(b"http://app.example" + target)


@pytest.mark.rule("SM-05")
@pytest.mark.rule("PX-01")
@pytest.mark.parametrize("target", corpus_paths.NO_TARGET)
def test_what_is_no_target_is_refused(target: bytes) -> None:
    with pytest.raises(BffError):
        parse_target(target)


@pytest.mark.rule("PX-03")
@pytest.mark.parametrize("target", corpus_paths.KEPT)
def test_a_path_of_one_reading_is_kept(target: bytes) -> None:
    found = parse_target(target + b"?q=%2f..%2f")
    assert (found.path, found.suffix) == (target, b"?q=%2f..%2f")


# --- return URLs


def as_a_browser_reads_it(url: str) -> str:
    """The origin a browser would go to (WHATWG URL standard, as far as it matters here)."""
    for dropped in "\t\r\n":
        url = url.replace(dropped, "")
    parts = urlsplit(urljoin(f"{ORIGIN}/page", url.strip().replace("\\", "/")))
    return f"{parts.scheme}://{parts.netloc}"


@pytest.mark.rule("AZ-12")
@pytest.mark.rule("CVE-2020-5233")
@pytest.mark.rule("CVE-2022-24794")
@pytest.mark.rule("CVE-2022-23527")
@pytest.mark.parametrize("offered", flat(corpus_return_urls.GO_HOME))
def test_a_return_url_that_may_lead_away_goes_home(offered: str) -> None:
    assert safe_return_url(offered, public_origin=ORIGIN, own_prefix="/bff") == HOME


@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize(("offered", "kept"), corpus_return_urls.KEPT.items())
def test_a_return_url_of_the_application_is_kept(offered: str, kept: str) -> None:
    found = safe_return_url(offered, public_origin=ORIGIN, own_prefix="/bff")
    assert found == kept
    assert as_a_browser_reads_it(found) == ORIGIN


# --- cookies

COOKIE = SessionCookie("__Host-Http-bff", ["a secret for the table of cookies, 32+"])
GOOD = COOKIE.issue()
BAD = SessionCookie("x", ["another secret, as long as it has to be"]).issue()


def as_sent(lines: list[str]) -> list[bytes]:
    made = (line.replace("NAME", COOKIE.name).replace("GOOD", GOOD.value) for line in lines)
    return [line.replace("BAD", BAD.value).encode("latin-1") for line in made]


def key_of(lines: list[bytes]) -> str | None:
    """What the gate makes of a request's cookie lines."""
    value = find(lines, COOKIE.name.encode())
    return None if isinstance(value, Cookie) else COOKIE.key_of(value.decode("latin-1"))


@pytest.mark.rule("CK-09")
@pytest.mark.parametrize("lines", corpus_cookies.OURS, ids=range(len(corpus_cookies.OURS)))
def test_our_one_cookie_is_found(lines: list[str]) -> None:
    assert key_of(as_sent(lines)) == GOOD.key


@pytest.mark.rule("CK-09")
@pytest.mark.rule("SE-03")
@pytest.mark.parametrize(
    "lines", corpus_cookies.OF_NO_USER, ids=range(len(corpus_cookies.OF_NO_USER))
)
def test_every_other_cookie_is_of_no_user(lines: list[str]) -> None:
    assert key_of(as_sent(lines)) is None


@pytest.mark.rule("CVE-2024-24814")
@pytest.mark.parametrize("lines", corpus_cookies.HOSTILE, ids=range(len(corpus_cookies.HOSTILE)))
def test_a_hostile_cookie_is_answered_quickly(lines: list[str]) -> None:
    """A second is a hundred times what it takes; quadratic work would need minutes."""
    sent = as_sent(lines)
    began = time.process_time()
    assert key_of(sent) is None
    keep(sent, {b"theme"})
    assert time.process_time() - began < 1


@pytest.mark.rule("PX-05")
@pytest.mark.parametrize("lines", corpus_cookies.OURS, ids=range(len(corpus_cookies.OURS)))
def test_our_cookie_is_not_among_those_a_route_passes(lines: list[str]) -> None:
    kept = keep(as_sent(lines), {b"a", b"c", b"theme"})
    assert GOOD.value.encode() not in kept


# --- fields


def spellings(name: str) -> list[str]:
    first, mark, rest = name.partition("-")
    return [
        name,
        name.lower(),
        name.upper(),
        name.replace("-", "_"),
        name.upper().replace("-", "_"),
        f"{first}{'_' if mark else ''}{rest}",
        f"{name[:1].lower()}{name[1:].swapcase()}",
    ]


@pytest.mark.rule("PX-06")
@pytest.mark.rule("PX-07")
@pytest.mark.rule("CVE-2025-64484")
@pytest.mark.parametrize("name", corpus_fields.NAMES)
def test_a_field_of_the_gateways_never_passes(name: str) -> None:
    harmless = [(b"Accept", b"*/*"), (b"Content-Type", b"text/plain")]
    for spelled in spellings(name):
        field = (spelled.encode(), b"forged")
        assert is_ours(field[0])
        assert scan([*harmless, field, field], frozenset()).passed == harmless


@pytest.mark.rule("PX-07")
@pytest.mark.parametrize("name", corpus_fields.PASSED)
def test_a_field_of_the_applications_passes_once_and_as_it_is(name: str) -> None:
    field = (name.encode(), b"value")
    assert scan([field], frozenset()).passed == [field]
    named = (b"Connection", f"close, {name.upper()}".encode())
    describes_the_body = name == "Content-Type"
    assert scan([named, field], frozenset()).passed == ([field] if describes_the_body else [])


# --- properties beside the tables

TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
OURS_FOLDED = {re.sub("[^a-z0-9]", "-", name.lower()) for name in corpus_fields.NAMES}
MARKS = st.sampled_from("!#$%&'*+-.^_`|~")


@st.composite
def a_spelling(draw: st.DrawFn) -> str:
    """A name of ours with each letter in some case and each hyphen as some mark."""
    name = draw(st.sampled_from(corpus_fields.NAMES))
    return "".join(
        draw(MARKS) if char == "-" else draw(st.sampled_from((char.lower(), char.upper())))
        for char in name
    )


@pytest.mark.rule("PX-06")
@given(st.lists(st.one_of(a_spelling(), st.text(TOKEN_CHARS, min_size=1, max_size=20)), max_size=8))
def test_whatever_fields_are_sent_none_that_folds_to_ours_passes(names: list[str]) -> None:
    passed = scan([(name.encode(), b"x") for name in names], frozenset()).passed
    for name, _ in passed:
        assert re.sub("[^a-z0-9]", "-", name.decode().lower()) not in OURS_FOLDED
    others = [name for name in names if name.isalnum() and name.lower() not in OURS_FOLDED]
    assert [name.encode() for name in others] == [name for name, _ in passed if name.isalnum()]


OTHER_COOKIES = st.from_regex(r"[a-z]{1,5}=[a-z0-9\"=,]{0,8}|[a-z]{0,3}", fullmatch=True)


@pytest.mark.rule("CK-09")
@given(st.lists(OTHER_COOKIES), st.lists(OTHER_COOKIES), st.sampled_from(("; ", ";", "\n")))
def test_one_cookie_of_ours_is_found_among_any_and_two_are_of_no_user(
    before: list[str], after: list[str], joint: str
) -> None:
    """`joint`: in one line, or each in a line of its own."""
    ours = f"{COOKIE.name}={GOOD.value}"
    one = joint.join([*before, ours, *after])
    two = joint.join([*before, ours, *after, f"{COOKIE.name}={BAD.value}"])
    assert key_of([line.encode() for line in one.split("\n")]) == GOOD.key
    assert key_of([line.encode() for line in two.split("\n")]) is None
