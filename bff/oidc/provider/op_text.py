"""What of the text that an OP sends may reach a log: codes, and names in quotes.

A code is the `error` member or parameter (RFC 6749 sections 4.1.2.1 and 5.2), and only when it is a
plain one. A name (an issuer, an audience, a key's id, an algorithm) is shown where it is not the
expected one, since an operator can mend nothing without seeing both: in ASCII, escaped, and cut.
No token, no claim about a user, and nothing at all for a browser.
"""

import re

UNREADABLE = "unreadable"
LONGEST_NAME = 200  # characters
MOST_NAMES = 5

_PLAIN = re.compile(r"[a-z_]{1,40}")


def plain_code(value: object) -> str:
    """`value` if it is a short run of lower-case letters and underscores, else "unreadable"."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else UNREADABLE


def error_code(document: object) -> str:
    """The code in a JSON error answer."""
    return plain_code(document.get("error")) if isinstance(document, dict) else UNREADABLE


def quoted(value: object) -> str:
    """A name in single quotes, or several; anything else by its kind only."""
    if not isinstance(value, list | tuple | set | frozenset):
        return _name(value)
    names = sorted(_name(each) for each in list(value)[:MOST_NAMES])
    return f"[{', '.join(names)}{', ...' if len(value) > MOST_NAMES else ''}]"


def _name(value: object) -> str:
    if isinstance(value, str):
        return f"{value[:LONGEST_NAME]!a}{'...' if len(value) > LONGEST_NAME else ''}"
    return "nothing" if value is None else "something that is no text"


def lacks(found: object, expected: str) -> str:
    """What was found, and what should have been among it."""
    return f"{quoted(found)} lacks {quoted(expected)}"


def away(time: float | None, now: float) -> str:
    """How far a time is from ours, for clocks that differ; never the time itself."""
    if time is None:
        return "no time"
    seconds = round(time - now)
    return f"{-seconds} s ago by our clock" if seconds < 0 else f"in {seconds} s by our clock"


def differs(found: object, expected: object) -> str:
    """What was found, and what should have been."""
    return f"{quoted(found)} is not {quoted(expected)}"
