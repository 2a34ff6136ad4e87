"""The CSRF guard in its layers: Sec-Fetch-Site, Origin, the header."""

import pytest

from bff.errors import CrossSiteRequest, CsrfHeaderMissing, ForeignOrigin, OriginUnknown
from bff.gate.csrf import CsrfGuard, require_guarding
from bff.gate.head import scan
from bff.gate.routes import CsrfMode

GUARD = CsrfGuard(origin=b"https://app.example")
HEADER = (b"X-CSRF", b"1")
SAME = (b"Sec-Fetch-Site", b"same-origin")
OURS = (b"Origin", b"https://app.example")

Fields = list[tuple[bytes, bytes]]


def refusal(fields: Fields, method: str, mode: CsrfMode) -> type[Exception] | None:
    found = GUARD.refusal(scan(fields, frozenset({b"x-csrf"})), method, mode)
    return type(found) if found is not None else None


@pytest.mark.rule("CS-01")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_without_the_header_nothing_passes(method: str) -> None:
    assert refusal([SAME, OURS], method, CsrfMode.HEADER) is CsrfHeaderMissing
    assert refusal([SAME, OURS, HEADER], method, CsrfMode.HEADER) is None
    assert refusal([HEADER], method, CsrfMode.HEADER) is None  # an old browser


@pytest.mark.rule("CS-04")
@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"none", b"", b"SAME-ORIGIN", b"x"])
@pytest.mark.parametrize("mode", list(CsrfMode))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_other_site_is_refused_even_with_the_header(
    site: bytes, mode: CsrfMode, method: str
) -> None:
    fields = [(b"Sec-Fetch-Site", site), OURS, HEADER]
    assert refusal(fields, method, mode) is CrossSiteRequest


@pytest.mark.rule("CS-03")
@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example",
        b"https://sibling.app.example",
        b"http://app.example",
        b"https://app.example:444",
        b"https://app.example.evil",
        b"https://app.example/",
        b"NULL",
        b"",
    ],
)
@pytest.mark.parametrize("mode", list(CsrfMode))
def test_every_other_origin_is_refused_even_with_the_header(origin: bytes, mode: CsrfMode) -> None:
    assert refusal([(b"Origin", origin), SAME, HEADER], "POST", mode) is ForeignOrigin


@pytest.mark.rule("CS-03")
@pytest.mark.parametrize("mode", list(CsrfMode))
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_null_origin_passes_beside_a_same_origin_site_only(mode: CsrfMode, method: str) -> None:
    """Firefox and WebKit send it for `mode: "same-origin"` under `Referrer-Policy: no-referrer`."""
    null = (b"Origin", b"null")
    assert refusal([null, SAME, HEADER], method, mode) is None
    assert refusal([null, HEADER], method, mode) is ForeignOrigin
    for site in (b"none", b"same-site", b"cross-site", b""):
        assert refusal([null, (b"Sec-Fetch-Site", site), HEADER], method, mode) is not None
    assert refusal([null, SAME, (b"Origin", b"https://evil.example"), HEADER], method, mode)


@pytest.mark.rule("CS-04")
def test_a_typed_url_is_no_sign_where_the_header_is_wanted() -> None:
    """Nothing that a user types carries the header, and no change is typed."""
    typed = [(b"Sec-Fetch-Site", b"none"), (b"Sec-Fetch-Mode", b"navigate"), HEADER]
    assert refusal(typed, "GET", CsrfMode.HEADER) is CrossSiteRequest
    assert refusal(typed, "POST", CsrfMode.SAME_ORIGIN) is CrossSiteRequest
    assert refusal(typed, "GET", CsrfMode.SAME_ORIGIN) is None


@pytest.mark.rule("CS-07")
def test_a_handshake_of_a_null_origin_is_refused_whatever_its_site() -> None:
    for fields in (
        [(b"Origin", b"null"), SAME],
        [(b"Origin", b"null")],
        [OURS, (b"Origin", b"null"), SAME],
    ):
        assert isinstance(GUARD.handshake_refusal(scan(fields)), ForeignOrigin)
    assert GUARD.handshake_refusal(scan([OURS, SAME])) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_same_origin_mode_needs_one_good_sign(method: str) -> None:
    assert refusal([], method, CsrfMode.SAME_ORIGIN) is OriginUnknown
    assert refusal([HEADER], method, CsrfMode.SAME_ORIGIN) is OriginUnknown
    assert refusal([SAME], method, CsrfMode.SAME_ORIGIN) is None
    assert refusal([OURS], method, CsrfMode.SAME_ORIGIN) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
def test_same_origin_mode_never_drops_the_header_for_changes(method: str) -> None:
    assert refusal([SAME, OURS], method, CsrfMode.SAME_ORIGIN) is CsrfHeaderMissing


@pytest.mark.parametrize(
    "extra",
    [
        [SAME, (b"Sec-Fetch-Site", b"cross-site")],
        [OURS, (b"Origin", b"https://evil.example")],
        [HEADER, (b"X-CSRF", b"0")],
        [(b"X-CSRF", b"11")],
        [(b"X-CSRF", b"")],
        [(b"X_CSRF", b"1")],
    ],
)
def test_a_doubled_or_wrong_sign_is_no_sign(extra: Fields) -> None:
    assert refusal(extra, "POST", CsrfMode.HEADER) is not None


@pytest.mark.rule("CS-03")
@pytest.mark.parametrize(
    ("origin", "site", "passed"),
    [
        (b"null", b"same-origin", b"https://app.example"),
        (b"null", b"none", b"null"),
        (b"https://app.example", b"same-origin", b"https://app.example"),
        (b"https://other.example", b"same-origin", b"https://other.example"),
    ],
)
def test_an_api_sees_our_origin_in_place_of_a_null_of_our_own_page(
    origin: bytes, site: bytes, passed: bytes
) -> None:
    fields = scan([(b"Accept", b"null"), (b"ORIGIN", origin), (b"Sec-Fetch-Site", site)])
    GUARD.tell_origin(fields)
    assert fields.passed[:2] == [(b"Accept", b"null"), (b"ORIGIN", passed)]


@pytest.mark.rule("CS-01")
@pytest.mark.parametrize("name", ["X-CSRF", "x-requested-with", "App-Guard"])
def test_a_header_that_only_our_scripts_can_set_guards(name: str) -> None:
    assert require_guarding(name) == name


@pytest.mark.rule("CS-01")
@pytest.mark.parametrize(
    "name",
    ["Accept", "Content-Type", "range", "Origin", "User-Agent", "Sec-X", "Proxy-X", "X-Real-IP"],
)
def test_a_header_that_another_site_or_the_gateway_sets_does_not_guard(name: str) -> None:
    with pytest.raises(ValueError, match="can"):
        require_guarding(name)
