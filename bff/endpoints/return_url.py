"""Where a browser may be sent after a login or a logout: a path of this application, or nowhere.

RFC 9700 section 4.11.1: no open redirector.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bff.gate.paths import doubt_of, is_query
from bff.gate.spellings import is_page, readings

HOME = "/"  # below the application's base path
ERROR_PARAMETER = "bff_error="
MAX_LENGTH = 2048


def safe_return_url(
    offered: str | None,
    *,
    public_origin: str,
    own_prefix: str,
    base_path: str = "",
    apps_below: Iterable[str] = (),
    pages: Iterable[str] = (HOME,),
    otherwise: str | None = None,
) -> str:
    """The offered return URL if it is a page's path of this application, else `otherwise`, which is
    its home page's unless given. The page is one of `pages`, or below one; they are paths below the
    base path.

    A URL of our own origin counts as its path; a query and a fragment are kept. Our own endpoints
    are no place to return to, nor is what lies outside the base path by any reading, or in one of
    the `apps_below`: paths below it that are other applications' own. A path that
    starts with `//`, or has a second reading, comes back as an absolute URL of our origin, so that
    it can't be read as another host's.
    """
    refused = base_path + HOME if otherwise is None else otherwise
    if not offered or len(offered) > MAX_LENGTH or not offered.isascii():
        return refused
    path = (
        offered.removeprefix(public_origin) if offered.startswith(f"{public_origin}/") else offered
    )
    before, _, fragment = path.partition("#")
    raw, _, query = before.encode().partition(b"?")
    if (
        not raw.startswith(b"/")
        or not is_page(raw)
        or not is_query(query)
        or not is_query(fragment.encode())
    ):
        return refused
    ours = tuple(f"{base_path}{page.rstrip('/')}/".encode() for page in pages)
    not_ours = tuple(f"{path}/".encode() for path in (own_prefix, *apps_below))
    for reading in readings(raw):
        if (reading + b"/").startswith(not_ours) or not (reading + b"/").startswith(ours):
            return refused
    return f"{public_origin}{path}" if doubt_of(raw) else path


def with_error(return_url: str, code: str) -> str:
    """A safe return URL that tells the application why a silent login failed."""
    before, mark, fragment = return_url.partition("#")
    path, _, query = before.partition("?")
    kept = [pair for pair in query.split("&") if pair and not pair.startswith(ERROR_PARAMETER)]
    return f"{path}?{'&'.join([*kept, ERROR_PARAMETER + code])}{mark}{fragment}"


@dataclass(frozen=True, slots=True)
class ReturnRules:
    """What counts as this application when a browser asks to be sent back somewhere, and which of
    its `pages`, with what lies below them, it may name."""

    public_origin: str
    own_prefix: str
    base_path: str = ""
    apps_below: tuple[str, ...] = ()
    pages: tuple[str, ...] = (HOME,)

    @property
    def home(self) -> str:
        """The application's first page."""
        return self.base_path + HOME

    def safe(self, offered: str | None, otherwise: str | None = None) -> str:
        """As `safe_return_url`."""
        return safe_return_url(
            offered,
            public_origin=self.public_origin,
            own_prefix=self.own_prefix,
            base_path=self.base_path,
            apps_below=self.apps_below,
            pages=self.pages,
            otherwise=otherwise,
        )

    def offered_in(self, parameters: Mapping[str, str], otherwise: str | None = None) -> str:
        """The return URL among a login's or a logout's parameters, made safe."""
        names = ("returnUrl", "return_to", "target_link_uri")  # the last: OIDC Core section 4
        offered = next((parameters[name] for name in names if name in parameters), None)
        return self.safe(offered, otherwise)
