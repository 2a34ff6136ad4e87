"""Paths of this origin, held to the gate's own rule: one reading, or none."""

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


def require_prefix(path: str) -> str:
    """A prefix such as `/bff`: at least one segment, no slash at the end."""
    require_canonical(path)
    if path.endswith("/"):
        raise ValueError('must name at least one segment and not end with "/"')
    return path


def is_within(path: str, prefix: str) -> bool:
    """Whether a path lies at or below a prefix, on segment boundaries."""
    inner, outer = path.rstrip("/"), prefix.rstrip("/")
    return inner == outer or inner.startswith(outer + "/")


_SCHEMA = {"type": "string", "pattern": "^/", "x-kind": "path"}
OwnPath = Annotated[str, AfterValidator(require_canonical), WithJsonSchema(_SCHEMA)]
Prefix = Annotated[str, AfterValidator(require_prefix), WithJsonSchema(_SCHEMA)]
