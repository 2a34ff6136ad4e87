"""Where an API says that something is, in the browser's terms: pure.

An API behind a prefix knows itself by another address: `http://127.0.0.1:9000/v1/items/`, or
`/items/` without the prefix that was cut off. RFC 9110 sections 10.2.2 (Location) and 8.7
(Content-Location).
"""

import re
from dataclasses import dataclass

from bff.gate.routes import Route, Upstream

_ABSOLUTE = re.compile(rb"(?:(https?):)?//([^/?#\\]*)([/?#].*|)\Z", re.IGNORECASE | re.DOTALL)
_TAIL = re.compile(rb"[?#]")
# To a browser a backslash is a slash, and a tab is nothing (URL standard section 4.4).
_NAMES_HOST = re.compile(rb"/\t*[/\\]")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


@dataclass(frozen=True, slots=True)
class Locations:
    """Of one upstream of a route. `prefix` is put in front of what follows `base`, the upstream's
    own path; it is empty where none was cut off."""

    authority: bytes
    base: bytes
    prefix: bytes

    @classmethod
    def of(cls, route: Route, upstream: Upstream) -> "Locations | None":
        """None where the route leaves them as they are."""
        if not route.map_location:
            return None
        return cls(upstream.authority.encode(), upstream.base_path.encode(), route.cut.encode())

    def mapped(self, value: bytes) -> bytes:
        """A Location or Content-Location for the browser: a path of ours when it is the upstream's
        own, and as it was when it is elsewhere's, relative to the request, or ours already."""
        absolute = _ABSOLUTE.match(value)
        if absolute is None:
            return (self._path(value) or value) if value.startswith(b"/") else value
        if not self._is_own(absolute[1], absolute[2]):
            return value
        rest = absolute[3] if absolute[3].startswith(b"/") else b"/" + absolute[3]
        return self._path(rest) or value

    def _is_own(self, scheme: bytes | None, authority: bytes) -> bool:
        # The scheme counts for nothing: an API that believes X-Forwarded-Proto writes ours.
        lower = authority.lower()
        port = _DEFAULT_PORTS.get((scheme or b"").lower(), b"")
        return self.authority in (lower, lower.removesuffix(port) if port else lower)

    def _path(self, path_and_tail: bytes) -> bytes | None:
        """In our terms; None for a path that the upstream has outside its base."""
        end = _TAIL.search(path_and_tail)
        path = path_and_tail[: end.start()] if end else path_and_tail
        tail = path_and_tail[len(path) :]
        for base in (self.base, self.prefix + self.base) if self.base else ():
            if _is_within(path, base):
                return _reference((self.prefix + path[len(base) :] or b"/") + tail)
        if self.prefix and _is_within(path, self.prefix):
            return path_and_tail  # it has read X-Forwarded-Prefix
        return None if self.base else _reference(self.prefix + path_and_tail)


def _is_within(path: bytes, prefix: bytes) -> bool:
    return path == prefix or path.startswith(prefix + b"/")


def _reference(path: bytes) -> bytes:
    # RFC 3986 section 4.2: one that starts with two slashes names another host.
    return b"/." + path if _NAMES_HOST.match(path) else path
