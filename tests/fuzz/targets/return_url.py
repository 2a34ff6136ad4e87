"""`returnUrl`: wherever a browser is sent, it stays with this application, out of our endpoints.

A browser's reading is written down here as the WHATWG URL standard has it (section 4.4): leading
and trailing controls and spaces go, tab and newlines go wherever they are, a backslash is a slash.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol
from urllib.parse import unquote

from yarl import URL

from bff.endpoints.return_url import HOME, MAX_LENGTH, safe_return_url
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require
from tests.security.corpus_return_urls import GO_HOME, KEPT

ORIGIN = "https://app.example"
OWN = "/bff"
CORPUS = [url.encode("utf-8", "surrogatepass") for urls in GO_HOME.values() for url in urls]
CORPUS += [url.encode() for url in KEPT] * 4
WORDS = [
    b"/", b"//", b"\\", b"https:", b"https://", b"app.example", b"evil", b"@", b":", b"?", b"#",
    b"..", b"./", b"%2f", b"%5c", b"%09", b"\t", b"\n", b"bff", b"/bff/logout", b"javascript:",
    "\uff0f".encode(), "\u3002".encode(), b"[::1]", b"items", b"%2e", b";",
]  # fmt: skip
_C0_AND_SPACE = "".join(map(chr, range(0x21)))


class Subject(Protocol):
    """As `safe_return_url`."""

    def __call__(self, offered: str | None, *, public_origin: str, own_prefix: str) -> str: ...


class ReturnUrlTarget:
    """The subject is offered a URL and says where the browser goes."""

    name = "return-url"

    def __init__(self, subject: Subject = safe_return_url) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.2:
            return garbage(random, WORDS)
        case = random.choice(CORPUS)
        return (
            mutated(random, case, WORDS, random.choice(CORPUS)) if random.random() < 0.8 else case
        )

    def judge(self, case: bytes) -> bool:
        offered = case.decode("utf-8", "surrogateescape")
        found = self._subject(offered, public_origin=ORIGIN, own_prefix=OWN)
        path = found.removeprefix(ORIGIN)
        require(path.startswith("/") and found.isascii(), "not a path")
        require(not found.startswith("//"), "another host's, if it is read as a reference")
        require(len(path) <= MAX_LENGTH and not set(found) & {"\r", "\n", "\0"}, "no header value")
        scheme, authority, where = as_a_browser(found)
        require((scheme, authority) == ("https", "app.example"), f"leads to {scheme}://{authority}")
        require(URL(ORIGIN).join(URL(found)).origin() == URL(ORIGIN), "leads away, says yarl")
        require(not is_ours(where), "leads to an endpoint of ours")
        if found == HOME:
            return False
        require(
            found.removeprefix(ORIGIN) == offered.removeprefix(ORIGIN), "is not what was offered"
        )
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "slashes": lambda size: b"/" * size,
            "segments": lambda size: b"/a" * (size // 2),
            "fragment": lambda size: b"/x#" + b"a" * size,
            "escapes": lambda size: b"/" + b"%C3" * (size // 3),
        }


def as_a_browser(reference: str) -> tuple[str, str, str]:
    """Scheme, authority and path of where a page of ours goes by this reference."""
    text = reference.strip(_C0_AND_SPACE)
    text = "".join(char for char in text if char not in "\t\r\n")
    text = text.partition("#")[0].partition("?")[0].replace("\\", "/")
    head, colon, rest = text.partition(":")
    if colon and head[:1].isalpha() and all(char.isalnum() or char in "+-." for char in head):
        if head.lower() not in {"https", "http"}:
            return head.lower(), "", rest
        if head.lower() != "https" or rest.startswith("//"):
            authority, _, path = rest.lstrip("/").partition("/")
            return head.lower(), authority, f"/{path}"
        text = rest  # the scheme of the page, and nothing else said: as if it were not there
    if text.startswith("//"):
        authority, _, path = text.lstrip("/").partition("/")
        return "https", authority, f"/{path}"
    return "https", "app.example", text if text.startswith("/") else f"/page/{text}"


def is_ours(path: str) -> bool:
    """Whether some server would read this path as one below our prefix."""
    segments: list[str] = []
    for segment in unquote(path).split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in {"", "."}:
            segments.append(segment)
    return segments[:1] == [OWN.removeprefix("/")]
