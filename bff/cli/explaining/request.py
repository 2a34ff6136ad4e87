"""The request that `bff explain` asks the gate about: what a browser would send, with the cookies
of a file and the fields that were given instead.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

import httptools

from bff.gate.csrf import CsrfGuard
from bff.gate.head import Field, RequestHead
from bff.gate.routes import SAFE_METHODS
from bff.proxy.downstream.reader import new_parser

_ADDRESS = re.compile(r"(?i:https?)://([^/?]+)(.*)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NETSCAPE_COLUMNS = 7
_HTTP_ONLY = "#HttpOnly_"


class Sender(StrEnum):
    """What sends the request, which says what a browser adds to it."""

    SCRIPT = "script"
    PAGE = "page"
    BARE = "bare"


class CookieFileUnusable(ValueError):
    """No cookie could be read from the file."""


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request in the words of the command line. `cookies` is the value of a Cookie header; `host`
    and `peer` are those of the connection, `given` fields replace the browser's of that name. One
    without a value is not sent."""

    method: str
    target: str = field(repr=False)
    host: str
    peer: str
    sender: Sender
    given: Sequence[tuple[str, str]] = field(repr=False)
    cookies: str = field(repr=False)

    def head(self, guard: CsrfGuard | None = None) -> RequestHead:
        """As it would arrive; `guard` says which header the scripts of the application send."""
        replaced = {name.lower() for name, _ in self.given}
        own = [item for item in self._fields(guard) if item[0].lower() not in replaced]
        sent: list[Field] = [
            (name.encode(), value.encode()) for name, value in (*own, *self.given) if value
        ]
        return RequestHead(self.method, self.target.encode(), sent, self.peer)

    @property
    def named_host(self) -> str:
        """What Host says, in whatever way it was given."""
        return ", ".join([v for name, v in self.given if name.lower() == "host"]) or self.host

    def _fields(self, guard: CsrfGuard | None) -> Iterator[tuple[str, str]]:
        yield "Host", self.host
        if self.sender is Sender.PAGE:
            yield "Accept", "text/html"
            yield "Sec-Fetch-Site", "none"
            yield "Sec-Fetch-Mode", "navigate"
            yield "Sec-Fetch-Dest", "document"
        elif self.sender is Sender.SCRIPT:
            yield "Accept", "*/*"
            yield "Sec-Fetch-Site", "same-origin"
            yield "Sec-Fetch-Mode", "cors"
            yield "Sec-Fetch-Dest", "empty"
            if guard is not None:
                yield guard.header_name.decode(), guard.header_value.decode()
                if self.method not in SAFE_METHODS:
                    yield "Origin", guard.origin.decode()
        yield "Cookie", self.cookies


def as_asked_for(address: str) -> tuple[str | None, str]:
    """The Host and the target that a browser sends for a whole address; of a path, no Host and the
    path itself. A fragment is never sent (RFC 9110 section 7.1)."""
    target = address.partition("#")[0]
    match = _ADDRESS.fullmatch(target)
    if match is None:
        return None, target
    host, rest = match.groups()
    return host, rest if rest.startswith("/") else f"/{rest}"


def is_token(text: str) -> bool:
    """Whether it could be a method or a field's name (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def is_method(text: str) -> bool:
    """Whether a listener reads on behind it. Any other is answered 400, and no rule is asked."""
    if not is_token(text):
        return False
    try:
        new_parser(object()).feed_data(f"{text} ".encode())
    except httptools.HttpParserError:
        return False
    return True


def read_header(text: str) -> tuple[str, str]:
    """`Name: value`; an empty value takes the browser's own away. Raises: ValueError."""
    name, colon, value = text.partition(":")
    if not colon or not is_token(name):
        raise ValueError("must be 'Name: value'")
    value = value.strip(" \t")
    if name.lower() == "content-length" and value.strip("0123456789"):
        raise ValueError("a Content-Length is a number: nothing else gets as far as the gate")
    if not all(letter == "\t" or letter.isprintable() for letter in value):
        raise ValueError("the value must be one line of text")
    return name, value


def read_cookies(text: str, host: str, target: str) -> str:
    """The value of the Cookie header that a file holds: the header itself, as a browser's developer
    tools copy it, or a list in Netscape's format, as curl writes it, of which those for this host
    and the path of this target are taken (RFC 6265 section 5.1.4).

    Raises:
        CookieFileUnusable: it is neither.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    rows = [_row(line) for line in lines if _is_row(line)]
    if any("\t" in line for line in lines) or any(line.startswith("# ") for line in lines):
        path = (
            target if target.startswith("/") else f"/{target.partition('://')[2].partition('/')[2]}"
        )
        return "; ".join(_chosen(rows, _hostname(host), path.partition("?")[0]))
    header = re.sub(r"(?i)\Acookie:", "", lines[0]).strip() if len(lines) == 1 else ""
    if "=" not in header or not header.isprintable():
        raise CookieFileUnusable(
            "holds neither a Cookie header (name=value; ...) nor a list as curl writes it"
        )
    return header


def _hostname(host: str) -> str:
    """Without the port; empty where that can't be told."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_row(line: str) -> bool:
    is_comment = line.startswith("#") and not line.startswith(_HTTP_ONLY)
    return not is_comment and line.count("\t") == _NETSCAPE_COLUMNS - 1


def _row(line: str) -> Sequence[str]:
    return line.removeprefix(_HTTP_ONLY).split("\t")


def _chosen(rows: Sequence[Sequence[str]], host: str, path: str) -> Iterator[str]:
    for domain, with_subdomains, below, _, _, name, value in rows:
        bare = domain.lstrip(".").lower()
        fits = host == bare or (with_subdomains == "TRUE" and host.endswith(f".{bare}"))
        if fits and (path == below or path.startswith(below.rstrip("/") + "/")):
            yield f"{name}={value}"
