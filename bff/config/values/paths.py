"""Paths of this origin, held to the gate's own rule: one reading, or none.

What paths are matched by is held to a stricter one. `/a@b` and `/a%40b` are two paths to the gate,
both canonical, and one to many an upstream: as a prefix, one of them would guard only half.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from bff.errors import AmbiguousPath
from bff.gate.paths import require_canonical_path


def require_canonical(path: str) -> str:
    """A path that the gate would let through.

    Raises:
        ValueError: it does not start with a slash, or it has a second reading.
    """
    if not path.startswith("/"):
        raise ValueError('must start with "/"')
    try:
        require_canonical_path(path.encode("ascii", "replace"))
    except AmbiguousPath as error:
        raise ValueError(f"is not a canonical path: {error.log_detail}") from None
    return path


_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~/]*")  # RFC 3986 section 2.3: never percent-encoded


def require_one_spelling(path: str) -> str:
    """A path that cannot be written with percent-encoding as well, or in its place.

    Raises:
        ValueError: it is not canonical, or not of letters, digits and `-._~/` only.
    """
    require_canonical(path)
    if not _UNRESERVED.fullmatch(path):
        raise ValueError("must be of letters, digits and -._~/ only: others have two spellings")
    return path


def require_prefix(path: str) -> str:
    """A prefix such as `/bff`: at least one segment, no slash at the end."""
    require_one_spelling(path)
    if path.endswith("/"):
        raise ValueError('must name at least one segment and not end with "/"')
    return path


def is_within(path: str, prefix: str) -> bool:
    """Whether a path lies at or below a prefix, on segment boundaries."""
    inner, outer = path.rstrip("/"), prefix.rstrip("/")
    return inner == outer or inner.startswith(outer + "/")


def require_path_pattern(value: str) -> str:
    """A path, in which `*` stands for anything."""
    if not value.startswith("/") or not value.isprintable() or set(value) & set("?[]"):
        raise ValueError('must be a path such as "/assets/*"')
    return value


_SCHEMA = {"type": "string", "pattern": "^/", "x-kind": "path"}
OwnPath = Annotated[str, AfterValidator(require_canonical), WithJsonSchema(_SCHEMA)]
RoutePath = Annotated[str, AfterValidator(require_one_spelling), WithJsonSchema(_SCHEMA)]
Prefix = Annotated[str, AfterValidator(require_prefix), WithJsonSchema(_SCHEMA)]
PathPattern = Annotated[str, AfterValidator(require_path_pattern)]
