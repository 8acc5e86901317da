"""Small wrong changes of a module, from its syntax tree: what a test that sees would catch."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "argmin": "argmax", "minimum": "maximum", "any": "all", "ceil": "floor", "sum": "mean"}
NAMES |= {new: old for old, new in NAMES.items()}
AS_THEY_ARE = {"isinstance", "issubclass", "getattr", "hasattr", "setattr", "super", "cast", "TypeVar", "ParamSpec"}


@dataclass(frozen=True)
class Mutant:
    """One change. It is known by file, function, source line and change; its line number may move."""

    file: str  # in the package, such as "fast/sums.py"
    line: int
    function: str
    source: str  # that line
    change: str  # what was changed, in words
    mutated: bytes  # the whole module

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.file, self.function, self.source, self.change

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.change}"


class Change(NamedTuple):
    words: str
    old: ast.AST
    new: ast.AST


def mutants(file: str, source: str, taste: Collection[str] = (), knobs: Collection[str] = ()) -> list[Mutant]:
    """All mutants of a module.

    Left alone are docstrings, annotations, texts of errors, asserts, ``__all__``, what only type checkers read, and what is
    declared: keyword arguments and dictionary entries named in ``taste``; functions and assignments to names in ``knobs``.
    """
    lines = source.encode().splitlines(keepends=True)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines))]
    found: list[Mutant] = []
    seen: Counter[tuple[str, str, str]] = Counter()
    for change, anchor, function in _walk(ast.parse(source), "", None, {*taste}, {*knobs}):
        begin, end = (starts[row - 1] + column for row, column in _place(anchor))
        text = ast.unparse(change.new if anchor is change.old else _with(anchor, change))
        text = f"({text})" if isinstance(anchor, ast.expr) and not isinstance(anchor, ast.JoinedStr) else text
        mutated = source.encode()[:begin] + text.encode() + source.encode()[end:]
        line = lines[anchor.lineno - 1].decode().strip()
        seen[key := (function, line, change.words)] += 1
        words = change.words + (f" (place {seen[key]})" if seen[key] > 1 else "")
        found.append(Mutant(file, anchor.lineno, function, line, words, mutated))
    return found


def _place(node: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _with(anchor: ast.AST, change: Change) -> ast.AST:
    """A copy of ``anchor`` in which a node far inside is changed: positions inside an f-string are not to be relied on."""

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return change.new if node is change.old else self.generic_visit(copy.copy(node))

        def generic_visit(self, node: ast.AST) -> ast.AST:
            for field, value in ast.iter_fields(node):
                setattr(node, field, [*value] if isinstance(value, list) else value)
            return super().generic_visit(node)

    return Put().visit(anchor)


def _walk(node: ast.AST, function: str, anchor: Any, taste: set[str], knobs: set[str]) -> Iterator[tuple[Change, Any, str]]:
    """Every change below ``node``, the node to write anew for it, and the function it is in."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = f"{function}.{node.name}".lstrip(".")
    anchor = node if anchor is None and isinstance(node, ast.JoinedStr) else anchor
    if not _without_type(node) or getattr(node, "name", None) in knobs:
        return
    for change in _changes(node, taste):
        yield change, anchor or change.old, function
    for child in _children(node, taste, knobs):
        yield from _walk(child, function, anchor, taste, knobs)


def _without_type(node: ast.AST) -> bool:
    """Whether there is more in it than types, texts of errors and checks for readers."""
    match node:
        case ast.Assert() | ast.Expr(value=ast.Constant()) | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return False
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return False
        case ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec" | "cast")):
            return False
        case ast.Assign(value=value):  # a name for a type, such as Weights = nn.Module | Mapping[str, Tensor]
            kinds = {type(n) for n in ast.walk(value)} - {ast.Load}
            return not {ast.BinOp, ast.Subscript} & kinds or bool(kinds - _OF_TYPES) or not _starts_upper(node)
    return True


_OF_TYPES: set[type] = {ast.BinOp, ast.BitOr, ast.Subscript, ast.Tuple, ast.Name, ast.Attribute, ast.Constant, ast.List}


def _starts_upper(node: Any) -> bool:
    return all(isinstance(target, ast.Name) and target.id[:1].isupper() for target in node.targets)


def _children(node: ast.AST, taste: set[str], knobs: set[str]) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "exc", "cause", "format_spec", "type_params"):
            continue
        if isinstance(node, ast.keyword) and node.arg in taste:
            continue
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and knobs & {getattr(n, "id", "") for n in _targets(node)}:
            continue
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            continue  # -1 is one number
        if isinstance(node, ast.Dict) and field == "values":
            value = [v for k, v in zip(node.keys, value, strict=True) if getattr(k, "value", None) not in taste]
        yield from (child for child in (value if isinstance(value, list) else [value]) if isinstance(child, ast.AST))


def _targets(node: Any) -> Iterator[ast.AST]:
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        yield from ast.walk(target)


def _like(node: Any, **fields: Any) -> Any:
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else text[:59] + "…"


def _swapped(node: Any, i: int, values: list[Any]) -> list[Any]:
    return [*values[:i], node, *values[i + 1 :]]


def _changes(node: Any, taste: set[str]) -> Iterator[Change]:
    """The changes of this one node."""
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield Change(f"drop: {_short(node)}", node, ast.Pass())
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield Change(f"drop: {_short(node)}", node, ast.Pass())
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not _negated_below(test):
            yield _negated(test)
        case ast.comprehension(ifs=tests):
            yield from (_negated(test) for test in tests if not _negated_below(test))
        case ast.withitem(optional_vars=None, context_expr=block):
            nothing = ast.parse("__import__('contextlib').nullcontext()", mode="eval").body
            yield Change(f"without the block of: {_short(block)}", block, nothing)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand) if _number(node) is None:
            yield Change(f"drop {'not' if isinstance(node.op, ast.Not) else '-'}: {_short(node)}", node, operand)
        case ast.BoolOp(values=values):
            yield _other_operator(node)
            for i, part in enumerate(values):
                rest = [*values[:i], *values[i + 1 :]]
                yield Change(
                    f"drop {_short(part)}: {_short(node)}", node, rest[0] if len(rest) == 1 else _like(node, values=rest)
                )
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                new = OPERATORS[type(op)]()
                yield Change(f"{_sign(op)} -> {_sign(new)}: {_short(node)}", node, _like(node, ops=_swapped(new, i, ops)))
        case ast.Call():
            yield from _of_call(node, taste)
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS and not _text(node):
        yield _other_operator(node)
    if (number := _number(node)) is not None:
        for value in _others(number):
            yield Change(f"{number!r} -> {value!r}", node, ast.parse(repr(value), mode="eval").body)


def _text(node: Any) -> bool:
    """Whether a sum is one of texts."""
    parts = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    return any(_is_text(part) for part in parts)


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _negated(test: Any) -> Change:
    return Change(f"negate: {_short(test)}", test, ast.UnaryOp(ast.Not(), test))


def _negated_below(test: ast.AST) -> bool:
    """Whether a change inside is the same as to negate it."""
    match test:
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()]):
            return True
        case ast.UnaryOp(op=ast.Not()) | ast.Constant():
            return True
    return False


def _sign(op: ast.AST) -> str:
    one = ast.Name("a")
    kinds = {
        ast.cmpop: ast.Compare(one, [op], [one]),
        ast.boolop: ast.BoolOp(op, [one, one]),
        ast.operator: ast.BinOp(one, op, one),
    }
    return ast.unparse(next(n for kind, n in kinds.items() if isinstance(op, kind)))[1:-1].strip()


def _other_operator(node: Any) -> Change:
    new = OPERATORS[type(node.op)]()
    return Change(f"{_sign(node.op)} -> {_sign(new)}: {_short(node)}", node, _like(node, op=new))


def _number(node: Any) -> bool | int | float | None:
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    value = node.value if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)) else None
    return value if value is None or sign == 1 else -value


def _others(number: bool | int | float) -> list[bool | int | float]:
    if isinstance(number, bool):
        return [not number]
    if isinstance(number, int) and abs(number) <= 10:
        return [number + 1, number - 1]
    return [2 * number if number else 1.0]


def _of_call(node: Any, taste: set[str]) -> Iterator[Change]:
    name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
    if name in NAMES:
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        yield Change(
            f"{name} -> {NAMES[name]}: {_short(node)}", node, _like(node, func=_like(node.func, **{field: NAMES[name]}))
        )
    if name in AS_THEY_ARE:
        return
    for i, word in enumerate(node.keywords):
        if word.arg not in taste:
            rest = [*node.keywords[:i], *node.keywords[i + 1 :]]
            yield Change(f"drop {word.arg or '**'}=: {_short(node)}", node, _like(node, keywords=rest))
    args = node.args
    if len(args) >= 2 or (args and _number(args[0]) is not None):
        yield Change(f"drop {_short(args[-1])}: {_short(node)}", node, _like(node, args=args[:-1]))
    for i in range(0 if name in NAMES else len(args) - 1):  # min and max take them in any order
        a, b = args[i : i + 2]
        if ast.unparse(a) != ast.unparse(b) and not any(isinstance(arg, ast.Starred) or _is_text(arg) for arg in (a, b)):
            new = _like(node, args=[*args[:i], b, a, *args[i + 2 :]])
            yield Change(f"swap {_short(a)} and {_short(b)}: {_short(node)}", node, new)
