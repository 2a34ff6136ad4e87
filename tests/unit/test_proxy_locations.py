"""Where an API says that something is, turned into the browser's terms."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.gate.routes import Route, Upstream
from bff.proxy.upstream.locations import Locations

OURS = "https://app.example"
ROOT, BASED = Upstream("http", "127.0.0.1:9000"), Upstream("http", "api.internal", "/v1")
PARTS = [
    "http:", "https:", "//", "/", "127.0.0.1:9000", "api.internal", "/v1", "/api", "evil", "@",
    ":80", "?", "#", "..", "\\", "\t", "x",
]  # fmt: skip


def mapped(value: str, upstream: Upstream, prefix: str = "/api", *, strip: bool = True) -> str:
    locations = Locations.of(Route(prefix, (upstream,), strip_prefix=strip), upstream)
    assert locations is not None
    return locations.mapped(value.encode()).decode()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        # its own origin, whichever scheme it takes itself to have
        ("http://127.0.0.1:9000/items/", "/api/items/"),
        ("https://127.0.0.1:9000/items/", "/api/items/"),
        ("HTTP://127.0.0.1:9000/items/?a=b#c", "/api/items/?a=b#c"),
        ("//127.0.0.1:9000/items/", "/api/items/"),
        ("http://127.0.0.1:9000", "/api/"),
        ("http://127.0.0.1:9000?x", "/api/?x"),
        ("http://127.0.0.1:9000//evil.example/", "/api//evil.example/"),
        # the prefix was cut off
        ("/dir/", "/api/dir/"),
        ("/", "/api/"),
        ("/dir/?next=/x#/y", "/api/dir/?next=/x#/y"),
        # the API has read X-Forwarded-Prefix
        ("/api/dir/", "/api/dir/"),
        ("/api", "/api"),
        ("http://127.0.0.1:9000/api/dir/", "/api/dir/"),
        ("/apix", "/api/apix"),
        # relative to the request, or elsewhere
        ("dir/", "dir/"),
        ("../x", "../x"),
        ("?page=2", "?page=2"),
        ("", ""),
        ("https://app.example/done", "https://app.example/done"),
        ("https://elsewhere.example/items/", "https://elsewhere.example/items/"),
        ("http://127.0.0.1:9001/items/", "http://127.0.0.1:9001/items/"),
        ("http://127.0.0.1/items/", "http://127.0.0.1/items/"),
        ("http://127.0.0.1:9000@evil.example/", "http://127.0.0.1:9000@evil.example/"),
        ("http://user@127.0.0.1:9000/", "http://user@127.0.0.1:9000/"),
        ("http:127.0.0.1:9000/x", "http:127.0.0.1:9000/x"),
        ("//elsewhere.example/x", "//elsewhere.example/x"),
        ("mailto:a@b.example", "mailto:a@b.example"),
    ],
)
def test_an_upstream_at_the_root(said: str, found: str) -> None:
    assert mapped(said, ROOT) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("http://api.internal/v1/items/", "/api/items/"),
        ("http://API.internal:80/v1/items/", "/api/items/"),
        ("https://api.internal:443/v1/items/", "/api/items/"),
        ("http://api.internal/v1", "/api"),
        ("/v1/items/?a", "/api/items/?a"),
        ("/api/v1/items/", "/api/items/"),
        ("/api/items/", "/api/items/"),
        # outside of what is ours to show
        ("http://api.internal/v10/x", "http://api.internal/v10/x"),
        ("http://api.internal/login", "http://api.internal/login"),
        ("/login", "/login"),
        ("http://api.internal:8080/v1/x", "http://api.internal:8080/v1/x"),
    ],
)
def test_an_upstream_with_a_path_of_its_own(said: str, found: str) -> None:
    assert mapped(said, BASED) == found


@pytest.mark.parametrize(
    ("said", "upstream", "prefix", "found"),
    [
        ("http://127.0.0.1:9000/api/x/", ROOT, "/api", "/api/x/"),
        ("/api/x/", ROOT, "/api", "/api/x/"),
        ("/login", ROOT, "/api", "/login"),
        ("http://api.internal/v1/api/x/", BASED, "/api", "/api/x/"),
        ("http://127.0.0.1:9000/x", ROOT, "", "/x"),
        ("http://127.0.0.1:9000//evil.example/", ROOT, "", "/.//evil.example/"),
        ("/v1//evil.example", BASED, "", "/.//evil.example"),
        # a browser reads a backslash as a slash, and passes over tabs (URL standard section 4.4)
        ("/v1/\\evil.example", BASED, "", "/./\\evil.example"),
        ("/v1/\t/evil.example", BASED, "", "/./\t/evil.example"),
        ("http://127.0.0.1:9000/\\evil.example", ROOT, "", "/./\\evil.example"),
    ],
)
def test_a_prefix_that_was_not_cut_off(
    said: str, upstream: Upstream, prefix: str, found: str
) -> None:
    assert mapped(said, upstream, prefix, strip=False) == found


def test_a_route_can_leave_them_as_they_are() -> None:
    assert Locations.of(Route("/api", (ROOT,), map_location=False), ROOT) is None


@given(
    st.lists(st.sampled_from(PARTS), max_size=8),
    st.sampled_from([ROOT, BASED]),
    st.sampled_from(["", "/api", "/v1"]),
    st.booleans(),
)
def test_nothing_of_the_upstreams_becomes_another_hosts(
    parts: list[str], upstream: Upstream, prefix: str, strip: bool
) -> None:
    """A value is left as it is, or leads to our origin."""
    said = "".join(parts)
    found = mapped(said, upstream, prefix, strip=strip)
    if found != said:
        where = urlsplit(urljoin(f"{OURS}/api/page", found.replace("\\", "/")))
        assert f"{where.scheme}://{where.netloc}" == OURS
