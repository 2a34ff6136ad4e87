"""A request's head as it came off the wire, and one pass over its fields.

`field_names` is the table of what a browser may not say. Every name is judged in lower case with
all but letters and digits read as `-`, because upstreams (WSGI, CGI, FastCGI) fold them:
`X_Forwarded_User`, and to some `X.Forwarded.User`, is `X-Forwarded-User`, so it must be to us.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import itemgetter

from bff.bounded_map import BoundedMap
from bff.errors import BffError
from bff.gate.field_names import FAMILIES, NAMES

Field = tuple[bytes, bytes]

# RFC 9110 section 7.6.1, plus the obsolete ones peers still send.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)

_READ_AND_PASSED = frozenset(
    {
        b"accept",
        b"access-control-request-method",
        b"content-length",
        b"content-type",
        b"origin",
        b"purpose",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-fetch-user",
        b"sec-purpose",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"user-agent",
        b"x-moz",
        b"x-purpose",
    }
)
_TAKEN = HOP_BY_HOP | NAMES
# What the gateway says itself in place of the browser, or that belongs to one connection: that a
# browser's own does not pass is nothing to tell.
_REPLACED = HOP_BY_HOP | {
    b"cookie",
    b"expect",
    b"host",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-request-id",
}
_FOLDED = bytes(byte if bytes((byte,)).isalnum() else 0x2D for byte in range(256))


@dataclass(slots=True)  # made for every request: frozen ones take three times as long to make
class RequestHead:
    """Method, raw request target, header fields in order, and the peer's address.

    `peer` is the textual IP address of the connection's other end, None on a Unix socket.
    `version` is that of HTTP, empty for another protocol. `most_bytes` is how many bytes the head
    has at most, as far as that is known without counting. `fault` is what a parser has found of it,
    or of the body, or why there is no head at all.
    """

    method: str
    target: bytes = field(repr=False)
    fields: Sequence[Field] = field(repr=False)
    peer: str | None
    version: str = "1.1"
    most_bytes: int = 0
    fault: BffError | None = None


@dataclass(slots=True)
class ScannedFields:
    """The fields of one head, sorted once: those the gate reads, each at its `places`, and those an
    upstream may see. `stripped` are the names of those that it may not, as they were spelled.

    Whether a field that most requests lack is there is asked of `places`: that costs no call."""

    all: Sequence[Field] = field(repr=False)
    places: Mapping[bytes, Sequence[int]] = field(repr=False)
    passed: list[Field] = field(repr=False)
    stripped: tuple[bytes, ...] = field(default=(), repr=False)

    def values(self, name: bytes) -> list[bytes]:
        """In order; none for a field that is absent, as most of them are."""
        places = self.places.get(name)
        if places is None:
            return _NONE
        if len(places) == 1:  # nearly always; a comprehension costs more than all else here
            return [self.all[places[0]][1]]
        return [self.all[at][1] for at in places]

    def single(self, name: bytes) -> bytes | None:
        """The only value of a field; None when it is absent, repeated or empty."""
        values = self.values(name)
        return values[0].strip() or None if len(values) == 1 else None


_NONE: list[bytes] = []


class FieldReader:
    """Sorts the fields of heads. `extra_names` (lower case) are read, and passed on as well.

    Their names alone say how fields are sorted, and browsers send the same names in the same order
    again and again: so the plan for a list of names is remembered, as is what a name means.
    """

    def __init__(self, extra_names: Iterable[bytes] = ()) -> None:
        self._passed_too = _READ_AND_PASSED.union(extra_names)
        self._judged: BoundedMap[bytes, tuple[bool, bytes | None]] = BoundedMap(_MOST_REMEMBERED)
        self._plans: BoundedMap[tuple[bytes, ...], _Plan] = BoundedMap(_MOST_REMEMBERED)

    def __len__(self) -> int:
        """How many names, and lists of names, are remembered."""
        return len(self._judged) + len(self._plans)

    def scan(self, fields: Sequence[Field]) -> ScannedFields:
        """One pass over the fields of a head."""
        names = tuple(map(_name_of, fields))
        plan = self._plans.get(names) or self._plan(names)
        passed = list(compress(fields, plan.passed))
        scanned = ScannedFields(fields, plan.places, passed, plan.stripped)
        if b"connection" in plan.places:
            scanned.passed = _without_named(passed, scanned.values(b"connection"))
        return scanned

    def _plan(self, names: tuple[bytes, ...]) -> "_Plan":
        judged = [self._judged.get(name) or self._judge(name) for name in names]
        places: dict[bytes, list[int]] = {}
        for at, (_, name) in enumerate(judged):
            if name is not None:
                places.setdefault(name, []).append(at)
        passed = [is_passed for is_passed, _ in judged]
        stripped = tuple(
            name
            for name, passes in zip(names, passed, strict=True)
            if not passes and name.lower() not in _REPLACED
        )
        plan = _Plan(passed, places, stripped)
        if len(names) <= _MOST_NAMES and all(name in self._judged for name in names):
            self._plans.keep(names, plan)
        return plan

    def _judge(self, raw: bytes) -> tuple[bool, bytes | None]:
        """Whether an upstream may see it, and the name under which it is read, if it is."""
        name = raw.lower()
        folded = name.translate(_FOLDED)
        judgement: tuple[bool, bytes | None]
        if folded != name:  # nothing is read by such a name, and no API may read it as one of ours
            judgement = not is_ours(folded) and folded not in self._passed_too, None
        elif name in _TAKEN or name.startswith(FAMILIES):
            judgement = False, name
        else:
            judgement = True, name if name in self._passed_too else None
        if len(raw) <= _LONGEST_REMEMBERED:
            self._judged.keep(raw, judgement)
        return judgement


_MOST_REMEMBERED = 1024
_LONGEST_REMEMBERED = 64
_MOST_NAMES = 64
_name_of = itemgetter(0)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which fields are passed on, at which places those stand that are read, by their name, and the
    names of those that are taken away."""

    passed: list[bool]
    places: Mapping[bytes, Sequence[int]] = field(repr=False)
    stripped: tuple[bytes, ...] = field(repr=False)


def scan(fields: Iterable[Field], extra_names: Iterable[bytes] = ()) -> ScannedFields:
    """The fields of a single head."""
    return FieldReader(extra_names).scan(list(fields))


def fold(name: bytes) -> bytes:
    """A field's name as the most generous server reads it."""
    return name.lower().translate(_FOLDED)


def without(fields: ScannedFields, names: Collection[bytes]) -> ScannedFields:
    """The same fields but those of these folded names, which an upstream may not see either."""
    taken = tuple(name for name, _ in fields.passed if fold(name) in names)
    if not taken:
        return fields
    passed = [item for item in fields.passed if item[0] not in taken]
    return ScannedFields(fields.all, fields.places, passed, fields.stripped + taken)


def is_ours(name: bytes) -> bool:
    """Whether a field name, in whatever spelling, is one that only the gateway may set."""
    folded = fold(name)
    return folded in _TAKEN or folded.startswith(FAMILIES)


def connection_options(values: Iterable[bytes]) -> set[bytes]:
    """The field names a Connection header lists (RFC 9110 section 7.6.1), in lower case."""
    return {token.strip().lower() for value in values for token in value.split(b",")}


PLAIN_CONNECTIONS = ([b"keep-alive"], [b"close"], [b"Keep-Alive"])


def _without_named(passed: list[Field], connection: list[bytes]) -> list[Field]:
    # A browser may not strip what describes the body; those stay whatever Connection says.
    if connection in PLAIN_CONNECTIONS:
        return passed
    named = connection_options(connection) - {b"content-length", b"content-type"}
    return [item for item in passed if item[0].lower() not in named]
