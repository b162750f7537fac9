"""Small mistakes that a person could make, one at a time, as changes of a module's text.

A mutation swaps a comparison or an operator, moves a number by one, negates a condition, drops a statement, an argument
or an element, leaves a lock out, and so on. Texts, type annotations and what is only logged are left alone: no test
should hold them to the letter. So are the invariants that `zip(..., strict=True)` checks, as an assertion does, and
`device=...`, which makes a difference on a GPU alone.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type, tuple[str, ...]] = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
OPERATORS: dict[type, str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "/",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
NAMES = {
    **{"min": "max", "max": "min", "any": "all", "all": "any", "argmax": "argmin", "argmin": "argmax"},
    **{"sorted": "list", "zeros": "ones", "zeros_like": "ones_like", "difference_by_row": "difference_by_user"},
}
KEYS = {"low": "high", "high": "low", "users": "rows", "rows": "users", "value": "low"}
LOGGED = ("_log", "log", "logger", "warnings", "progress", "bar")


@dataclass(frozen=True)
class Mutation:
    line: int
    start: int  # in bytes of the module
    end: int
    before: str
    after: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


NOTHING = Mutation(1, 0, 0, "", "")


def mutations(source: bytes) -> list[Mutation]:
    """Every mutation that leaves a module that can be compiled, in the order of the text, none twice."""
    found: dict[tuple[int, int, str], Mutation] = {}
    for mutation in _Finder(source).all_of(ast.parse(source)):
        if mutation.before == mutation.after:  # such as two arguments that are the same
            continue
        try:
            compile(mutation.apply(source), "mutant", "exec")
        except SyntaxError:
            continue
        found[mutation.start, mutation.end, mutation.after] = mutation
    return sorted(found.values(), key=lambda m: (m.start, m.end, m.after))


class _Finder:
    def __init__(self, source: bytes) -> None:
        self.source = source
        self.begins = [0]
        for line in source.splitlines(keepends=True):
            self.begins.append(self.begins[-1] + len(line))

    def all_of(self, node: ast.AST) -> Iterator[Mutation]:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "bases"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    yield from self._of(child)
                    yield from self.all_of(child)

    def _of(self, node: ast.AST) -> Iterator[Mutation]:
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                for other in COMPARISONS[type(operator)]:
                    yield self._change(node, f"({self._text(left)} {other} {self._text(right)})")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
                yield self._change(node, f"({self._text(left)} {OPERATORS[type(operator)]} {self._text(right)})")
            case ast.BoolOp():
                yield from self._of_condition(node)
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                yield self._change(node, f"({self._text(operand)})")
            case ast.Constant(value=value):
                yield from self._of_constant(node, value)
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare):
                yield self._change(test, f"(not ({self._text(test)}))")
            case ast.comprehension(ifs=tests, iter=over):
                yield from (self._change(test, "True") for test in tests)
                yield from self._without_one(over)
            case ast.Call():
                yield from self._of_call(node)
            case (ast.List() as listed) | ast.Assign(targets=[ast.Name()], value=listed):
                yield from self._without_one(listed)
            case ast.Dict():
                yield from self._of_dict(node)
            case ast.Subscript(slice=ast.Constant(value=str(key)) as place) if key in KEYS:
                yield self._change(place, repr(KEYS[key]))
            case ast.For(iter=ast.Tuple(elts=[first, second, *_]) as over):
                yield self._swapped(first, second)
                yield from self._without_one(over)
            case ast.With(items=[ast.withitem(context_expr=lock, optional_vars=None)]):
                start = self._span(node)[0]
                yield self._between(start, self._span(lock)[1], "if True")
            case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
                yield self._change(node, "pass")

    def _of_condition(self, node: ast.BoolOp) -> Iterator[Mutation]:
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        parts = [f"({self._text(value)})" for value in node.values]
        yield self._change(node, f"({f' {other} '.join(parts)})")
        for left_out in range(len(parts)):
            rest = [part for place, part in enumerate(parts) if place != left_out]
            yield self._change(node, f"({f' {word} '.join(rest)})")

    def _of_constant(self, node: ast.Constant, value: object) -> Iterator[Mutation]:
        if isinstance(value, bool):
            yield self._change(node, str(not value))
        elif isinstance(value, int):
            yield self._change(node, str(value + 1))
        elif isinstance(value, float):
            yield self._change(node, repr(value * 2 if value else 1.0))

    def _of_call(self, node: ast.Call) -> Iterator[Mutation]:
        match node.func:
            case ast.Name(id=name) if name in NAMES:
                yield self._change(node.func, NAMES[name])
            case ast.Attribute(value=value, attr=name) if name in NAMES:
                yield self._change(node.func, f"{self._text(value)}.{NAMES[name]}")
        match node.args:
            case [ast.Name() | ast.Attribute() as first, ast.Name() | ast.Attribute() as second, *_]:
                yield self._swapped(first, second)
        arguments: list[ast.AST] = [*node.args, *node.keywords]
        for place, given in enumerate(node.keywords, len(node.args)):
            if given.arg is not None and not _is_text(given) and not _is_text(given.value):
                yield self._without(arguments, place)

    def _of_dict(self, node: ast.Dict) -> Iterator[Mutation]:
        entries = [
            (self._span(key)[0] if key else self._span(value)[0] - 2, self._span(value)[1])
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        for place, (start, end) in enumerate(entries):
            if len(entries) > 1:
                yield self._cut(entries, place) if place else self._between(start, entries[1][0], "")
            else:
                yield self._between(start, end, "")

    def _without_one(self, node: ast.AST) -> Iterator[Mutation]:
        if isinstance(node, ast.List | ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
            yield from (self._without(list(node.elts), place) for place in range(len(node.elts)))

    def _without(self, parts: list[ast.AST], place: int) -> Mutation:
        """One of the parts that commas separate, left out with its comma."""
        spans = [self._span(part) for part in parts]
        if place:
            return self._cut(spans, place)
        return self._between(spans[0][0], spans[1][0] if len(spans) > 1 else spans[0][1], "")

    def _cut(self, spans: list[tuple[int, int]], place: int) -> Mutation:
        return self._between(spans[place - 1][1], spans[place][1], "")

    def _swapped(self, first: ast.AST, second: ast.AST) -> Mutation:
        (start, end), (other_start, other_end) = self._span(first), self._span(second)
        between = self.source[end:other_start].decode()
        return self._between(start, other_end, f"{self._text(second)}{between}{self._text(first)}")

    def _change(self, node: ast.AST, after: str) -> Mutation:
        return self._between(*self._span(node), after)

    def _between(self, start: int, end: int, after: str) -> Mutation:
        return Mutation(self.source[:start].count(b"\n") + 1, start, end, self.source[start:end].decode(), after)

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.begins[node.lineno - 1] + node.col_offset
        return start, self.begins[node.end_lineno - 1] + node.end_col_offset


def _is_text(node: ast.AST) -> bool:
    """What is said to a reader: docstrings, formatted or logged text, assertions, and the list of a package's names."""
    match node:
        case ast.Assert() | ast.keyword(arg="strict" | "device") | ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.JoinedStr() | ast.Constant(value=str()) | ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.Expr(value=ast.Call(func=called)):
            return any(part in LOGGED for part in ast.unparse(called).lower().split(".")[:-1])
        case ast.Call(func=ast.Name(id=name)):
            return name.endswith("Error")
    return False
