"""Rich authorization requests (RFC 9396): what a token is to be good for, in more detail than a
scope can say. The details are JSON objects of the API's own making, each with a `type`. They stand
in the configuration: those of every login, and what a single login may ask for beside them.
"""

import json
from collections.abc import Collection, Iterable, Mapping

from bff.errors import OpMetadataRefused
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.provider.op_text import quoted
from bff.oidc.provider.strict_json import parse_json

Details = tuple[Mapping[str, object], ...]

# What an OP grants is kept in the session's record, which every request may have to open.
MAX_GRANTED_CHARS = 16 * 1024
MAX_DETAILS = 32
MAX_ASKED_CHARS = 4096  # of one login, in the address that begins it
MAX_FREE_CHARS = 320
ANY = "*"


def require_details(details: Collection[Mapping[str, object]]) -> Collection[Mapping[str, object]]:
    """Objects with a `type`, of what JSON has. Raises: ValueError, with the rest of a sentence
    about the setting."""
    for one in details:
        if not isinstance(one.get("type"), str) or not one["type"]:
            raise ValueError("must have a type, a text, in each of the tables")
    if len(details) > MAX_DETAILS:
        raise ValueError(f"must be at most {MAX_DETAILS} tables")
    try:
        as_text(details)
    except (TypeError, ValueError):
        raise ValueError("must hold texts, numbers, switches, lists and tables only") from None
    return details


def require_allowed(allowed: Collection[Mapping[str, object]]) -> Collection[Mapping[str, object]]:
    """A list of what logins may ask for. Raises: as `require_details`; a `type` is said in full."""
    if any(one.get("type") == ANY for one in allowed):
        raise ValueError(f"must have a type that is not {ANY}")
    return require_details(allowed)


def read_details(text: str) -> Details:
    """Those that a login names, as JSON. Raises: ValueError."""
    if len(text) > MAX_ASKED_CHARS:
        raise ValueError("too long")
    found = parse_json(text.encode("utf-8"))
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("no list of objects")
    require_details(found)
    return tuple(found)


def is_allowed(asked: Mapping[str, object], allowed: Iterable[Mapping[str, object]]) -> bool:
    """Whether one of these allows it: it has the same members, no more and no fewer, each with the
    value that is allowed, with some of the values of a list, or with any for `*`."""
    return any(_fits(asked, one) for one in allowed)


def _fits(asked: object, allowed: object) -> bool:
    if allowed == ANY:
        return _is_short_text(asked) or (
            isinstance(asked, int | float) and not isinstance(asked, bool)
        )
    if isinstance(allowed, Mapping):
        if not isinstance(asked, Mapping) or asked.keys() != allowed.keys():
            return False
        return all(_fits(asked[name], value) for name, value in allowed.items())
    if isinstance(allowed, list):
        named = asked if isinstance(asked, list) else []
        return bool(named) and all(any(_fits(one, other) for other in allowed) for one in named)
    return type(asked) is type(allowed) and asked == allowed


def _is_short_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_FREE_CHARS and value.isprintable()


def as_text(details: Iterable[Mapping[str, object]]) -> str:
    """As a parameter (RFC 9396 section 2); empty without any."""
    listed = list(details)
    return json.dumps(listed, separators=(",", ":"), allow_nan=False) if listed else ""


def details_in(text: str) -> Details:
    """Those in a text that `as_text` has made."""
    return tuple(json.loads(text)) if text else ()


def types_of(details: Iterable[Mapping[str, object]]) -> list[str]:
    """Their types, each once."""
    return list(dict.fromkeys(str(one["type"]) for one in details))


def require_types_supported(details: Details, metadata: ProviderMetadata) -> None:
    """An OP that lists its types must list ours (RFC 9396 section 10).

    Raises:
        OpMetadataRefused: it would refuse every request.
    """
    listed = metadata.details_types
    missing = [one for one in types_of(details) if listed is not None and one not in listed]
    if missing:
        raise OpMetadataRefused(
            f"authorization_details_types_supported lacks {quoted(missing)}: {quoted(listed)}"
        )


def granted_details(value: object) -> str | None:
    """What a token answer says is granted (RFC 9396 section 7), as text; None where it says nothing
    or nothing that can be kept. The user, or the OP, may have granted less, or filled in more."""
    if not isinstance(value, list) or len(value) > MAX_DETAILS:
        return None
    if not all(isinstance(one, dict) and isinstance(one.get("type"), str) for one in value):
        return None
    text = json.dumps(value, separators=(",", ":"))
    return text if len(text) <= MAX_GRANTED_CHARS else None
