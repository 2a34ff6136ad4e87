"""Our cookies.

Owns what a browser holds of us: signed random references, and the attributes they are set with. A
reference carries nothing but randomness and a signature, so a forgery costs no store access, and
the store never learns it: it is keyed by the SHA-256 of the id. RFC 6265bis sections 4.1.2,
4.1.3 (prefixes) and 5; layered-cookies section 4.1.3.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Literal

from itsdangerous import BadSignature, Signer

from bff.bounded_map import BoundedMap
from bff.model import DEFAULT_FRONTEND

ID_BYTES = 32
VERIFIED_ENTRIES = 10_000

SameSite = Literal["strict", "lax", "none"]

# 32 bytes in base64url: 43 characters, the last of which holds four bits. Other spellings of the
# same bytes are refused, so that a changed bit never verifies.
_B64_32 = r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
_SIGNED = re.compile(rf"{_B64_32}\.{_B64_32}")
_MAC = re.compile(_B64_32)
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VALUE = re.compile(r"[A-Za-z0-9_.-]*")
_PATH = re.compile(r"/[A-Za-z0-9\-._~/]*")


@dataclass(frozen=True, slots=True)
class NewId:
    """A cookie's `value`, and the `key` under which the server keeps what it refers to."""

    value: str = field(repr=False)
    key: str


class SessionCookie:
    """Issues and verifies session ids. `secrets`: newest first; the first signs, all verify.
    So many `entries` that verified are remembered. What one frontend has signed is nothing to
    another."""

    def __init__(
        self,
        name: str,
        secrets: Sequence[str],
        *,
        frontend: str = DEFAULT_FRONTEND,
        entries: int = VERIFIED_ENTRIES,
    ) -> None:
        self.name = name
        self._signer = signer_of(secrets, "bff.session-cookie", frontend)
        # What verified before, by digest: a signature costs more than the rest of the decision.
        self._verified: BoundedMap[bytes, str] = BoundedMap(entries)

    def __len__(self) -> int:
        """How many values are remembered as verified."""
        return len(self._verified)

    def issue(self) -> NewId:
        """A new session id of 256 random bits."""
        session_id = token_urlsafe(ID_BYTES)
        return NewId(self._signer.sign(session_id).decode("ascii"), _sha256(session_id))

    def key_of(self, value: str) -> str | None:
        """The store key a cookie's value refers to, None when we did not sign it. Never raises."""
        digest = hashlib.sha256(value.encode("ascii", "replace")).digest()
        known = self._verified.get(digest)
        if known is not None:
            return known
        session_id = _unsigned(self._signer, value)
        if session_id is None:
            return None
        return self._verified.keep(digest, _sha256(session_id))


class Binder:
    """The browser's side of login transactions: one cookie for all tabs of a frontend."""

    def __init__(self, secrets: Sequence[str], frontend: str = DEFAULT_FRONTEND) -> None:
        self._signer = signer_of(secrets, "bff.login-binder", frontend)

    def issue(self) -> NewId:
        """A new binder; its key is the `binder_hash` of transactions."""
        value = self._signer.sign(token_urlsafe(ID_BYTES)).decode("ascii")
        return NewId(value, _sha256(value))

    def key_of(self, value: str) -> str | None:
        """The `binder_hash` of a cookie's value, None when we did not sign it. Never raises."""
        return None if _unsigned(self._signer, value) is None else _sha256(value)


class LogoutSid:
    """The session-bound parameter of the logout URL: proves knowledge of the session, is not it."""

    def __init__(self, secrets: Sequence[str], frontend: str = DEFAULT_FRONTEND) -> None:
        self._newest = signer_of(secrets, "bff.logout-sid", frontend)
        self._signers = [signer_of([secret], "bff.logout-sid", frontend) for secret in secrets]

    def sid_for(self, session_key: str) -> str:
        """The value that `matches` accepts for this session and no other."""
        return self._newest.get_signature(session_key).decode("ascii")

    def matches(self, session_key: str, value: str) -> bool:
        """Compared in constant time, whichever secret made it. Never raises."""
        if not _MAC.fullmatch(value):
            return False
        given = value.encode("ascii")
        hits = [hmac.compare_digest(s.get_signature(session_key), given) for s in self._signers]
        return any(hits)


class LogoutReturn:
    """Where a logout leads to in the end: what a browser keeps while it is at the OP."""

    def __init__(self, secrets: Sequence[str], frontend: str = DEFAULT_FRONTEND) -> None:
        self._signer = signer_of(secrets, "bff.logout-return", frontend)

    def value_for(self, location: str, *, expires_at: float) -> str:
        """The cookie's value. `location` is ASCII, and safe to send a browser to."""
        payload = base64.urlsafe_b64encode(location.encode("ascii")).rstrip(b"=")
        return self._signer.sign(b"%d.%b" % (int(expires_at), payload)).decode("ascii")

    def location_of(self, value: str, *, now: float) -> str | None:
        """The location of a cookie's value; None when we did not sign it, or it is too old. Never
        raises."""
        try:
            expires_at, _, payload = self._signer.unsign(value).partition(b".")
        except BadSignature:
            return None
        if now >= int(expires_at):
            return None
        return base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)).decode("ascii")


def set_cookie_header(
    name: str,
    value: str,
    *,
    secure: bool,
    same_site: SameSite,
    path: str = "/",
    max_age: int | None = None,
) -> str:
    """The value of a `Set-Cookie` header: host-only, `HttpOnly`.

    Raises:
        ValueError: a browser would refuse the cookie, or the text could split the header.
    """
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError("cookie name or value with characters that do not belong there")
    if not secure and (name.startswith("__") or same_site == "none"):
        raise ValueError("a prefixed or cross-site cookie must be Secure")
    if not _PATH.fullmatch(path) or (path != "/" and name.lower().startswith("__host-")):
        raise ValueError("a path that no browser takes, or not the one that the prefix wants")
    parts = [f"{name}={value}", f"Path={path}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age:d}")
    if secure:
        parts.append("Secure")
    parts += ["HttpOnly", f"SameSite={same_site.capitalize()}"]
    return "; ".join(parts)


def delete_cookie_header(name: str, *, secure: bool, same_site: SameSite, path: str = "/") -> str:
    """Deletes a cookie: only the attributes it was set with can (RFC 6265bis section 5)."""
    return set_cookie_header(name, "", secure=secure, same_site=same_site, path=path, max_age=0)


def signer_of(secrets: Sequence[str], purpose: str, frontend: str = DEFAULT_FRONTEND) -> Signer:
    """What signs for one purpose, and for one frontend where it has a name. `secrets`: newest
    first; the first signs, all verify."""
    if not secrets:
        raise ValueError("at least one secret is needed")
    if frontend != DEFAULT_FRONTEND:
        purpose = f"{purpose}:{frontend}"
    return Signer(
        list(reversed(secrets)),  # itsdangerous wants the newest last
        salt=purpose,
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )


def _unsigned(signer: Signer, value: str) -> str | None:
    if not _SIGNED.fullmatch(value):
        return None
    try:
        return signer.unsign(value).decode("ascii")
    except BadSignature:
        return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
