"""The Cookie header (RFC 6265bis section 4.2): find one cookie, keep listed ones. Never raises."""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum, auto

Pair = tuple[bytes, bytes]


class Cookie(Enum):
    """What a header can say of one name beside a value."""

    ABSENT = auto()
    DUPLICATE = auto()  # several cookies of one name: another site may have planted one


def pairs(values: Iterable[bytes]) -> Iterator[Pair]:
    """The name-value pairs of all Cookie header lines, in order, quotes left as they are."""
    for value in values:
        for part in value.split(b";"):
            name, mark, content = part.strip(b" \t").partition(b"=")
            if mark:
                yield name, content


def find(values: Iterable[bytes], name: bytes) -> bytes | Cookie:
    """The value of the one cookie called `name`.

    Two of that name give `DUPLICATE` whatever their order: which one a sibling domain planted can't
    be told (RFC 6265bis section 4.2.2).
    """
    found: bytes | Cookie = Cookie.ABSENT
    for value in values:
        for content in _contents(name)(value):
            if found is not Cookie.ABSENT:
                return Cookie.DUPLICATE
            found = content.rstrip(b" \t")
    return found


@functools.cache  # the names are those of our own cookies
def _contents(name: bytes) -> Callable[[bytes], list[bytes]]:
    return re.compile(rb"(?:\A|;)[ \t]*%b=([^;]*)" % re.escape(name)).findall


def keep(values: Iterable[bytes], names: Collection[bytes]) -> bytes:
    """A Cookie header value with the listed cookies only, empty when none is there."""
    if not names:
        return b""
    return b"; ".join(b"%s=%s" % pair for pair in pairs(values) if pair[0] in names)
