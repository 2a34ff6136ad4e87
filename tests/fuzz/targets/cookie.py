"""The session cookie: one reading of the Cookie lines, and no value but those we signed.

The signature is made and checked again here, by HMAC as the format says, so that a mistake in the
use of the library would show. The gate is asked as by a request, with a cookie cache that has seen
everything before.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from random import Random

from bff.gate.cookies import Cookie, find
from bff.sessions.cookie import Binder, LogoutSid, SessionCookie
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

NAME = b"__Host-Http-bff"
NEW = "a new secret of at least 32 bytes, for the fuzzer"
OLD = "an old secret of at least 32 bytes, for the fuzzer"
FOREIGN = "a secret that is not among those configured, 32+"
PURPOSE, BINDER, LOGOUT = "bff.session-cookie", "bff.login-binder", "bff.logout-sid"
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OTHERS = [b"theme=dark", b"a=b", b"bff=x", b"flag", b"=", b"__host-http-bff=x", b'q="a;b"', b""]
WORDS = [NAME, NAME + b"=", b"; ", b";", b"=", b"\n", b".", b'"', b"; " + NAME + b"=", *OTHERS]

Subject = Callable[[Sequence[bytes]], str | None]


def signature(secret: str, purpose: str, value: str) -> str:
    key = hmac.digest(secret.encode(), purpose.encode(), "sha256")
    mac = hmac.digest(key, value.encode("latin-1"), "sha256")
    return urlsafe_b64encode(mac).rstrip(b"=").decode()


def genuine(random: Random, secret: str, purpose: str = PURPOSE) -> bytes:
    """A value as the gateway would issue it."""
    session_id = urlsafe_b64encode(random.randbytes(32)).rstrip(b"=").decode()
    return f"{session_id}.{signature(secret, purpose, session_id)}".encode()


class _Gateway:
    """The real parts: what the gate does with the Cookie lines of a request."""

    def __init__(self) -> None:
        self._cookie = SessionCookie(NAME.decode(), [NEW, OLD])

    def __call__(self, lines: Sequence[bytes]) -> str | None:
        value = find(lines, NAME)
        return None if isinstance(value, Cookie) else self._cookie.key_of(value.decode("latin-1"))


class CookieTarget:
    """The subject gets the values of all Cookie lines and names a session's key, or None."""

    name = "cookie"

    def __init__(self, subject: Subject | None = None) -> None:
        self._subject = subject or _Gateway()
        self._binder = Binder([NEW, OLD])
        self._logout_sid = LogoutSid([NEW, OLD])

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random, WORDS)
        value = self._value(random)
        if random.random() < 0.3:
            value = mutated(random, value, WORDS, self._value(random))
        pairs = [NAME + b"=" + value]
        pairs += [random.choice(OTHERS) for _ in range(random.choice((0, 0, 1, 3)))]
        if random.random() < 0.1:
            pairs.append(NAME + b"=" + self._value(random))
        random.shuffle(pairs)
        case = random.choice((b"; ", b"; ", b";", b"\n", b" ;\t")).join(pairs)
        return mutated(random, case, WORDS) if random.random() < 0.3 else case

    def _value(self, random: Random) -> bytes:
        secret = random.choice((NEW, NEW, NEW, OLD, OLD, FOREIGN))
        return genuine(random, secret, random.choice((PURPOSE,) * 6 + (BINDER, LOGOUT)))

    def judge(self, case: bytes) -> bool:
        lines = case.split(b"\n")
        key, values = self._subject(lines), values_of(lines)
        expected = key_of(values[0]) if len(values) == 1 else None
        require(key == expected, f"is taken for {key}, and should be for {expected}")
        for value in values:
            self._judge_elsewhere(value.decode("latin-1"))
        return key is not None

    def _judge_elsewhere(self, value: str) -> None:
        """The same value as another kind of proof: each purpose has a signature of its own."""
        found = self._binder.key_of(value)
        is_one = is_signed(value, BINDER)
        require((found is not None) == is_one, "a binder cookie that is none, or the reverse")
        body, _, mac = value.rpartition(".")
        accepted = self._logout_sid.matches(body, mac) if body.isascii() else False
        macs = (
            {signature(secret, LOGOUT, body) for secret in (NEW, OLD)} if body.isascii() else set()
        )
        require(accepted == (mac in macs), "a logout sid that is none, or the reverse")

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "many": lambda size: b"a=b; " * (size // 5),
            "our name": lambda size: (NAME + b"; ") * (size // 17),
            "separators": lambda size: b"; " * (size // 2),
            "value": lambda size: NAME + b"=" + b"A" * size,
            "dots": lambda size: NAME + b"=" + b"." * size,
            "lines": lambda size: b"a=b\n" * (size // 4),
        }


def values_of(lines: Sequence[bytes]) -> list[bytes]:
    """All values under our name, byte for byte (RFC 6265bis section 5.7, read once more)."""
    found = []
    for pair in b";".join(lines).split(b";"):
        name, mark, value = pair.lstrip(b" \t").rstrip(b" \t").partition(b"=")
        if mark and name == NAME:
            found.append(value)
    return found


def is_signed(value: str, purpose: str) -> bool:
    body, _, mac = value.partition(".")
    if len(body) != 43 or not set(body.encode("latin-1", "replace")) <= set(ALPHABET):
        return False
    if ALPHABET.index(body[-1].encode()) % 4:  # another spelling of the same 32 bytes
        return False
    return mac in {signature(secret, purpose, body) for secret in (NEW, OLD)}


def key_of(value: bytes) -> str | None:
    """The SHA-256 of the id, if the value is one of ours."""
    text = value.decode("latin-1")
    return hashlib.sha256(text[:43].encode()).hexdigest() if is_signed(text, PURPOSE) else None
