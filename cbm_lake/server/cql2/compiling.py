"""From the tree of a filter to a condition of DuckDB on the columns of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple

import shapely
from duckdb import ColumnExpression, ConstantExpression, Expression, FunctionExpression

from cbm_lake.errors import InvalidInputError
from cbm_lake.server.cql2 import values
from cbm_lake.server.cql2.queryables import Kind, Queryables
from cbm_lake.server.cql2.relations import SPATIAL, TEMPORAL, Stretch
from cbm_lake.server.cql2.values import Tree

MOST_NODES: Final = 1_000
"""Operators and operands of a filter, apart from the values of IN."""
_MOST_VALUES: Final = 10_000
"""Of IN."""
_MOST_SPATIAL: Final = 10
"""Spatial predicates of a filter: each may take seconds of a hundred thousand rows."""
_DEEPEST: Final = 40
_DAY: Final = "86399.999999 seconds"
"""From its first moment to its last."""
_LARGEST: Final = 2**63
_COMPARING: Final[dict[str, Callable[[Expression, Expression], Expression]]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_COMPUTING: Final = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "%": "mod",
    "^": "pow",
    "div": "fdiv",
}
_FOLDING: Final = {"casei": "lower", "accenti": "strip_accents"}
OPERATORS: Final = frozenset(
    [*_COMPARING, *_COMPUTING, *_FOLDING, *TEMPORAL, *SPATIAL, "and", "or", "not", "isnull", "like", "between", "in"]
)


@dataclass(frozen=True)
class SpatialTest:
    """A spatial predicate of a filter, whose outcome is a column of truth values."""

    column: str
    relation: str
    """The predicate of shapely: of the row's geometry, and the geometry."""
    shape: shapely.Geometry
    """In degrees."""


@dataclass(frozen=True)
class Condition:
    """What a filter asks of a row."""

    expression: Expression
    """Of the columns of the queryables, and of those of the spatial tests."""
    spatial: tuple[SpatialTest, ...]


class _Operand(NamedTuple):
    expression: Expression
    kind: Kind
    text: str | None = None
    """Of a literal that is text, which is a timestamp or a date where it is compared with one."""


def compiled(tree: Tree, queryables: Queryables) -> Condition:
    """The condition of a filter.

    Raises:
        InvalidInputError: it names a property that is not among the queryables, or an operator that is not offered;
            two values cannot be compared; or it is too large or too deep.
    """
    compiler = _Compiler(queryables)
    expression = compiler.truth(tree)
    return Condition(expression, tuple(compiler.spatial))


@dataclass
class _Compiler:
    queryables: Queryables
    spatial: list[SpatialTest] = field(default_factory=list)
    nodes: int = 0
    depth: int = 0

    def truth(self, tree: Tree) -> Expression:
        """A condition."""
        operand = self.operand(tree)
        if operand.kind is not Kind.TRUTH:
            raise InvalidInputError(f"{_quoted(tree)} is no condition, but a {operand.kind.value}")
        return operand.expression

    def operand(self, tree: Tree) -> _Operand:
        """A value, a property, or what an operator makes of others."""
        self.nodes, self.depth = self.nodes + 1, self.depth + 1
        if self.nodes > MOST_NODES or self.depth > _DEEPEST:
            raise InvalidInputError(
                f"the filter has more than {MOST_NODES} parts or is nested more than {_DEEPEST} deep; ask in parts"
            )
        operand = self._operation(tree) if isinstance(tree, dict) and "op" in tree else self._value(tree)
        self.depth -= 1
        return operand

    def _value(self, tree: Tree) -> _Operand:
        if isinstance(tree, bool):
            return _Operand(ConstantExpression(tree), Kind.TRUTH)
        if isinstance(tree, str):
            return _Operand(ConstantExpression(tree), Kind.TEXT, tree)
        if isinstance(tree, int | float):
            return _Operand(_number(tree), Kind.NUMBER)
        if isinstance(tree, dict) and "property" in tree:
            return self._property(tree["property"])
        for word, read, kind in (
            ("timestamp", values.instant, Kind.TIME),
            ("date", values.calendar_day, Kind.DAY),
        ):
            if isinstance(tree, dict) and isinstance(tree.get(word), str):
                return _Operand(ConstantExpression(read(tree[word])), kind)
        raise InvalidInputError(f"{_quoted(tree)} is no value that can stand here in a filter")

    def _property(self, name: object) -> _Operand:
        one = self.queryables.get(name) if isinstance(name, str) else None
        if one is None:
            names = ", ".join(self.queryables)
            raise InvalidInputError(f"there is no property {str(name)[:60]!r} to ask for; there are: {names}")
        expression = ColumnExpression(one.column)
        return _Operand(expression.cast("double") if one.kind is Kind.NUMBER else expression, one.kind)

    def _operation(self, tree: dict[str, object]) -> _Operand:
        name, arguments = tree["op"], tree.get("args")
        word = name.lower() if isinstance(name, str) else ""
        if word not in OPERATORS:
            raise InvalidInputError(f"{str(name)[:40]!r} is not offered in filters; there are: {_offered()}")
        if not isinstance(arguments, list):
            raise InvalidInputError(f"{word} needs its operands as a list")
        return self._applied(word, arguments)

    def _applied(self, word: str, arguments: Sequence[Tree]) -> _Operand:
        if word in ("and", "or"):
            return _Operand(_joined(word, [self.truth(each) for each in _some(word, arguments)]), Kind.TRUTH)
        if word in _COMPUTING:
            numbers = [self._of(each, Kind.NUMBER) for each in _exactly(2, word, arguments)]
            return _Operand(FunctionExpression(_COMPUTING[word], *numbers), Kind.NUMBER)
        if word in _FOLDING:
            (text,) = _exactly(1, word, arguments)
            return _Operand(FunctionExpression(_FOLDING[word], self._of(text, Kind.TEXT)), Kind.TEXT)
        return _Operand(self._predicate(word, arguments), Kind.TRUTH)

    def _predicate(self, word: str, arguments: Sequence[Tree]) -> Expression:
        if word in _COMPARING:
            left, right = _alike(*(self.operand(each) for each in _exactly(2, word, arguments)))
            return _COMPARING[word](left, right)
        if word in SPATIAL:
            return self._spatial(word, arguments)
        if word in TEMPORAL:
            return TEMPORAL[word](*(self._stretch(each) for each in _exactly(2, word, arguments)))
        one: dict[str, Callable[[str, Sequence[Tree]], Expression]] = {
            "not": self._not,
            "isnull": self._null,
            "like": self._like,
            "between": self._between,
            "in": self._in,
        }
        return one[word](word, arguments)

    def _of(self, tree: Tree, kind: Kind) -> Expression:
        operand = self.operand(tree)
        if operand.kind is not kind:
            raise InvalidInputError(f"{_quoted(tree)} is a {operand.kind.value}; a {kind.value} is needed there")
        return operand.expression

    def _not(self, word: str, arguments: Sequence[Tree]) -> Expression:
        (condition,) = _exactly(1, word, arguments)
        return ~self.truth(condition)

    def _null(self, word: str, arguments: Sequence[Tree]) -> Expression:
        (tree,) = _exactly(1, word, arguments)
        return self.operand(tree).expression.isnull()

    def _like(self, word: str, arguments: Sequence[Tree]) -> Expression:
        text, pattern = (self._of(each, Kind.TEXT) for each in _exactly(2, word, arguments))
        literal = arguments[1]
        if isinstance(literal, str) and len(literal) - len(literal.rstrip("\\")) & 1:
            raise InvalidInputError(f"the pattern {literal[:40]!r} ends with a backslash that escapes nothing")
        return FunctionExpression("like_escape", text, pattern, ConstantExpression("\\"))

    def _between(self, word: str, arguments: Sequence[Tree]) -> Expression:
        if len(arguments) == 2 and isinstance(arguments[1], list):  # a form of earlier drafts, which clients send
            arguments = [arguments[0], *arguments[1]]
        value, low, high = (self.operand(each) for each in _exactly(3, word, arguments))
        (at_least, low_end), (at_most, high_end) = _alike(value, low), _alike(value, high)
        return (at_least >= low_end) & (at_most <= high_end)

    def _in(self, word: str, arguments: Sequence[Tree]) -> Expression:
        tree, listed = _exactly(2, word, arguments)
        if not isinstance(listed, list) or not listed:
            raise InvalidInputError("in needs a list of values")
        if len(listed) > _MOST_VALUES:
            raise InvalidInputError(f"in has {len(listed)} values; at most {_MOST_VALUES} are taken")
        value = self.operand(tree)
        pairs = [_alike(value, self._value(each)) for each in listed]
        return pairs[0][0].isin(*(constant for _, constant in pairs))

    def _spatial(self, word: str, arguments: Sequence[Tree]) -> Expression:
        first, second = _exactly(2, word, arguments)
        forward, backward = SPATIAL[word]
        relation, name, shape = (backward, second, first) if values.is_geometry(first) else (forward, first, second)
        if not (isinstance(shape, dict) and values.is_geometry(shape)) or values.is_geometry(name):
            raise InvalidInputError(f"{word} needs the property with the geometry, and a geometry")
        self._of(name, Kind.GEOMETRY)
        if len(self.spatial) == _MOST_SPATIAL:
            advice = "join the geometries to one, or ask in parts"
            raise InvalidInputError(f"the filter has more than {_MOST_SPATIAL} spatial predicates; {advice}")
        column = f"spatial test {len(self.spatial)}"
        self.spatial.append(SpatialTest(column, relation, values.geometry(shape)))
        return ColumnExpression(column)

    def _stretch(self, tree: Tree) -> Stretch:
        ends = tree.get("interval") if isinstance(tree, dict) else None
        if ends is None:
            return Stretch(*self._moments(tree))
        begin, end = _exactly(2, "interval", ends if isinstance(ends, list) else [])
        first = ConstantExpression("-infinity").cast("timestamptz") if begin == ".." else self._moments(begin)[0]
        last = ConstantExpression("infinity").cast("timestamptz") if end == ".." else self._moments(end)[1]
        return Stretch(first, last)

    def _moments(self, tree: Tree) -> tuple[Expression, Expression]:
        """Begin and end of an instant; of a date, those of the day."""
        operand = self.operand(tree)
        if operand.text is not None:
            operand = _read(operand.text)
        if operand.kind is Kind.TIME:
            return operand.expression, operand.expression
        if operand.kind is Kind.DAY:
            midnight = operand.expression.cast("timestamp")
            last = FunctionExpression("add", midnight, ConstantExpression(_DAY).cast("interval"))
            begin, end = (FunctionExpression("timezone", ConstantExpression("UTC"), each) for each in (midnight, last))
            return begin, end
        raise InvalidInputError(f"{_quoted(tree)} is a {operand.kind.value}; a timestamp or a date is needed there")


def _alike(left: _Operand, right: _Operand) -> tuple[Expression, Expression]:
    """Two operands that can be compared; text beside a timestamp or a date is read as one."""
    for one, other in ((left, right), (right, left)):
        if one.text is not None and other.kind in (Kind.TIME, Kind.DAY):
            read = _read(one.text, other.kind)
            left, right = (read, right) if one is left else (left, read)
    if left.kind is not right.kind or left.kind is Kind.GEOMETRY:
        raise InvalidInputError(f"a {left.kind.value} cannot be compared with a {right.kind.value}")
    return left.expression, right.expression


def _read(text: str, kind: Kind | None = None) -> _Operand:
    """Text as a timestamp, or as a date where it is written as one or one is needed."""
    is_day = kind is Kind.DAY or (kind is None and len(text) == len("2024-05-01"))
    value: date | datetime = values.calendar_day(text) if is_day else values.instant(text)
    return _Operand(ConstantExpression(value), Kind.DAY if is_day else Kind.TIME)


def _joined(word: str, conditions: Sequence[Expression]) -> Expression:
    """Conditions joined in pairs, so that many are not nested deep."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    left, right = _joined(word, conditions[:half]), _joined(word, conditions[half:])
    return left & right if word == "and" else left | right


def _number(value: float) -> Expression:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputError("a number of the filter is not finite")
    if abs(value) >= _LARGEST:
        raise InvalidInputError(f"the number {str(value)[:30]} of the filter is too large")
    return ConstantExpression(float(value))


def _some(word: str, arguments: Sequence[Tree]) -> Sequence[Tree]:
    if not arguments:
        raise InvalidInputError(f"{word} needs conditions")
    return arguments


def _exactly(number: int, word: str, arguments: Sequence[Tree]) -> Sequence[Tree]:
    if len(arguments) != number:
        raise InvalidInputError(f"{word} needs {number} operands, not {len(arguments)}")
    return arguments


def _quoted(tree: Tree) -> str:
    return repr(tree) if len(repr(tree)) <= 60 else f"{repr(tree)[:60]}…"


def _offered() -> str:
    return ", ".join(sorted(OPERATORS))
