"""Which coding of a file a browser takes. RFC 9110 section 12.5.3."""

import re
from collections.abc import Sequence

IDENTITY = "identity"

# Section 12.4.2: a weight is between 0 and 1, with at most three decimals.
_ITEM = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_SAME = {"x-gzip": "gzip"}  # section 8.4.1.3


def preferred_coding(accepted: str, offered: Sequence[str]) -> str:
    """The one of `offered` with the greatest weight, the first of several; or identity, where none
    is accepted or identity has a greater weight. `accepted` is an Accept-Encoding; an item of it
    that can't be read accepts nothing."""
    weights = _weights(accepted)
    other = weights.get("*", 0.0)
    best, greatest = IDENTITY, 0.0
    for coding in offered:
        weight = weights.get(coding, other)
        if weight > greatest:
            best, greatest = coding, weight
    # Identity is always acceptable unless excluded; named, it competes.
    return IDENTITY if weights.get(IDENTITY, 0.0) > greatest else best


def _weights(accepted: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in accepted.split(","):
        match = _ITEM.fullmatch(item)
        if match is not None:
            name = match[1].lower()
            found[_SAME.get(name, name)] = float(match[2]) if match[2] else 1.0
    return found
