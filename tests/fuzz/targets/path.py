"""Request targets: what is accepted has one reading for every reader, and is forwarded as it is.

The readings are those of servers in the field: percent-decoded once and twice, `+` as a space,
backslashes as slashes, parameters cut off at `;`, text cut off at NUL, overlong UTF-8, and dot
segments removed. Where routes allow spellings with a second reading, each reading is still theirs.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from random import Random
from urllib.parse import unquote_to_bytes

from bff.errors import AmbiguousPath, BadRequest, TargetTooLong
from bff.gate.paths import MAX_TARGET_BYTES, Target, read_target
from bff.gate.routes import Route, RouteTable, Spelling, Upstream
from bff.gate.spellings import require_within
from tests.canonical_target import parse_target
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

SEGMENTS = [
    b"api", b"api", b"admin", b"public", b"bff", b"x", b"", b".", b"..", b"...", b"%2e", b"%2E%2e",
    b".%2e", b"..;", b"..;a=b", b";", b"%2f", b"%5c", b"\\", b"a%20b", b"%C3%A4", b"%c0%ae", b"%00",
    b"a+b", b"a@b", b"%41", b"%252e", b"~", b"index.html", b"a:b", b"x%3f", b"%23", b"*", b"a|b[1]",
]  # fmt: skip
QUERIES = [b"", b"?", b"?a=b", b"?/../", b"?%2f..", b"?a#b", b"?a b", b"?\xc3\xa4", b"??", b'?"']
ORIGINS = [
    b"",
    b"",
    b"",
    b"",
    b"http://app.example",
    b"HTTPS://h:1",
    b"ftp://h",
    b"http://a@b",
    b"h",
]
WORDS = [b"/", b"//", b"/./", b"/../", b"http://", b"?", *SEGMENTS]

_UPSTREAM = Upstream("http", "127.0.0.1:9000")
PREFIXES = ("", "/api", "/api/admin", "/admin", "/public", "/~", "/index.html")
ROUTES = RouteTable([Route(prefix, (_UPSTREAM,)) for prefix in PREFIXES])
# Some allow every spelling; what they guard lies beside and below them.
ALLOWING = RouteTable(
    [
        Route("/api", (_UPSTREAM,), allow_in_path=frozenset(Spelling)),
        Route("/public", (_UPSTREAM,), allow_in_path=frozenset(Spelling)),
        Route("/api/admin", (_UPSTREAM,)),
        Route("/admin", (_UPSTREAM,)),
        Route("/x", (_UPSTREAM,)),
    ]
)


# Encodings of ASCII in two to six bytes, which UTF-8 forbids and lenient decoders read.
OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]"
    rb"|\xf8\x80\x80[\x80\x81][\x80-\xbf]|\xfc\x80\x80\x80[\x80\x81][\x80-\xbf]"
)


class PathTarget:
    """The subject reads a raw request target."""

    name = "path"

    def __init__(self, subject: Callable[[bytes], Target] = parse_target) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random, WORDS)
        good = random.random() < 0.5
        segments = [
            random.choice(SEGMENTS[:6] if good else SEGMENTS) for _ in range(random.randint(0, 5))
        ]
        query = random.choice(QUERIES[:5] if good else QUERIES)
        case = random.choice(ORIGINS) + b"/" + b"/".join(segments) + query
        return mutated(random, case, WORDS) if random.random() < 0.5 else case

    def judge(self, case: bytes) -> bool:
        try:
            target = self._subject(case)
        except AmbiguousPath:
            return _judge_allowed(case)
        except (BadRequest, TargetTooLong):
            return False
        require(len(case) <= MAX_TARGET_BYTES, "longer than any target may be")
        origin_form = case if case.startswith(b"/") else after_authority(case)
        require(target.path + target.suffix == origin_form, "forwarded is not what was sent")
        require(b"?" not in target.path, "a query in the path")
        require(all(0x20 < byte < 0x7F for byte in origin_form), "a byte that no URI holds")
        require(b"#" not in origin_form, "a fragment")
        own = ROUTES.match(target.path)
        for reading in readings(target.path):
            require(_is_plain(reading), f"read as {reading!r} it is not canonical")
            require(ROUTES.match(reading) is own, f"read as {reading!r} it has another route")
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "segments": lambda size: b"/a" * (size // 2),
            "dots": lambda size: b"/." + b"." * size,
            "escapes": lambda size: b"/" + b"%C3" * (size // 3),
            "percents": lambda size: b"/" + b"%" * size,
            "query": lambda size: b"/?" + b"a=b&" * (size // 4),
            "authority": lambda size: b"http://" + b"a." * (size // 2) + b"/",
        }


def _judge_allowed(case: bytes) -> bool:
    """What a route with every spelling allowed lets through stays its own in every reading."""
    try:
        target = read_target(case)
        route = ALLOWING.match(target.path)
        if route is None:
            return False
        require_within(target, route, ALLOWING, lambda path: path.startswith(b"/bff/"))
    except (BadRequest, AmbiguousPath):
        return False
    for reading in readings(target.path):
        for read in (reading, re.sub(rb"/+", b"/", reading)):
            segments = {segment.partition(b";")[0] for segment in read.split(b"/")}
            require(segments.isdisjoint({b".", b".."}), f"read as {read!r} it has a dot segment")
            require(not any(byte < 0x20 or byte == 0x7F for byte in read), "a control byte")
        require(ALLOWING.match(read) is route, f"read as {read!r} it has another route")
        require(not read.startswith(b"/bff/"), f"read as {read!r} it is ours")
    return True


def after_authority(case: bytes) -> bytes:
    """What follows the authority of an absolute-form target; the root when nothing does."""
    rest = case.split(b"://", 1)[1]
    ends = [at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0]
    tail = rest[min(ends) :] if ends else b""
    return tail if tail.startswith(b"/") else b"/" + tail


def readings(path: bytes) -> Iterator[bytes]:
    """The path as different servers would read it."""
    once = unquote_to_bytes(path)
    for read in (path, once, unquote_to_bytes(once)):
        yield read
        yield read.replace(b"+", b" ")
        yield read.replace(b"\\", b"/")
        yield read.partition(b"\0")[0]
        yield b"/".join(segment.partition(b";")[0] for segment in read.split(b"/"))
        yield OVERLONG.sub(_shortened, read)


def _shortened(match: re.Match[bytes]) -> bytes:
    *_, high, low = match.group()
    return bytes([(high & 1) << 6 | low & 0x3F])


def _is_plain(path: bytes) -> bool:
    """Whether removing dot segments and empty ones changes nothing (RFC 3986 section 5.2.4)."""
    whole = posixpath.normpath(path)
    if path.endswith(b"/") and whole != b"/":
        whole += b"/"
    return path == whole and not any(byte < 0x20 or byte == 0x7F for byte in path)
