"""Lines of keys in TOML: every key that `tomllib` finds is found, on the line where it stands."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.config.problems import KeyPath
from bff.config.sources.toml_lines import key_lines

SCALARS = st.sampled_from(
    [
        "1",
        "0x1F",
        "1e3",
        "true",
        "1979-05-27 07:32:00",
        '""',
        "''",
        r'"a \" ] } # , = b"',
        "'a \\ ] } # , = b'",
        '"""\na "" \\" ] # \n"""',
        "'''\nb '' ] # \n\n'''",
        '""""quoted\\\\"""""',
        "''''quoted'''''",
    ]
)
BLANKS = st.sampled_from(["", " ", "\n", " # ] } , = \n\t", "\n\n"])


def arrays(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    element = st.tuples(BLANKS, items, BLANKS).map("".join)
    return st.tuples(st.lists(element, max_size=3), st.sampled_from(["", ",\n"]), BLANKS).map(
        lambda parts: f"[{','.join(parts[0])}{parts[1] if parts[0] else ''}{parts[2]}]"
    )


def inline_tables(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(
        lambda items: "{" + ", ".join(f"k{n} = {item}" for n, item in enumerate(items)) + "}"
    )


VALUES = st.recursive(SCALARS, lambda inner: arrays(inner) | inline_tables(inner), max_leaves=6)
KEYS = st.sampled_from(["key{}", '"key {}"', "'key.{}'", 'a{}."b.c" . d', '"\\u006bey{}"'])
HEADERS = st.sampled_from(["[t{}]", "[ t{} . 'u v' ]", "[[array]]", "[[t{}.deep]]", '["t {}".x]'])
SPACE = st.sampled_from(["", "\n", "# [no] = table\n", "  "])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[tuple[int, str]]]:
    """A TOML text, and the line on which each of its statements begins."""
    text = ""
    places: list[tuple[int, str]] = []
    for number in range(draw(st.integers(0, 5))):
        for _ in range(draw(st.integers(0, 3))):
            key = draw(KEYS).format(f"{number}{len(places)}")
            text += draw(SPACE)
            places.append((text.count("\n") + 1, key))
            text += f"{key} = {draw(VALUES)} # end\n"
        text += draw(SPACE)
        header = draw(HEADERS).format(number)
        places.append((text.count("\n") + 1, header))
        text += header + "\n"
    return text, places


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key and element of what was read."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


@settings(max_examples=300)
@given(documents())
def test_every_key_is_found_where_its_statement_begins(
    document: tuple[str, list[tuple[int, str]]],
) -> None:
    """The scanner agrees with `tomllib` on what there is, and with the text on where."""
    text, places = document
    found = key_lines(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    starts = {line for line, _ in places}
    assert starts >= {line for path, line in found.items() if len(path) == 1}
    assert {line for line, key in places if not key.startswith("[")} <= set(found.values())


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1", ("a",), 1),
        ("\n# c\r\n\ta . b = 1", ("a", "b"), 3),
        ("[s]\n\nk = 1", ("s", "k"), 3),
        ("[s]\n\nk = 1", ("s",), 1),
        ("[[r]]\nk = 1\n[[r]]\nk = 2", ("r", 1, "k"), 4),
        ("[[r]]\n[r.s]\nk = 1", ("r", 0, "s", "k"), 3),
        ("[[r]]\n[[r.s]]\n[[r.s]]\nk = 1", ("r", 0, "s", 1, "k"), 4),
        ("a = [\n 1, # ]\n\n 2,\n]\nb = 1", ("a", 1), 4),
        ("a = [\n 1, # ]\n\n 2,\n]\nb = 1", ("b",), 6),
        ('a = """\n[no]\n"""\nb = 1', ("b",), 4),
        ("a = { b = [\n1,\n{ c = 2 } ] }", ("a", "b", 1, "c"), 3),
    ],
)
def test_a_key_is_on_its_line(text: str, path: KeyPath, line: int) -> None:
    """The cases that can be read at a glance."""
    tomllib.loads(text)
    assert key_lines(text)[path] == line


@given(st.text("abt=[]{}\"'.,#\n\\ 1", max_size=40))
def test_no_text_makes_the_scanner_hang_or_crash(text: str) -> None:
    """It only ever sees valid TOML; should the two disagree, a line number must not be the end."""
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(key_lines(text)) == set(paths(read))
