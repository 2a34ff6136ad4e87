"""The small changes: which there are in a source text, and the text with one of them made.

A change is a replacement of characters, so that all lines keep their numbers. What has no meaning
for a caller is left alone: annotations, docstrings, log lines, and what is imported; so are named
durations and sizes (`..._SECONDS = 5`, `REMEMBERED = 4096`): a little more would do as well.
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.BitOr: "&",
    ast.BitAnd: "|",
}
OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
GIVEN_AWAY = {"shield", "ensure_future"}  # `shield(x)` becomes `x`
LABELS = {("create_task", "name")}
NOT_JUDGED = {"log", "logging"}  # what is written there has tests of its own
DROPPED = (ast.Raise, ast.Continue, ast.Break, ast.Delete, ast.Assert, ast.AugAssign)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, of the characters from `start` to `end`. `lines` are those of the statement it is
    in, without the statement's body: the tests that reach one of them may notice it.

    `change` says the change, with the lines around it; together with `function` it finds the mutant
    again. `key` is another as soon as the code of the function is.
    """

    module: str
    function: str
    lines: range
    start: int
    end: int
    text: str
    change: str
    key: str

    def applied(self, source: str) -> str:
        """The text with the change."""
        return source[: self.start] + self.text + source[self.end :]

    def __str__(self) -> str:
        return f"{self.module}:{self.lines.start} {self.function}: {self.change}"


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Every mutant of a source text, in its order."""
    return _Finder(module, source).found()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node is: in which function, statement and definition."""

    function: str = "module"
    lines: range = range(1, 2)
    definition: str | None = None

    def inside(self, node: ast.AST) -> "_Place":
        """The place of what is in a node. A definition is a whole function, or a statement outside
        of functions; it is known by its text without comments and docstrings."""
        found = self
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            outer = "" if self.function == "module" else f"{self.function}."
            found = replace(found, function=outer + node.name)
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            found = replace(found, lines=_own_lines(node))
        if isinstance(node, ast.stmt) and not isinstance(node, ast.ClassDef):
            found = replace(found, definition=self.definition or ast.unparse(node))
        return found


class _Finder:
    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source
        lengths = [0]
        for line in source.encode().splitlines(keepends=True):
            lengths.append(lengths[-1] + len(line))
        self._line_at = lengths
        self._is_ascii = source.isascii()

    def found(self) -> list[Mutant]:
        seen: Counter[tuple[str, str]] = Counter()
        mutants = []
        tree = ast.parse(self._source)
        for node in filter(_is_docstring, ast.walk(tree)):
            node.value = ast.Constant("")  # type: ignore[attr-defined]
        for place, start, end, text in self._changes(tree, _Place()):
            if text == self._source[start:end]:
                continue
            change = self._change(start, end, text)
            seen[place.function, change] += 1
            if seen[place.function, change] > 1:
                change = f"{change} ({seen[place.function, change]})"
            said = f"{place.function}\n{place.definition}\n{change}"
            key = hashlib.sha256(said.encode()).hexdigest()[:16]
            mutants.append(
                Mutant(self._module, place.function, place.lines, start, end, text, change, key)
            )
        return mutants

    def _change(self, start: int, end: int, text: str) -> str:
        """In whole lines, on one line."""
        first = self._source.rfind("\n", 0, start) + 1
        last = self._source.find("\n", end)
        before, after = self._source[first:start], self._source[end:last]
        kept = self._source[start:end]
        return " ".join(f"{before}{kept}{after} => {before}{text}{after}".split())

    def _changes(self, node: ast.AST, place: _Place) -> Iterator[tuple[_Place, int, int, str]]:
        if _is_left_alone(node):
            return
        place = place.inside(node)
        for start, end, text in self._here(node):
            yield place, start, end, text
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "type_params", "decorator_list"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self._changes(child, place)

    def _here(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        if isinstance(node, ast.stmt):
            yield from self._of_statement(node)
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            yield from self._both_ways(node.test)
        if isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield from self._both_ways(test)
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            yield (*self._span(node.type), "()")  # catches nothing
        if isinstance(node, ast.expr):
            yield from self._of_expression(node)

    def _of_statement(self, node: ast.stmt) -> Iterator[tuple[int, int, str]]:
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
        is_kept = isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name)
        is_bare_return = isinstance(node, ast.Return) and node.value is None
        if is_call or is_kept or is_bare_return or isinstance(node, DROPPED):
            yield (*self._span(node), "pass")

    def _of_expression(self, node: ast.expr) -> Iterator[tuple[int, int, str]]:
        if isinstance(node, ast.BoolOp):
            yield from self._of_boolean(node)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            other = COMPARISONS[type(node.ops[0])]
            yield self._between(node.left, node.comparators[0], f" {other} ")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield (*self._span(node), self._text(node.operand))
        elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            if not isinstance(node.left, ast.Constant) or not isinstance(node.left.value, str):
                yield self._between(node.left, node.right, f" {ARITHMETIC[type(node.op)]} ")
        elif isinstance(node, ast.Constant):
            yield from self._of_constant(node)
        elif isinstance(node, ast.Call):
            yield from self._of_call(node)

    def _of_boolean(self, node: ast.BoolOp) -> Iterator[tuple[int, int, str]]:
        word = " or " if isinstance(node.op, ast.And) else " and "
        parts = [f"({self._text(value)})" for value in node.values]
        yield (*self._span(node), f"({word.join(parts)})")
        for value in node.values:  # one of the conditions is left out
            yield (*self._span(value), "True" if isinstance(node.op, ast.And) else "False")

    def _of_constant(self, node: ast.Constant) -> Iterator[tuple[int, int, str]]:
        if isinstance(node.value, bool):
            yield (*self._span(node), str(not node.value))
        elif isinstance(node.value, int | float):
            yield (*self._span(node), repr(node.value + 1))

    def _of_call(self, node: ast.Call) -> Iterator[tuple[int, int, str]]:
        name = _name_of(node.func)
        if isinstance(node.func, ast.Name) and name in OPPOSITES:
            yield (*self._span(node.func), OPPOSITES[name])
        if name in GIVEN_AWAY and node.args:
            yield (*self._span(node), self._text(node.args[0]))
        for keyword in node.keywords:
            if keyword.arg not in (None, "repr") and (name, keyword.arg) not in LABELS:
                start, end = self._span(keyword)
                rest = self._source[end:]
                comma = len(rest) - len(rest.lstrip()) + 1 if rest.lstrip()[:1] == "," else 0
                yield start, end + comma, ""

    def _both_ways(self, test: ast.expr) -> Iterator[tuple[int, int, str]]:
        if not isinstance(test, ast.Constant):
            span = self._span(test)
            lines = "\n" * self._text(test).count("\n")
            for way in ("True", "False"):
                yield (*span, f"({way}{lines})" if lines else way)

    def _between(self, left: ast.expr, right: ast.expr, text: str) -> tuple[int, int, str]:
        """The operator between two operands, with brackets that belong to them left in place."""
        start, end = self._span(left)[1], self._span(right)[0]
        gap = self._source[start:end]
        closing = len(gap) - len(gap.lstrip(") \n"))
        opening = len(gap) - len(gap.rstrip("( \n"))
        return start, end, gap[:closing].rstrip() + text + gap[len(gap) - opening :].lstrip()

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end]

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self._offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]
        end = self._offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        return start, end

    def _offset(self, line: int, column: int) -> int:
        offset = self._line_at[line - 1] + column
        return offset if self._is_ascii else len(self._source.encode()[:offset].decode())


def _is_left_alone(node: ast.AST) -> bool:
    if _is_docstring(node):
        return True
    if isinstance(node, ast.keyword) and node.arg == "repr":
        return True  # tests/unit/test_reprs.py looks at all of them
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        func = node.value.func
        return isinstance(func, ast.Attribute) and _name_of(func.value) in NOT_JUDGED
    if isinstance(node, ast.If) and _name_of(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.Assign | ast.AnnAssign) and _is_choice(node):
        return True
    return isinstance(node, ast.Import | ast.ImportFrom) or getattr(node, "name", "") == "__repr__"


def _is_choice(node: ast.Assign | ast.AnnAssign) -> bool:
    """A number of which a little more would do as well: a duration, or a size."""
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    value = node.value
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult | ast.Pow):
        return all(isinstance(side, ast.Constant) for side in (value.left, value.right))
    if not isinstance(value, ast.Constant) or not isinstance(value.value, int | float):
        return False
    is_duration = _name_of(target).lower().endswith("_seconds")
    return value.value > 20 or (value.value > 0 and is_duration)


def _name_of(node: ast.AST) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _own_lines(node: ast.stmt | ast.ExceptHandler | ast.match_case) -> range:
    """Those of a statement without those of the statements in it."""
    first = node.pattern if isinstance(node, ast.match_case) else node
    body = getattr(node, "body", None)
    end = body[0].lineno - 1 if body else first.end_lineno or first.lineno
    return range(first.lineno, max(first.lineno, end) + 1)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
