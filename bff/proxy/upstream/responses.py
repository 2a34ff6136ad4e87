"""What of an upstream's response head the browser may see: pure.

RFC 9110 sections 6.6.1 (Date), 7.6.1 (hop-by-hop) and 15.2 (interim answers); RFC 9111 sections 3
and 3.5 (caching of what a cookie opened), RFC 9213 (cache rules for some caches only).
"""

import functools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import itemgetter

from bff.gate.head import HOP_BY_HOP, PLAIN_CONNECTIONS, Field, connection_options
from bff.proxy.upstream.locations import Locations

# Ours, for us alone, about the software behind us, or for the whole origin, which is not one API's:
# an answer with Clear-Site-Data would log the user out, one with Report-To tell of requests to
# other APIs.
_NEVER = HOP_BY_HOP | {
    b"alt-svc",
    b"clear-site-data",
    b"dpop-nonce",
    b"nel",
    b"report-to",
    b"server",
    b"strict-transport-security",
    b"via",
    b"x-powered-by",
    b"x-request-id",
}
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_STATED = (b"public", b"private", b"s-maxage", b"no-store")

_LOCATIONS = frozenset({b"location", b"content-location"})
_SPECIAL = _LOCATIONS | frozenset(
    {
        b"connection",
        b"set-cookie",
        b"www-authenticate",
        b"cache-control",
        b"x-content-type-options",
        b"cross-origin-resource-policy",
    }
)
_name_of = itemgetter(0)
# What some caches obey instead of Cache-Control; RFC 9213 section 2 lets every CDN have its own.
_TARGETED = frozenset({b"surrogate-control", b"edge-control", b"x-accel-expires"})
_TARGETED_END = b"-cache-control"
_SHARED = frozenset({b"public", b"s-maxage"})
_EVENT_STREAM = b"text/event-stream"
_UNBUFFERED: Field = (b"X-Accel-Buffering", b"no")  # nginx would hold events back until it has many
_NO_SNIFFING: Field = (b"X-Content-Type-Options", b"nosniff")
_SAME_ORIGIN: Field = (b"Cross-Origin-Resource-Policy", b"same-origin")
_NO_STORE: Field = (b"Cache-Control", b"no-store")
_PRIVATE: Field = (b"Cache-Control", b"private")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the names of an answer's fields say of them: which are passed on, and at which places
    those stand whose value counts, by their name. `content_type` is -1 without one."""

    kept: tuple[bool, ...]
    special: tuple[tuple[bytes, int], ...] = field(repr=False)
    content_type: int
    has_date: bool
    has_buffering: bool
    has_targeted: bool


def response_fields(
    upstream: Sequence[Field],
    *,
    used_session: bool,
    forward_cookies: Collection[bytes],
    locations: Locations | None = None,
    date: Field | None = None,
) -> list[Field]:
    """The fields to send on, in order, with the cache rule applied. `locations` says where an
    address of the upstream's is ours; `date` is that of now, and is added to an answer that has
    none.

    CORS fields are dropped: no other origin may read what a session opened. A Basic or Negotiate
    challenge is dropped, because a browser would answer it with a prompt of its own.
    """
    plan = _plan(tuple(map(_name_of, upstream)))
    kept, special, named = _passed(upstream, plan, forward_cookies, locations)
    if b"x-content-type-options" not in special:
        kept.append(_NO_SNIFFING)
    if b"cross-origin-resource-policy" not in special:
        kept.append(_SAME_ORIGIN)
    if date is not None and (not plan.has_date or b"date" in named):
        kept.append(date)
    is_stream = plan.content_type >= 0 and _is_event_stream(upstream[plan.content_type][1])
    if is_stream and (not plan.has_buffering or b"x-accel-buffering" in named):
        kept.append(_UNBUFFERED)
    if used_session:
        directives = _apply_cache_rule(kept, special.get(b"cache-control"))
        if plan.has_targeted and directives.isdisjoint(_SHARED):
            kept = [item for item in kept if not _is_targeted(item[0].lower())]
    return kept


def interim_fields(upstream: Sequence[Field], *, forward_cookies: Collection[bytes]) -> list[Field]:
    """The fields of an interim answer to send on; none is added."""
    return _passed(upstream, _plan(tuple(map(_name_of, upstream))), forward_cookies, None)[0]


def _passed(
    upstream: Sequence[Field],
    plan: _Plan,
    forward_cookies: Collection[bytes],
    locations: Locations | None,
) -> tuple[list[Field], dict[bytes, list[bytes]], Collection[bytes]]:
    """What passes as it is; the values that count by name; what Connection names."""
    kept = list(compress(upstream, plan.kept))
    special: dict[bytes, list[bytes]] = {}
    for name, at in plan.special:
        item = upstream[at]
        special.setdefault(name, []).append(item[1])
        if not _may_pass(name, item[1], forward_cookies):
            kept.remove(item)
        elif locations is not None and name in _LOCATIONS:
            kept[kept.index(item)] = (item[0], locations.mapped(item[1]))
    connection = special.get(b"connection")
    if connection is None or connection in PLAIN_CONNECTIONS:
        return kept, special, ()
    named = _named(connection)
    if named:
        kept = [item for item in kept if item[0].lower() not in named]
        special = {name: values for name, values in special.items() if name not in named}
    return kept, special, named


@functools.lru_cache(maxsize=256)  # an API sends the same names again and again
def _plan(names: tuple[bytes, ...]) -> _Plan:
    lower = [name.lower() for name in names]
    return _Plan(
        tuple(name not in _NEVER and not name.startswith(b"access-control-") for name in lower),
        tuple((name, at) for at, name in enumerate(lower) if name in _SPECIAL),
        content_type=lower.index(b"content-type") if b"content-type" in lower else -1,
        has_date=b"date" in lower,
        has_buffering=b"x-accel-buffering" in lower,
        has_targeted=any(map(_is_targeted, lower)),
    )


def _is_targeted(name: bytes) -> bool:
    return name in _TARGETED or name.endswith(_TARGETED_END)


def _is_event_stream(content_type: bytes) -> bool:
    return content_type[: len(_EVENT_STREAM)].lower() == _EVENT_STREAM


def _may_pass(name: bytes, value: bytes, forward_cookies: Collection[bytes]) -> bool:
    if name == b"set-cookie":
        return value.partition(b"=")[0].strip(b" \t") in forward_cookies
    if name == b"www-authenticate":
        return value.lstrip().lower().startswith((b"bearer", b"dpop"))
    return True


def _named(connection: list[bytes]) -> set[bytes]:
    # A field that says where the body ends stays, whatever Connection says.
    return connection_options(connection) - {b"content-length", b"keep-alive", b"close"}


def _apply_cache_rule(kept: list[Field], values: list[bytes] | None) -> set[bytes]:
    """Add what is missing. Returns the API's own directives."""
    if values is None:
        kept.append(_NO_STORE)
        return set()
    # RFC 9111 section 5.2: a directive may have a quoted argument, which is none itself.
    lower = [_QUOTED.sub(b"", value).lower() for value in values]
    directives = {part.split(b"=")[0].strip() for value in lower for part in value.split(b",")}
    if directives.isdisjoint(_STATED):
        kept.append(_PRIVATE)
    return directives
