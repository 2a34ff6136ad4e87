"""What is judged of a file before it is sent: its coding, its name, preconditions and ranges."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bff.endpoints.spa import is_hashed, matches_any
from bff.endpoints.static_files import (
    Representation,
    content_type,
    is_same_as_before,
    precondition,
    preferred_coding,
    requested_part,
)
from tests.parts.file_names import HASHED, PLAIN


@pytest.mark.parametrize(
    ("accepted", "offered", "coding"),
    [
        ("", ["br", "gzip"], "identity"),
        ("gzip, deflate, br, zstd", ["br", "gzip"], "br"),
        ("gzip, deflate, br", ["gzip"], "gzip"),
        ("gzip", [], "identity"),
        ("GZIP", ["br", "gzip"], "gzip"),
        ("x-gzip", ["gzip"], "gzip"),
        ("gzip;q=0", ["br", "gzip"], "identity"),
        ("gzip ; q=0.000", ["gzip"], "identity"),
        ("br;q=0.5, gzip;q=0.8", ["br", "gzip"], "gzip"),
        ("br;q=0.8, gzip;Q=0.8", ["br", "gzip"], "br"),
        ("br;q=1, gzip", ["br", "gzip"], "br"),
        ("*", ["br", "gzip"], "br"),
        ("*;q=0", ["br", "gzip"], "identity"),
        ("br;q=0, *;q=0.1", ["br", "gzip"], "gzip"),
        ("gzip;q=0.5, identity", ["gzip"], "identity"),
        ("gzip;q=0.5, identity;q=0.5", ["gzip"], "gzip"),
        ("gzip, identity;q=0", ["gzip"], "gzip"),
        ("identity;q=0", ["gzip"], "identity"),
        ("not-gzip, brotli", ["br", "gzip"], "identity"),
        ("gzip;q=2", ["gzip"], "identity"),
        ("gzip;q=high, br", ["br", "gzip"], "br"),
        (",, ,gzip,", ["gzip"], "gzip"),
    ],
)
def test_the_coding_with_the_greatest_weight(
    accepted: str, offered: Sequence[str], coding: str
) -> None:
    """RFC 9110 section 12.5.3."""
    assert preferred_coding(accepted, offered) == coding


@pytest.mark.parametrize("path", HASHED)
def test_names_that_end_in_a_hash(path: str) -> None:
    assert is_hashed(path)


@pytest.mark.parametrize("path", PLAIN)
def test_names_that_people_write(path: str) -> None:
    """A wrong yes would keep a file in browsers for a year."""
    assert not is_hashed(path)


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("assets/a.js", True),
        ("assets/deep/a.js", True),
        ("assets/index.html", False),
        ("other/a.js", False),
        ("x/assets/a.js", False),
    ],
)
def test_patterns_of_paths(path: str, matches: bool) -> None:
    assert matches_any(path, ["/assets/*"]) is matches


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-4", (0, 5)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("Bytes=0-0", (0, 1)),
        ("bytes=10-", None),
        ("bytes=-0", None),
        ("bytes=5-4", (0, 10)),
        ("bytes=0-1,4-5", (0, 10)),
        ("bytes=-", (0, 10)),
        ("", (0, 10)),
        ("lines=0-1", (0, 10)),
        ("bytes=+1-2", (0, 10)),
    ],
)
def test_ranges_of_a_file_of_ten_bytes(wanted: str, part: tuple[int, int] | None) -> None:
    """RFC 9110 section 14.1.2. What is not understood is ignored: all of it."""
    found = requested_part(wanted, 10)
    assert (found and (found.start, found.stop)) == part


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.JS", "text/javascript; charset=utf-8"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.png", "image/png"),
        ("a.d.ts", "text/plain; charset=utf-8"),
        ("a.unknown-thing", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_types_by_name(name: str, kind: str) -> None:
    """Whatever the machine's own tables say: a script that is no script is not run."""
    assert content_type(Path(name)) == kind


TAG, OTHER = '"tag"', '"other"'
BEFORE, DATE, AFTER = (f"Tue, 14 Nov 2023 22:13:{second} GMT" for second in (19, 20, 21))
FOUND = Representation(Path("a.js"), "identity", False, TAG, 10, 1_700_000_000.25)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"If-Match": TAG}, None),
        ({"If-Match": f"{OTHER}, {TAG}"}, None),
        ({"If-Match": " * "}, None),
        ({"If-Match": OTHER}, 412),
        ({"If-Match": f"W/{TAG}"}, 412),
        ({"If-Match": ""}, 412),
        ({"If-Match": TAG, "If-Unmodified-Since": BEFORE}, None),
        ({"If-Unmodified-Since": BEFORE}, 412),
        ({"If-Unmodified-Since": DATE}, None),
        ({"If-Unmodified-Since": "yesterday"}, None),
        ({"If-None-Match": TAG}, 304),
        ({"If-None-Match": f"{OTHER}, W/{TAG}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": OTHER}, None),
        ({"If-None-Match": OTHER, "If-Modified-Since": AFTER}, None),
        ({"If-Modified-Since": BEFORE}, None),
        ({"If-Modified-Since": DATE}, 304),
        ({"If-Modified-Since": AFTER}, 304),
        ({"If-Modified-Since": "Tue, 14 Nov 99999 22:13:20 GMT"}, None),
        ({"If-Modified-Since": ""}, None),
        ({"If-Match": OTHER, "If-None-Match": TAG}, 412),
        ({"If-Match": TAG, "If-None-Match": TAG}, 304),
    ],
)
def test_preconditions_in_their_order(headers: dict[str, str], status: int | None) -> None:
    """RFC 9110 section 13.2.2. A date is in whole seconds, and counts without a list of tags."""
    assert precondition(headers, FOUND) == status


@pytest.mark.parametrize(
    ("if_range", "is_same"),
    [
        (None, True),
        (TAG, True),
        (OTHER, False),
        (f"W/{TAG}", False),
        (DATE, True),
        (AFTER, False),
        (BEFORE, False),
        ("yesterday", False),
    ],
)
def test_a_part_is_of_the_file_that_the_browser_has(if_range: str | None, is_same: bool) -> None:
    """RFC 9110 section 13.1.5: compared strongly, and a date exactly."""
    assert is_same_as_before(if_range, FOUND) is is_same
