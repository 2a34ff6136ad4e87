"""Damage done to bytes, and bytes out of nothing. All chance comes from a `random.Random`."""

from collections.abc import Callable, Sequence
from random import Random

HOSTILE = (
    b"\0", b"\r", b"\n", b"\r\n", b"\t", b" ", b"\x0b", b"\x0c", b"\x1f", b"\x7f", b"\x80", b"\xff",
    b"\xc0\xaf", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"%00", b"%0a", b"%0d", b"%2e", b"%2F", b"%5c", b"%25", b"%", b"%u002e", b"%zz", b"&#47;",
    b'"', b"'", b"\\", b"/", b";", b",", b"=", b"&", b"#", b"?", b"@", b":", b"*", b"<", b"..",
)  # fmt: skip
MOST_GARBAGE_BYTES = 120
MOST_REPEATS = 40

Step = Callable[[Random, bytes, bytes], bytes]


def mutated(random: Random, data: bytes, words: Sequence[bytes] = (), other: bytes = b"") -> bytes:
    """`data` with one to four changes; `words` are what it is made of, `other` is spliced in."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        word = random.choice(words) if words and random.random() < 0.5 else random.choice(HOSTILE)
        data = random.choice(_STEPS)(random, data, word)
    if other and random.random() < 0.1:
        cut, at = random.randint(0, len(data)), random.randint(0, len(other))
        data = data[:cut] + other[at:]
    return data


def garbage(random: Random, words: Sequence[bytes] = ()) -> bytes:
    """Bytes of no structure, or words in no order."""
    if words and random.random() < 0.6:
        return b"".join(random.choice(words) for _ in range(random.randint(0, 12)))
    length = random.randint(0, MOST_GARBAGE_BYTES)
    if random.random() < 0.5:
        return random.randbytes(length)
    return bytes(random.choice(_PRINTABLE) for _ in range(length))


_PRINTABLE = bytes(range(0x20, 0x7F))


def _span(random: Random, data: bytes) -> tuple[int, int]:
    at = random.randint(0, len(data))
    return at, min(len(data), at + random.choice((1, 1, 1, 2, 4, 16, 64)))


def _flip(random: Random, data: bytes, _word: bytes) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _insert(random: Random, data: bytes, word: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + word + data[at:]


def _replace(random: Random, data: bytes, word: bytes) -> bytes:
    at, upto = _span(random, data)
    return data[:at] + word + data[upto:]


def _delete(random: Random, data: bytes, _word: bytes) -> bytes:
    at, upto = _span(random, data)
    return data[:at] + data[upto:]


def _double(random: Random, data: bytes, _word: bytes) -> bytes:
    at, upto = _span(random, data)
    return data[:upto] + data[at:upto] * random.choice((1, 1, 2, MOST_REPEATS)) + data[upto:]


def _truncate(random: Random, data: bytes, _word: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _encode(random: Random, data: bytes, _word: bytes) -> bytes:
    at, upto = _span(random, data)
    form = random.choice((b"%%%02x", b"%%%02X", b"%%25%02x", b"%%u00%02x"))
    return data[:at] + b"".join(form % byte for byte in data[at:upto]) + data[upto:]


def _recase(random: Random, data: bytes, _word: bytes) -> bytes:
    at, upto = _span(random, data)
    return data[:at] + data[at:upto].swapcase() + data[upto:]


def _surround(random: Random, data: bytes, word: bytes) -> bytes:
    return random.choice((word + data, data + word, word + data + word))


_STEPS: tuple[Step, ...] = (
    _flip, _flip, _insert, _insert, _replace, _delete, _double, _truncate, _encode, _recase,
    _surround,
)  # fmt: skip
