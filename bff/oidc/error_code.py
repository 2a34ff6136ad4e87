"""The `error` member or parameter of the OP (RFC 6749 sections 4.1.2.1 and 5.2): the only text of
its that may reach a log, and only when it is a plain code."""

import re

UNREADABLE = "unreadable"

_PLAIN = re.compile(r"[a-z_]{1,40}")


def plain_code(value: object) -> str:
    """`value` if it is a short run of lower-case letters and underscores, else "unreadable"."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else UNREADABLE


def error_code(document: object) -> str:
    """The code in a JSON error answer."""
    return plain_code(document.get("error")) if isinstance(document, dict) else UNREADABLE
