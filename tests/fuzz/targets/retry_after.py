"""`Retry-After` as an OP sends it: always a number of seconds that is worth waiting."""

from collections.abc import Callable, Mapping
from email.utils import formatdate
from random import Random

from bff.oidc.provider.http import DEFAULT_PAUSE_SECONDS, MAX_PAUSE_SECONDS, retry_after_seconds
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

NOW = 1_700_000_000.0
GOOD = [b"0", b"1", b"5", b"60", b"120", b"121", b"86400", b" 7 ", b"9999999999"]
GOOD += [formatdate(NOW + ahead, usegmt=True).encode() for ahead in (-60, 0, 1, 60, 120, 86_400)]
WORDS = [
    b"9" * 5, b"9" * 30, b"-", b"+", b".", b"e5", b"0x", b"GMT", b"+0000", b"-0000", b"+9999",
    b"+99999999999999", b"Jan", b"Feb", b"31", b"1969", b"9999", b"10000", b":", b"24:00:00",
    b"Mon,", "\u0661".encode(), "\u00b2".encode(), b"99999999999999999999:00:00",
]  # fmt: skip


class RetryAfterTarget:
    """The subject reads the value of the field. Plain numbers count as accepted."""

    name = "retry-after"

    def __init__(self, subject: Callable[[str | None, float], int] = retry_after_seconds) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random, WORDS)
        case = random.choice(GOOD)
        return mutated(random, case, WORDS) if random.random() < 0.8 else case

    def judge(self, case: bytes) -> bool:
        text = case.decode("utf-8", "surrogateescape")
        seconds = self._subject(text, NOW)
        require(1 <= seconds <= MAX_PAUSE_SECONDS, f"wait {seconds}")
        plain = case.strip(b" ")
        if not (plain.isdigit() and len(plain) <= 10):
            return seconds != DEFAULT_PAUSE_SECONDS
        require(seconds == max(1, min(int(plain), MAX_PAUSE_SECONDS)), "another number of seconds")
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "digits": lambda size: b"9" * size,
            "spaces": lambda size: b"Mon, " + b" " * size + b"1 Jan 2024 00:00:00 GMT",
            "words": lambda size: b"Jan " * (size // 4),
            "parentheses": lambda size: b"(" * size,
        }
