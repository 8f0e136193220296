"""What can be changed in a module: its mutants, each with one token changed.

An operator, a comparison, a constant, the arms of a `select`, `largest` for `smallest`, one rounding for
another. Left out are docstrings, annotations, imports, decorators, and ``strict=`` of `zip`, which only
checks.
"""

from __future__ import annotations

import ast
import builtins
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

SEED = 4
"""Of the order in which mutants are taken."""

OPERATORS = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Pow: ("**", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"),
    ast.Mod: ("%", "//"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "|"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}

NAMES = {
    "largest": ("smallest", "min"),
    "smallest": ("largest", "max"),
    "min": ("max",),
    "max": ("min",),
    "any": ("all",),
    "all": ("any",),
    "saturate": ("saturate_symmetric",),
    "saturate_symmetric": ("saturate",),
    "fits": ("fits_unsigned",),
}
"""What takes the place of a name: the first that the module knows."""

ROUNDINGS = {"FLOOR": 0, "HALF_UP": 1, "RNE": 2}


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes
    ----------
    module : str
        Such as ``units/ops``.
    source : str
        The whole module, changed.
    number : int
        Line of the change.
    before, after : str
        That line, without its indentation.
    """

    module: str
    source: str
    number: int
    before: str
    after: str

    @property
    def place(self) -> str:
        """File and line."""
        return f"hwmodels/{self.module}.py:{self.number}"

    @property
    def key(self) -> tuple[str, str, str]:
        """By which its reason is found."""
        return self.module, self.before, self.after


class Finder(ast.NodeVisitor):
    """Places in a module where one token can be changed: (start, end, text) in bytes of its source."""

    def __init__(self, source: str) -> None:
        self.raw = source.encode()
        self.places: list[tuple[int, int, str]] = []
        self._lines = [0]
        for line in self.raw.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        tree = ast.parse(source)
        self._known = set(dir(builtins))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom | ast.Import):
                self._known |= {a.asname or a.name for a in node.names}
            elif isinstance(node, ast.FunctionDef):
                self._known.add(node.name)
        self.visit(tree)

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self._lines[node.lineno - 1] + node.col_offset
        return start, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> bytes:
        start, end = self._span(node)
        return self.raw[start:end]

    def _between(self, left: ast.expr, op: ast.AST, right: ast.expr, suffix: str = "") -> None:
        """Change the operator that stands between two expressions."""
        if type(op) not in OPERATORS:
            return
        old, new = OPERATORS[type(op)]
        start, end = self._span(left)[1], self._span(right)[0]
        gap = re.sub(rb"#[^\n]*", lambda m: b" " * len(m[0]), self.raw[start:end])
        pattern = re.escape((old + suffix).encode()).replace(rb"\ ", rb"\s+")
        if found := re.search(pattern, gap):
            self.places.append((start + found.start(), start + found.end(), new + suffix))

    def _negate(self, test: ast.expr) -> None:
        flips = isinstance(test, ast.Compare) and isinstance(
            test.ops[0], ast.Eq | ast.NotEq | ast.In | ast.Is
        )
        if not flips and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            start, end = self._span(test)
            self.places.append((start, end, f"not ({self.raw[start:end].decode()})"))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Default values and the body."""
        for value in (*node.args.defaults, *(d for d in node.args.kw_defaults if d)):
            self.visit(value)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The body."""
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The value."""
        if node.value:
            self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        """Nothing."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Nothing."""

    def visit_keyword(self, node: ast.keyword) -> None:
        """The value, unless it only checks."""
        if node.arg != "strict":
            self.visit(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """The operator."""
        self._between(node.left, node.op, node.right)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """The operator."""
        self._between(node.target, node.op, node.value, "=")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Each operator."""
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, node.op, right)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Each operator."""
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            self._between(left, op, right)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """The sign, or ``not``."""
        start, end = self._span(node)[0], self._span(node.operand)[0]
        if isinstance(node.op, ast.USub) and self.raw[start : start + 1] == b"-":
            self.places.append((start, start + 1, "+"))
        elif isinstance(node.op, ast.Not) and self.raw[start : start + 3] == b"not":
            self.places.append((start, end, ""))
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """The condition."""
        self._negate(node.test)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        """The condition."""
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        """The condition."""
        self._negate(node.test)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """The index; not the first for the last, which in a shape of one dimension are the same."""
        if isinstance(node.slice, ast.Constant) and node.slice.value == 0:
            self.places.append((*self._span(node.slice), "1"))
            self.visit(node.value)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """The arms of a `select`."""
        if isinstance(node.func, ast.Name) and node.func.id == "select" and len(node.args) == 3:
            (start, first), (second, end) = self._span(node.args[1]), self._span(node.args[2])
            a, b = self._text(node.args[1]), self._text(node.args[2])
            self.places.append((start, end, (b + self.raw[first:second] + a).decode()))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """A function or a rounding for another."""
        if not isinstance(node.ctx, ast.Load):
            return
        span = self._span(node)
        if node.id in ROUNDINGS:
            others = [str(value) for name, value in ROUNDINGS.items() if name != node.id]
        else:
            others = [name for name in NAMES.get(node.id, ()) if name in self._known][:1]
        self.places += [(*span, other) for other in others]

    def visit_Constant(self, node: ast.Constant) -> None:
        """One more and one less; a flag turned over."""
        start, end = self._span(node)
        text = self.raw[start:end].decode(errors="replace")
        if isinstance(node.value, bool) and text == str(node.value):
            self.places.append((start, end, str(not node.value)))
        elif isinstance(node.value, int | float) and re.fullmatch(r"[0-9][0-9_.]*", text):
            self.places += [(start, end, str(node.value + 1)), (start, end, str(node.value - 1))]


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """The mutants of a module, in no order that means anything but the same each time."""
    finder = Finder(source)
    same = ast.dump(ast.parse(source))
    places = sorted(set(finder.places))
    random.Random(f"{SEED} {module}").shuffle(places)
    old = source.splitlines()
    for start, end, text in places:
        changed = (finder.raw[:start] + text.encode() + finder.raw[end:]).decode()
        if _dump(changed) in (same, None):
            continue
        new = changed.splitlines()
        i = next(i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1])
        yield Mutant(module, changed, i + 1, old[i].strip(), new[i].strip())


def _dump(source: str) -> str | None:
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return None
