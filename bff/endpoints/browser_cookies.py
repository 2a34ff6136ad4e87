"""The cookies a browser gets: their names, attributes and deletion.

RFC 6265bis section 4.1.3: a `__Host-` cookie is Secure, Path=/ and without Domain, also when it
is deleted, or browsers ignore the deletion.
"""

from dataclasses import dataclass

from bff.gate import cookies
from bff.gate.cookies import Cookie
from bff.gate.head import ScannedFields
from bff.sessions.cookie import Binder, NewId, SameSite, delete_cookie_header, set_cookie_header

LOGOUT_SECONDS = 600  # how long a user may take at the OP's logout page


@dataclass(frozen=True, slots=True)
class BrowserCookies:
    """`same_site` is the session cookie's. The binder and the return of a logout are Lax, because
    the browser comes back from the OP's site. `path` is where all are sent. `session_seconds`: how
    long a browser keeps the session cookie, None until it is closed. It is the longest that a
    session can live, for its use moves the idle limit without a new cookie."""

    session_name: str
    binder_name: str
    logout_name: str
    secure: bool
    same_site: SameSite
    login_seconds: int
    path: str = "/"
    session_seconds: int | None = None

    def set_session(self, value: str) -> str:
        return set_cookie_header(
            self.session_name,
            value,
            secure=self.secure,
            same_site=self.same_site,
            path=self.path,
            max_age=self.session_seconds,
        )

    def clear_session(self) -> str:
        return delete_cookie_header(
            self.session_name, secure=self.secure, same_site=self.same_site, path=self.path
        )

    def set_binder(self, value: str) -> str:
        return set_cookie_header(
            self.binder_name,
            value,
            secure=self.secure,
            same_site="lax",
            path=self.path,
            max_age=self.login_seconds,
        )

    def binder_of(self, fields: ScannedFields) -> str | None:
        """The one binder cookie of a request; None when absent or doubled."""
        return self._one(self.binder_name, fields)

    def held_binder(self, binder: Binder, fields: ScannedFields) -> NewId | None:
        """The binder cookie of a request with its key, if we have signed it."""
        value = self.binder_of(fields)
        key = binder.key_of(value) if value is not None else None
        return NewId(value, key) if value is not None and key is not None else None

    def set_logout_return(self, value: str) -> str:
        return set_cookie_header(
            self.logout_name,
            value,
            secure=self.secure,
            same_site="lax",
            path=self.path,
            max_age=LOGOUT_SECONDS,
        )

    def clear_logout_return(self) -> str:
        return delete_cookie_header(
            self.logout_name, secure=self.secure, same_site="lax", path=self.path
        )

    def logout_return_of(self, fields: ScannedFields) -> str | None:
        """As `binder_of`, of the cookie that `set_logout_return` sets."""
        return self._one(self.logout_name, fields)

    def _one(self, name: str, fields: ScannedFields) -> str | None:
        value = cookies.find(fields.values(b"cookie"), name.encode())
        return None if isinstance(value, Cookie) else value.decode("latin-1")
