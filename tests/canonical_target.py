"""A request target whose path has one reading, as a route takes it that allows no other."""

from bff.errors import AmbiguousPath
from bff.gate.paths import Target, read_target


def parse_target(raw: bytes) -> Target:
    """Raises: as `read_target`, and AmbiguousPath for a path with a second reading."""
    target = read_target(raw)
    if target.doubt:
        raise AmbiguousPath(target.doubt)
    return target
