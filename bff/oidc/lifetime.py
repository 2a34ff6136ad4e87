"""`expires_in` as OPs really send it: a number, a string, a float, nothing, or nonsense."""

import re

DEFAULT_ACCESS_LIFETIME_SECONDS = 300.0
MAX_ACCESS_LIFETIME_SECONDS = 30 * 86400.0
MAX_REFRESH_LIFETIME_SECONDS = 400 * 86400.0

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


def access_lifetime(expires_in: object) -> float:
    """Seconds from 1 to 30 days; five minutes when the OP does not say (RFC 6749 section 5.1 leaves
    that to documentation) or says something that is not a positive number."""
    stated = stated_lifetime(expires_in, MAX_ACCESS_LIFETIME_SECONDS)
    return DEFAULT_ACCESS_LIFETIME_SECONDS if stated is None else stated


def stated_lifetime(value: object, most: float) -> float | None:
    """Seconds from 1 to `most`, or None when `value` is not a positive number."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return max(1.0, float(min(value, most)))
