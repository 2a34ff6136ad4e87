"""JSON as this gateway accepts it from the OP (RFC 8259, I-JSON RFC 7493): UTF-8, no duplicate
member names, no NaN or infinity, no lone surrogates, bounded depth.

Every document and every JWT segment of the OP is parsed here and nowhere else.
"""

import json
import math

MAX_DEPTH = 32

# Stands for a document that was refused, where an empty one is None.
NOT_JSON: object = object()


class JsonRefused(ValueError):
    """Not JSON, or JSON with more than one possible reading. The text never quotes the input."""


def parse_json(data: bytes) -> object:
    """The one value in `data`.

    Raises:
        JsonRefused: for anything but unambiguous, finite, shallow UTF-8 JSON.
    """
    try:
        value: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_members,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
        _require_storable(value, MAX_DEPTH)
    except JsonRefused:
        raise
    except (ValueError, RecursionError):  # UnicodeError and JSONDecodeError are ValueErrors
        raise JsonRefused("not JSON") from None
    return value


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRefused("duplicate member name")  # RFC 7493 section 2.3
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonRefused("number out of range")
    return number


def _refuse_constant(_name: str) -> float:
    raise JsonRefused("not a JSON number")


def _require_storable(value: object, room: int) -> None:
    """Nothing that would make a later `json.dumps` or UTF-8 encoding fail."""
    if room == 0:
        raise JsonRefused("nested too deep")
    if isinstance(value, str):
        value.encode("utf-8")  # RFC 7493 section 2.1: no lone surrogates
    elif isinstance(value, dict):
        for name, member in value.items():
            name.encode("utf-8")
            _require_storable(member, room - 1)
    elif isinstance(value, list):
        for element in value:
            _require_storable(element, room - 1)
