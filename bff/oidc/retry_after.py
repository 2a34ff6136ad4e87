"""`Retry-After` (RFC 9110 section 10.2.3), bounded: an OP cannot keep us away for a day."""

from datetime import UTC
from email.utils import parsedate_to_datetime

DEFAULT_SECONDS = 5
MAX_SECONDS = 120


def retry_after_seconds(value: str | None, now: float) -> int:
    """Seconds to wait: 1 to 120, and 5 when the header is absent or unreadable."""
    if value is None:
        return DEFAULT_SECONDS
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 10:
        seconds = float(text)
    else:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, OverflowError):  # a number in it that fits no date
            return DEFAULT_SECONDS
        seconds = when.replace(tzinfo=UTC).timestamp() - now
    return max(1, min(round(seconds), MAX_SECONDS))
