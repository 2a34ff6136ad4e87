"""What a route may allow in a path: forwarded as it was sent, and never out of the route, whatever
the API makes of it (decoded once or twice, with backslashes as slashes, without parameters)."""

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import AmbiguousPath
from bff.gate.paths import read_target
from bff.gate.routes import Route, RouteTable, Spelling, Upstream
from bff.gate.spellings import MAX_DOUBTFUL_BYTES, is_page, readings, require_within

API = Upstream("http", "127.0.0.1:9000")
BASED = Upstream("http", "127.0.0.1:9000", "/v1")
EVERY = frozenset(Spelling)


def table(allowed: Iterable[Spelling], upstream: Upstream = BASED) -> RouteTable:
    return RouteTable(
        [
            Route("/files", (upstream,), allow_in_path=frozenset(allowed)),
            Route("/files/private", (upstream,)),
            Route("/admin", (upstream,)),
        ]
    )


def passes(path: bytes, routes: RouteTable) -> bool:
    target = read_target(path)
    if not target.doubt:
        return True
    try:
        require_within(
            target, routes.match(target.path), routes, lambda own: own.startswith(b"/bff/")
        )
    except AmbiguousPath:
        return False
    return True


SPELLINGS = [
    (b"/files/group%2Fproject/x", {Spelling.SLASH}),
    (b"/files/group%2fproject", {Spelling.SLASH}),
    (b"/files/50%25", {Spelling.PERCENT}),
    (b"/files/a%25b%20c", {Spelling.PERCENT}),
    (b"/files/a%5Cb", {Spelling.BACKSLASH}),
    (b"/files/Items;id=7/x", {Spelling.PARAMETERS}),
    (b"/files/a%3Bb", {Spelling.PARAMETERS}),
    (b"/files/bucket//key", {Spelling.EMPTY}),
    (b"/files/x///", {Spelling.EMPTY}),
    (b"/files/%7Euser", {Spelling.ESCAPES}),
    (b"/files/a%2Eb/%2Ehidden", {Spelling.ESCAPES}),
    (b"/files/a%252Fb", {Spelling.PERCENT}),
    (b"/files/a%2Fb;v=1", {Spelling.SLASH, Spelling.PARAMETERS}),
]
NEVER = [
    # a dot segment, in some reading
    b"/files/..", b"/files/../admin", b"/files/./x", b"/files/%2e%2e/admin", b"/files/.%2E/admin",
    b"/files/..%2Fadmin", b"/files/x%2F..%2F..%2Fadmin", b"/files/..%5Cadmin", b"/files/..;/admin",
    b"/files/..;x=y/admin", b"/files/.;/x", b"/files/..%3B/admin", b"/files/%252e%252e/admin",
    b"/files/..%252Fadmin", b"/files/..%255Cadmin", b"/files/..%253Bx/admin", b"/files/%2e%2e%2f",
    b"/files/x;a/../y", b"/files/x%3Ba%2F..%2Fy", b"/files/x//..//y", b"/files/%2E%2E;/%61dmin",
    b"/files/x;%2F..%2F..%2Fadmin", b"/files/x;%5C..%5Cadmin",
    # another route, or ours
    b"/files/private%2Fx", b"/files/private;x/y", b"/files//private/x", b"/files/p%72ivate/x",
    b"/files/private%5Cx", b"/files/p%2572ivate/x", b"/files;x/y", b"/files%2Fx", b"/f%69les/x",
    b"/files/;/private/x", b"/files/private%252Fx", b"/files/%253Ba%255Cb/private%255Cx",
    b"//files/x", b"/bff%2Fuser", b"/bff;x/user",
    # never a path
    b"/files/a%00", b"/files/a%2500", b"/files/a%0d%0a", b"/files/a%250a", b"/files/a%7f",
    b"/files/a%", b"/files/a%2", b"/files/%zz", b"/files/%c0%ae%c0%ae/x", b"/files/%25c0%25ae",
    b"/files/%C1%9C", b"/files/a^b", b'/files/"', b"/files/{x}",
    b"/files/" + b"a%2F" * (MAX_DOUBTFUL_BYTES // 4),
]  # fmt: skip


@pytest.mark.rule("PX-03")
@pytest.mark.parametrize(("path", "needed"), SPELLINGS)
def test_a_spelling_passes_where_it_is_allowed_and_nowhere_else(
    path: bytes, needed: set[Spelling]
) -> None:
    assert passes(path, table(needed))
    assert passes(path, table(EVERY))
    for one in needed:
        assert not passes(path, table(EVERY - {one}))
    assert not passes(path, table([]))


@pytest.mark.rule("PX-02")
@pytest.mark.parametrize("path", NEVER)
def test_no_reading_leads_out_of_the_route(path: bytes) -> None:
    assert not passes(path, table(EVERY))
    assert not passes(path, table(EVERY, API))


@pytest.mark.rule("PX-02")
def test_what_is_forwarded_does_not_begin_with_an_empty_segment() -> None:
    """Many servers would read the next one as a host."""
    assert not passes(b"/files//evil.example/x", table(EVERY, API))
    assert passes(b"/files//x", table(EVERY, BASED))
    assert passes(b"/files/a//x", table(EVERY, API))


def test_a_doubtful_path_has_so_many_bytes_at_most() -> None:
    """Those of all readings together are many times as many."""
    path = b"/files//" + b"a" * (MAX_DOUBTFUL_BYTES - 8)
    assert passes(path, table(EVERY))
    assert not passes(path + b"a", table(EVERY))


@pytest.mark.rule("PX-02")
@given(
    st.lists(
        st.sampled_from(
            b"/ . .. %2e %2F %5C ; %3B %25 25 2e 2f 5c 3b a private admin %70 // = %00".split()
        ),
        max_size=14,
    ),
    st.sets(st.sampled_from(list(Spelling))),
)
def test_whatever_is_allowed_stays_within_its_route(
    parts: list[bytes], allowed: set[Spelling]
) -> None:
    """A reader of its own: it decodes, turns backslashes, cuts parameters and follows dots in any
    order, decoding at most twice."""
    path = b"/files/" + b"".join(parts)
    routes = table(allowed)
    if not passes(path, routes):
        return
    route = routes.match(path)
    seen = {(path, 0)}
    todo = [(path, 0)]
    while todo:
        read, decoded = todo.pop()
        for segment in re.split(rb"[/\\]", read):
            assert segment.partition(b";")[0] not in (b".", b"..")
        assert routes.match(re.sub(rb"/+", b"/", read)) is route
        further = [
            (read.replace(b"\\", b"/"), decoded),
            (b"/".join(one.partition(b";")[0] for one in read.split(b"/")), decoded),
        ]
        if decoded < 2:
            further.append((unquote_to_bytes(read), decoded + 1))
        todo += [step for step in further if step not in seen]
        seen.update(further)


def one_step(path: bytes) -> Iterable[bytes]:
    """What a server may do to a path, once."""
    yield path.replace(b"\\", b"/")
    yield re.sub(rb";[^/]*", b"", path)
    yield path


@given(
    st.lists(
        st.sampled_from(
            [b"a", b"/", b"//", b";", b"%2F", b"%5C", b"%25", b"%3B", b"%255C", b"%253b", b"%41"]
        ),
        max_size=12,
    )
)
def test_no_reading_is_left_out(parts: list[bytes]) -> None:
    """Whatever was found twice on the way is read no further, and that loses nothing."""
    path = b"/" + b"".join(parts)
    found, level = {path}, {path}
    for _ in range(3):
        for _ in range(3):
            level |= {read for one in level for read in one_step(one)}
        found |= level
        level = {unquote_to_bytes(one) for one in level}
    found |= {re.sub(rb"/{2,}", b"/", one) for one in found}
    assert readings(path) == found


def test_a_path_is_read_as_decoded_twice_and_not_three_times() -> None:
    assert not passes(b"/files/%252e%252e/x", table(EVERY))
    assert passes(b"/files/%25252e%25252e/x", table(EVERY))


def test_a_page_has_one_reading_or_is_short_and_has_no_dot_segment_in_any() -> None:
    fitting = b"/a//" + b"a" * (MAX_DOUBTFUL_BYTES - 4)
    for path in (b"/a", b"/a;b", b"/a%2Fb", b"/" + b"a" * (MAX_DOUBTFUL_BYTES + 1), fitting):
        assert is_page(path)
    for path in (
        b"/a%2F..%2Fb",
        b"/a;/..",
        b"/a%00",
        b"/a%c0%ae",
        b"/a;%c0%a",
        b"/a\\b",
        b"a",
        fitting + b"a",
    ):
        assert not is_page(path)
