"""Configuration files: whatever the standard library reads as TOML, the scanner that finds the
lines of its keys comes through, and finds all of them."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from random import Random

from bff.config.problems import KeyPath
from bff.config.sources.toml_lines import key_lines
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

KEYS = ["a", "b-c", "_", "1", '"x y"', "'q'", '"\\u00e4"', '""', 'a."b.c"', "a . b", '"a]"', '"#"']
SCALARS = [
    "1", "true", '"x"', "'y'", '"""m\nn"""', "'''o\n\"p'''", '"a \\" b # c"', "1979-05-27", "0x1F",
    "1e3", '""""q"""""', '"""\\\n  z"""', "07:32:00", "inf", "''''r'''''", '"]"', '"}"', "'''#'''",
]  # fmt: skip
BLANKS = ["", " ", "\t", "\n", "  # note ] } \" '\n", "\r\n", "\n\n"]
WORDS = [
    word.encode() for word in (*KEYS, *SCALARS, "[", "]", "{", "}", "[[", "]]", "=", ".", ",", "\n")
]


class TomlTarget:
    """The subject names the line of each key. What is no TOML counts as refused."""

    name = "toml"

    def __init__(self, subject: Callable[[str], Mapping[KeyPath, int]] = key_lines) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.05:
            return garbage(random, WORDS)
        case = "".join(_statement(random) for _ in range(random.randint(0, 6))).encode()
        return mutated(random, case, WORDS) if random.random() < 0.2 else case

    def judge(self, case: bytes) -> bool:
        try:
            text = case.decode()
            document = tomllib.loads(text)
        except (ValueError, RecursionError):
            return False
        lines = self._subject(text)
        count = text.count("\n") + 1
        for path in _paths(document, ()):
            require(path in lines, f"no line for {path}")
            require(1 <= lines[path] <= count, f"line {lines[path]} of {count} for {path}")
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "keys": lambda size: b"".join(b"k%d=1\n" % number for number in range(size // 9)),
            "comments": lambda size: b"# x\n" * (size // 4),
            "array": lambda size: b"a=[" + b"1," * (size // 2) + b"]",
            "string": lambda size: b'a="""' + b'"x' * (size // 2) + b'"""',
            "quotes": lambda size: b'a="' + b'\\"' * (size // 2) + b'"',
        }


def _statement(random: Random) -> str:
    blank, end = random.choice(BLANKS), random.choice(("\n", "\n", "\r\n", " # c\n"))
    key = _key(random)
    kind = random.random()
    if kind < 0.2:
        return f"{blank}[{random.choice(('', ' '))}{key}]{end}"
    if kind < 0.35:
        return f"{blank}[[{key}]]{end}"
    return f"{blank}{key}{random.choice(('=', ' = '))}{_value(random, 2)}{end}"


def _key(random: Random) -> str:
    """Mostly new, for a key that is there twice makes the whole file none."""
    if random.random() < 0.5:
        return f"k{random.randrange(1000)}"
    return ".".join(random.choice(KEYS) for _ in range(random.choice((1, 1, 2))))


def _value(random: Random, room: int) -> str:
    kind = random.random() if room else 1
    if kind < 0.15:
        separator = f"{random.choice(BLANKS)},{random.choice(BLANKS)}"
        items = separator.join(_value(random, room - 1) for _ in range(random.randint(0, 3)))
        return f"[{random.choice(BLANKS)}{items}{random.choice(BLANKS)}]"
    if kind < 0.3:
        pairs = [f"{_key(random)} = {_value(random, 0)}" for _ in range(random.randint(0, 2))]
        return "{" + ", ".join(pairs) + "}"
    return random.choice(SCALARS)


def _paths(value: object, path: KeyPath) -> Iterator[KeyPath]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _paths(member, (*path, name))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _paths(element, (*path, index))
