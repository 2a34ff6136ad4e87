"""The tables of docs/security.md: threat, control, where it is enforced, which tests show it; and
the inputs that are tried.

`python -m tests.rules.document` writes them below the marker; what stands above it is by hand.
"""

import ast
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from tests.rules.counts import MISBEHAVIOURS, vectors
from tests.rules.table import Row, the_table

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "security.md"
MARKER = "<!-- From here on made from the table of rules: python -m tests.rules.document -->\n"
ABOUT_THE_TABLE = "test_security_rules.py"


def guards() -> dict[str, list[Path]]:
    """The test files that name each row, in order."""
    found: dict[str, set[Path]] = {}
    for path in sorted(ROOT.glob("tests/**/test_*.py")):
        if path.name == ABOUT_THE_TABLE:
            continue
        for one in ids_named_in(ast.parse(path.read_text())):
            found.setdefault(one, set()).add(path)
    return {one: sorted(paths) for one, paths in found.items()}


def ids_named_in(tree: ast.AST) -> Iterator[str]:
    """The ids of rows wherever they stand: in a marker, or in a table that makes markers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in the_table().rows:
            yield str(node.value)


def document() -> str:
    """The whole document as it should be."""
    head, marker, _ = DOCUMENT.read_text().partition(MARKER)
    return head + (marker or MARKER) + "\n" + "\n".join(_tables()) + "\n"


def _tables() -> Iterator[str]:
    table, tests = the_table(), guards()
    for title, rows in groupby(table.rules, key=lambda row: row.group):
        yield f"### {title}\n"
        yield "| id | threat | control | enforced in | shown by | source |"
        yield "|---|---|---|---|---|---|"
        for row in rows:
            where = "<br>".join(_code(place) for place in row.where)
            control = row.rule if row.not_built is None else f"*Not built:* {row.not_built}"
            cells = (row.id, row.threat, control, where, _shown(row, tests), row.source)
            yield _line(cells)
        yield ""
    yield "## What went wrong elsewhere\n"
    yield "Faults published for gateways of this kind, and what is shown here.\n"
    yield "| advisory | system | what happened | here | shown by |"
    yield "|---|---|---|---|---|"
    for row in table.advisories:
        ids = ", ".join((row.id, *row.also))
        said = row.rule if row.not_built is None else f"*Does not apply:* {row.not_built}"
        yield _line((ids, row.source, row.threat, said, _shown(row, tests)))
    yield ""
    yield from _corpora()


def _corpora() -> Iterator[str]:
    yield "## Tables of inputs\n"
    yield "All of them go through a running gateway; what must come out is written beside each.\n"
    yield "| inputs | how many |"
    yield "|---|---|"
    for corpus, number in vectors().items():
        yield _line((corpus, str(number)))
    yield ""
    yield "## What a misbehaving OP comes to\n"
    yield "Whatever is refused leaves no session, and a login works once the OP behaves again.\n"
    yield "| where | the browser is told | when the OP's answer is |"
    yield "|---|---|---|"
    for where, entries in MISBEHAVIOURS.items():
        told: dict[str, list[str]] = {}
        for name, wrong in entries.items():
            status, code = wrong.expected
            told.setdefault(f"{status} `{code}`" if code else "welcome", []).append(name)
        for answer, names in sorted(told.items()):
            yield _line((where, answer, "; ".join(names)))


def _shown(row: Row, tests: dict[str, list[Path]]) -> str:
    paths = (path.relative_to(ROOT) for path in tests.get(row.id, ()))
    return "<br>".join(f"[{path.stem.removeprefix('test_')}](../{path})" for path in paths)


def _code(place: str) -> str:
    module, _, name = place.partition(":")
    return f"`{module.removeprefix('bff.')}.{name}`"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
