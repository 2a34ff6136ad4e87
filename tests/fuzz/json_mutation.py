"""JSON changed where it hurts: values of other types and sizes, members removed, added and doubled,
and texts that only some parsers read."""

import json
from collections.abc import Sequence
from random import Random

from tests.fuzz.mutation import mutated

HUGE = 10**400
MOST_COPIES = 20  # copies of copies of deep ones are large
VALUES: tuple[object, ...] = (
    None, True, False, 0, 1, -1, 0.5, 1e18, -1e300, HUGE, 2**63, 10**18, "", "x", "0", "60", "-1",
    "6e1", "60.5", "true", "null", "NaN", " ", "a\0b", "a\r\nX: y", "\u2028", "\ud800", "\u00e4",
    "\U0001f600", "\x1b[31m", "<script>", "x" * 300, [], [[]], [None], ["x"], ["x", 1], {},
    {"": {}}, {"x": 1}, [{}], "Bearer", "none", "https://evil.example", "//evil",
    "javascript:alert(1)",
)  # fmt: skip
TEXT_STEPS = (
    (b'"', b"'"), (b":", b"="), (b",", b",,"), (b"{", b"{{"), (b"}", b"}}"), (b"}", b""),
    (b'"', b""),
    (b"1", b"1e999"), (b"1", b"NaN"), (b"1", b"-Infinity"), (b"1", b"01"), (b"1", b"1_0"),
    (b'"', b'"\\ud800'), (b'"', b'"\\u0000'), (b'"', b"\xff"), (b"{", b'{"__proto__":{},'),
    (b"}", b'}{"x":1}'), (b"{", b"/**/{"), (b"}", b",}"), (b"1", b"1" * 5000),
)  # fmt: skip


def changed(random: Random, value: object, words: Sequence[object] = ()) -> object:
    """The value with one to three members changed, at any depth."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _changed_once(random, value, words)
    return value


def _changed_once(random: Random, value: object, words: Sequence[object]) -> object:
    if isinstance(value, dict) and value and random.random() < 0.95:
        name = random.choice(list(value))
        kind = random.random()
        if kind < 0.15:
            return {key: member for key, member in value.items() if key != name}
        if kind < 0.2:
            return {**value, random.choice((name.upper(), f"{name} ", f"{name}\0")): value[name]}
        return {**value, name: _changed_once(random, value[name], words)}
    if isinstance(value, list) and value and random.random() < 0.7:
        at = random.randrange(len(value))
        kind = random.random()
        if kind < 0.2:
            return value[:at] + value[at + 1 :]
        if kind < 0.4:
            return value + value[at : at + 1] * random.choice((1, 1, MOST_COPIES))
        return [*value[:at], _changed_once(random, value[at], words), *value[at + 1 :]]
    return _other(random, value, words)


def _other(random: Random, value: object, words: Sequence[object]) -> object:
    kind = random.random()
    if kind < 0.1:
        return [value] if random.random() < 0.7 else {"value": value}
    if kind < 0.15:
        return _nested(random.choice((5, 31, 32, 33, 100)))
    if kind < 0.35 and isinstance(value, str):
        return mutated(random, value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    if kind < 0.5 and isinstance(value, int | float) and not isinstance(value, bool):
        return random.choice((str(value), -value, value * 10, value + 60, value - 60, f"{value}.5"))
    return random.choice(words) if words and kind < 0.75 else random.choice(VALUES)


def _nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def text_of(random: Random, value: object) -> bytes:
    """The value as JSON, most often in the usual form."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.7)
    data = text.encode("utf-8", "surrogatepass")
    kind = random.random()
    if kind < 0.75:
        return data
    if kind < 0.85:
        before, after = random.choice(TEXT_STEPS)
        return data.replace(before, after, random.choice((1, 1, -1)))
    if kind < 0.9 and isinstance(value, dict) and value:  # a member twice
        name = random.choice(list(value))
        double = json.dumps({name: random.choice(VALUES)})[1:-1].encode()
        return (
            data[:-1] + b"," + double + data[-1:]
            if random.random() < 0.5
            else (data[:1] + double + b"," + data[1:])
        )
    if kind < 0.93:
        return random.choice((b"\xef\xbb\xbf", b" \n", b"\0", b")]}'\n")) + data
    if kind < 0.95:
        return text.encode(random.choice(("utf-16", "utf-32-le", "cp037")), "replace")
    return mutated(random, data)


def deep(size: int) -> bytes:
    """Nothing but brackets."""
    return b"[" * (size // 2) + b"]" * (size // 2)


def many_members(size: int) -> bytes:
    return json.dumps({f"m{number}": number for number in range(size // 14)}).encode()


def digits(size: int) -> bytes:
    return b'{"exp":' + b"9" * size + b"}"


def read_again(data: bytes) -> object:
    """A lenient reading by the standard library alone: what the strict one must agree with."""
    return json.loads(data.decode("utf-8"))
