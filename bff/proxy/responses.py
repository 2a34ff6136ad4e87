"""What of an upstream's response head the browser may see: pure.

RFC 9110 section 7.6.1 (hop-by-hop), RFC 9111 sections 3 and 3.5 (caching of what a cookie opened).
"""

from collections.abc import Collection, Iterable

from bff.gate.head import HOP_BY_HOP, Field, connection_options

_NEVER = HOP_BY_HOP | {
    b"server",
    b"x-powered-by",
    b"strict-transport-security",
    b"x-request-id",
    b"via",
    b"alt-svc",
}
_STATED = (b"public", b"private", b"s-maxage", b"no-store")


def response_fields(
    upstream: Iterable[Field], *, used_session: bool, forward_cookies: Collection[bytes]
) -> list[Field]:
    """The fields to send on, in order, with the cache rule applied.

    CORS fields are dropped: no other origin may read what a session opened. A Basic or Negotiate
    challenge is dropped, because a browser would answer it with a prompt of its own.
    """
    fields = list(upstream)
    named = connection_options(value for name, value in fields if name.lower() == b"connection")
    kept = [item for item in fields if _may_pass(item, named, forward_cookies)]
    _default(kept, b"X-Content-Type-Options", b"nosniff")
    _default(kept, b"Cross-Origin-Resource-Policy", b"same-origin")
    return _with_cache_rule(kept) if used_session else kept


def _may_pass(item: Field, named: set[bytes], forward_cookies: Collection[bytes]) -> bool:
    name = item[0].lower()
    if name in _NEVER or name in named or name.startswith(b"access-control-"):
        return False
    if name == b"set-cookie":
        return item[1].partition(b"=")[0].strip(b" \t") in forward_cookies
    if name == b"www-authenticate":
        return item[1].lstrip().lower().startswith((b"bearer", b"dpop"))
    return True


def _with_cache_rule(fields: list[Field]) -> list[Field]:
    values = [value.lower() for name, value in fields if name.lower() == b"cache-control"]
    if not values:
        return [*fields, (b"Cache-Control", b"no-store")]
    directives = {part.split(b"=")[0].strip() for value in values for part in value.split(b",")}
    if directives.isdisjoint(_STATED):
        return [*fields, (b"Cache-Control", b"private")]
    return fields


def _default(fields: list[Field], name: bytes, value: bytes) -> None:
    lower = name.lower()
    if all(existing.lower() != lower for existing, _ in fields):
        fields.append((name, value))
