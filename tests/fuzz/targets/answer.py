"""What an API answers: no cookie that the route does not list, nothing that speaks for the gateway,
and no cache that gives one user's answer to another. A case is one `name:value` a line."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from random import Random
from typing import Protocol

from bff.gate.head import Field
from bff.proxy.upstream.responses import response_fields
from tests.fuzz.mutation import mutated
from tests.fuzz.target import require
from tests.fuzz.targets.head import fields_of

LISTED = frozenset({b"theme", b"locale"})
NAMES = [
    b"Set-Cookie", b"Set-Cookie", b"Set-Cookie2", b"Cache-Control", b"Cache-Control", b"Connection",
    b"WWW-Authenticate", b"Content-Type", b"X-Content-Type-Options", b"Server", b"X-Powered-By",
    b"Cross-Origin-Resource-Policy", b"Access-Control-Allow-Origin", b"Via", b"Alt-Svc", b"X-A",
    b"Access-Control-Allow-Credentials", b"Strict-Transport-Security", b"Transfer-Encoding",
    b"Content-Length", b"Keep-Alive", b"Trailer", b"Upgrade", b"Location", b"ETag", b"Expires",
    b"CDN-Cache-Control", b"Surrogate-Control", b"X-Accel-Expires", b"X-Accel-Buffering",
]  # fmt: skip
VALUES = [
    b"theme=dark", b"theme=dark; Path=/", b"locale=de; HttpOnly", b"bff=x", b"__Host-Http-bff=x",
    b" theme=x", b"theme =x", b"=bff=x", b"theme", b"theme; bff=x", b"THEME=x", b"bff=x, theme=y",
    b"theme\t=x", b"public", b"private", b"no-store", b"max-age=60", b"s-maxage=5", b"no-cache",
    b"Public, max-age=3", b"public-ish", b'x="public"', b'x="a, public, b"', b'private="x"',
    b"must-revalidate", b"Basic", b"Bearer error=x", b"Negotiate", b"basic, Bearer", b"DPoP", b"*",
    b"https://evil.example", b"close", b"X-A, Cache-Control", b"set-cookie", b"content-length", b"",
    b"text/event-stream", b"Text/Event-Stream; charset=utf-8", b"yes",
]  # fmt: skip
WORDS = [b":", b"\n", b"=", b";", b",", b'"', b" ", b"\t", b"\nSet-Cookie:", *VALUES]
NEVER = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info",
    b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
    b"upgrade", b"http2-settings", b"server", b"x-powered-by", b"strict-transport-security",
    b"x-request-id", b"via", b"alt-svc",
}  # fmt: skip
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Subject(Protocol):
    """As `response_fields`."""

    def __call__(
        self, upstream: Sequence[Field], *, used_session: bool, forward_cookies: Collection[bytes]
    ) -> list[Field]: ...


class AnswerTarget:
    """The subject gets the fields of an answer. Those that lose a field count as refused."""

    name = "answer"

    def __init__(self, subject: Subject = response_fields) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        count = random.choice((1, 1, 2, 3, 6))
        lines = [random.choice(NAMES) + b":" + random.choice(VALUES) for _ in range(count)]
        if random.random() < 0.2:
            lines = [line.swapcase() for line in lines]
        case = b"\n".join(lines)
        return mutated(random, case, WORDS) if random.random() < 0.4 else case

    def judge(self, case: bytes) -> bool:
        sent = list(fields_of(case.split(b"\n")))
        found = self._subject(sent, used_session=True, forward_cookies=LISTED)
        for name, value in found:
            lower = name.lower()
            require(lower not in NEVER, f"{name!r} passes")
            require(not lower.startswith(b"access-control-"), "another origin may read it")
            if lower == b"set-cookie":
                require(_cookie_name(value) in LISTED, f"the cookie {value!r}")
            if lower == b"www-authenticate":
                challenge = value.lower()
                require(
                    challenge.startswith((b"bearer", b"dpop")), "a browser would ask for a password"
                )
        original = list(found)
        while original and original[-1] in ADDED:
            original.pop()
        waiting = iter(sent)
        require(all(field in waiting for field in original), "adds, or has another order")
        require(_is_kept_private(found), "a shared cache may keep it")
        require(_is_kept_from_cdns(found), "a cache with a rule of its own may keep it")
        names = {name.lower() for name, _ in found}
        require({b"x-content-type-options", b"cross-origin-resource-policy"} <= names, "unguarded")
        return len(original) == len(sent)

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "fields": lambda size: b"x-a:1\n" * (size // 6),
            "options": lambda size: b"Connection:" + b"a," * (size // 2),
            "directives": lambda size: b"Cache-Control:" + b"a," * (size // 2),
            "quotes": lambda size: b"Cache-Control:" + b'"' * size,
            "cookies": lambda size: b"Set-Cookie:a=b\n" * (size // 15),
        }


ADDED = {
    (b"Cache-Control", b"no-store"),
    (b"Cache-Control", b"private"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"X-Accel-Buffering", b"no"),
}


def _cookie_name(value: bytes) -> bytes:
    """As a browser reads it (RFC 6265bis section 5.6). Without `=`, all of it is a nameless value,
    which is sent back as if it were a name alone."""
    pair = value.partition(b";")[0]
    return pair.partition(b"=")[0].strip(b" \t")


def _directives(values: Sequence[bytes]) -> Iterator[bytes]:
    """The names of cache directives (RFC 9111 section 5.2), of which quotes are no part."""
    for value in values:
        for part in QUOTED.sub(b"", value).split(b","):
            yield part.partition(b"=")[0].strip(b" \t").lower()


def _is_kept_private(found: Sequence[Field]) -> bool:
    """Whether the answer says itself who may store it, as RFC 9111 section 3.5 wants it."""
    said = [value for name, value in found if name.lower() == b"cache-control"]
    return not {b"public", b"private", b"s-maxage", b"no-store"}.isdisjoint(_directives(said))


def _is_kept_from_cdns(found: Sequence[Field]) -> bool:
    """Whether what other caches obey instead (RFC 9213) passes for an answer for all only."""
    said = [value for name, value in found if name.lower() == b"cache-control"]
    if not {b"public", b"s-maxage"}.isdisjoint(_directives(said)):
        return True
    names = [name.lower() for name, _ in found]
    others = (b"surrogate-control", b"edge-control", b"x-accel-expires")
    return not any(name.endswith(b"-cache-control") or name in others for name in names)
