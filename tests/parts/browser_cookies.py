"""A browser's cookie jar, as strict as Chromium's: prefixes, Secure, SameSite, no ports.

Cookies and "sites" (scheme and host here) know no port, so `http://127.0.0.1:1` and
`http://localhost:2` are two sites and two jars. RFC 6265bis sections 4.1.3, 5.6, 5.7 and 5.8.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Cookie:
    """One stored cookie. `expires_at` is None for a session cookie."""

    host: str
    name: str
    value: str = field(repr=False)
    path: str = "/"
    secure: bool = False
    http_only: bool = False
    same_site: str = "lax"
    expires_at: float | None = None


class CookieRejected(ValueError):
    """A browser would not store this cookie; a server that sets it has a fault."""


class Jar:
    """The cookies of one browser profile. `rejected` collects what was not stored, and why."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._cookies: dict[tuple[str, str, str], Cookie] = {}
        self.rejected: list[str] = []

    def __iter__(self) -> Iterator[Cookie]:
        self._drop_expired()
        return iter(tuple(self._cookies.values()))

    def get(self, name: str, host: str | None = None) -> str | None:
        """The value of the cookie of that name, of any host when none is given."""
        found = (c.value for c in self if c.name == name and host in {None, c.host})
        return next(found, None)

    def put(self, cookie: Cookie) -> None:
        self._cookies[(cookie.host, cookie.path, cookie.name)] = cookie

    def clear(self) -> None:
        self._cookies.clear()

    def delete(self, name: str) -> None:
        """Forget every cookie of that name."""
        self._cookies = {key: c for key, c in self._cookies.items() if c.name != name}

    def store(self, url: str, header: str) -> None:
        """Take in one `Set-Cookie` header, or note why a browser would not."""
        try:
            cookie = parse_set_cookie(url, header, self._now())
        except CookieRejected as reason:
            self.rejected.append(f"{header.partition('=')[0]}: {reason}")
            return
        self.put(cookie)
        self._drop_expired()

    def header(self, url: str, *, same_site: bool, top_level_get: bool) -> str | None:
        """The `Cookie` header for a request.

        `same_site`: initiator, target and redirects are one site; `top_level_get`: a navigation
        with a safe method, for which `Lax` cookies go along all the same.
        """
        parts = urlsplit(url)
        sent = [
            cookie
            for cookie in self
            if cookie.host == parts.hostname
            and _is_below(cookie.path, parts.path or "/")
            and (not cookie.secure or is_trustworthy(parts))
            and _may_cross(cookie, same_site=same_site, top_level_get=top_level_get)
        ]
        sent.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in sent) or None

    def _drop_expired(self) -> None:
        now = self._now()
        self._cookies = {
            key: cookie
            for key, cookie in self._cookies.items()
            if cookie.expires_at is None or now < cookie.expires_at
        }


def parse_set_cookie(url: str, header: str, now: float) -> Cookie:
    """The cookie that a `Set-Cookie` header asks for.

    Raises: CookieRejected.
    """
    parts = urlsplit(url)
    pair, *rest = header.split(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name:
        raise CookieRejected("no name")
    attributes = {
        key.strip().lower(): text.strip() for key, _, text in (a.partition("=") for a in rest)
    }
    if len(name) + len(value) > 4096:
        raise CookieRejected("longer than 4096 bytes")
    domain = attributes.get("domain", "")
    if domain and domain.lstrip(".").lower() != parts.hostname:
        raise CookieRejected("of another domain")
    same_site = attributes.get("samesite", "lax").lower()
    cookie = Cookie(
        host=parts.hostname or "",
        name=name,
        value=value,
        path=attributes["path"] if attributes.get("path", "").startswith("/") else "/",
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=same_site if same_site in {"strict", "lax", "none"} else "lax",
        expires_at=_expiry(attributes, now),
    )
    if cookie.secure and not is_trustworthy(parts):
        raise CookieRejected("Secure, over an insecure connection")
    if cookie.same_site == "none" and not cookie.secure:
        raise CookieRejected("SameSite=None without Secure")
    _check_prefix(cookie, has_domain="domain" in attributes, has_path="path" in attributes)
    return cookie


def is_trustworthy(parts: SplitResult) -> bool:
    """Whether Secure cookies travel there: https, or loopback as browsers allow it."""
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def _check_prefix(cookie: Cookie, *, has_domain: bool, has_path: bool) -> None:
    """RFC 6265bis section 4.1.3 and the `__Host-Http-` prefix of its successor."""
    name = cookie.name.lower()
    if name.startswith("__secure-") and not cookie.secure:
        raise CookieRejected("__Secure- without Secure")
    if not name.startswith("__host-"):
        return
    if not cookie.secure or has_domain or not has_path or cookie.path != "/":
        raise CookieRejected("__Host- needs Secure, Path=/ and no Domain")
    if name.startswith("__host-http-") and not cookie.http_only:
        raise CookieRejected("__Host-Http- needs HttpOnly")


def _expiry(attributes: dict[str, str], now: float) -> float | None:
    max_age = attributes.get("max-age", "")
    if max_age.lstrip("-").isdigit():
        return now + int(max_age)
    if "expires" in attributes:
        try:
            return parsedate_to_datetime(attributes["expires"]).timestamp()
        except ValueError:
            return None
    return None


def _is_below(cookie_path: str, request_path: str) -> bool:
    if request_path == cookie_path or cookie_path == "/":
        return True
    return request_path.startswith(cookie_path.rstrip("/") + "/")


def _may_cross(cookie: Cookie, *, same_site: bool, top_level_get: bool) -> bool:
    if same_site or cookie.same_site == "none":
        return True
    return cookie.same_site == "lax" and top_level_get
