"""The text encoding of CQL2: `parse` gives the tree that the JSON encoding has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

import shapely
import shapely.geometry

from cbm_lake.errors import InvalidInputError
from cbm_lake.server.cql2.values import Tree

LONGEST: Final = 50_000
"""Characters of a filter."""
_DEEPEST: Final = 40
_DIGITS: Final = 18
"""Of a whole number that fits into 64 bits in any case."""
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<text>'(?:''|\\'|[^'\\]|\\(?!'))*')
      | (?P<quoted>"(?:""|[^"])+")
      | (?P<name>[^\W\d][\w.:]*)
      | (?P<sign><=|>=|<>|[=<>+\-*/%^(),])
    )""",
    re.VERBOSE,
)
_COMPARING: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_STRENGTH: Final[Mapping[str, int]] = {
    "or": 1,
    "and": 2,
    **dict.fromkeys([*_COMPARING, "is", "like", "between", "in", "not"], 4),
    **dict.fromkeys("+-", 5),
    **dict.fromkeys(["*", "/", "%", "div"], 6),
    "^": 7,
}
"""How strongly operators bind; `not` before a condition is 3."""
_NOT: Final = 3
_SHAPES: Final = frozenset(
    ["point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"]
)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """A keyword or sign as it is compared; "" of literals and of quoted names."""
        return self.text.lower() if self.kind in ("name", "sign") else ""


def parse(text: str) -> Tree:
    """The tree of a filter.

    Raises:
        InvalidInputError: it cannot be read; the message says where.
    """
    if len(text) > LONGEST:
        raise InvalidInputError(f"the filter has {len(text)} characters; at most {LONGEST} are taken")
    parser = _Parser(text)
    tree = parser.expression(0)
    parser.end()
    return tree


class _Parser:
    """Reads by the strength of operators."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def expression(self, strength: int) -> Tree:
        """What stands here, up to an operator that binds less strongly than that."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidInputError(f"the filter is nested more than {_DEEPEST} deep")
        tree = self._operand()
        while _STRENGTH.get(self._next.word, 0) > strength:
            tree = self._operation(tree, self._take())
        self._depth -= 1
        return tree

    def end(self) -> None:
        """Raise an error unless all was read."""
        if self._next.kind != "end":
            self._refuse("this is not expected here")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _expect(self, word: str) -> None:
        if self._next.word != word:
            self._refuse(f"{word.upper()} is expected here")
        self._take()

    def _refuse(self, reason: str) -> NoReturn:
        token = self._next
        position = f"{token.text[:40]!r} at character {token.start + 1}" if token.kind != "end" else "its end"
        raise InvalidInputError(f"the filter cannot be read at {position}: {reason}")

    def _operation(self, left: Tree, operator: _Token) -> Tree:
        word = operator.word
        if word in ("and", "or"):
            return _chained(word, left, self.expression(_STRENGTH[word]))
        if word == "is":
            return self._null(left)
        if word == "not":
            if self._next.word not in ("like", "between", "in"):
                self._refuse("after NOT stands LIKE, BETWEEN or IN")
            return {"op": "not", "args": [self._operation(left, self._take())]}
        if word == "between":
            low = self.expression(_STRENGTH["between"])
            self._expect("and")
            return {"op": word, "args": [left, low, self.expression(_STRENGTH["between"])]}
        if word == "in":
            self._expect("(")
            return {"op": word, "args": [left, self._arguments()]}
        strength = _STRENGTH[word]
        return {"op": word, "args": [left, self.expression(strength - (word == "^"))]}

    def _null(self, tree: Tree) -> Tree:
        negated = self._next.word == "not"
        if negated:
            self._take()
        self._expect("null")
        null: Tree = {"op": "isNull", "args": [tree]}
        return {"op": "not", "args": [null]} if negated else null

    def _operand(self) -> Tree:
        token = self._next
        if token.kind in ("number", "text", "quoted"):
            self._take()
            return _literal(token)
        if token.word == "not":
            self._take()
            return {"op": "not", "args": [self.expression(_NOT)]}
        if token.word in ("-", "+"):
            self._take()
            return self._signed(token.word)
        if token.word == "(":
            self._take()
            tree = self.expression(0)
            self._expect(")")
            return tree
        if token.kind != "name":
            self._refuse("a value, a name or a condition is expected here")
        return self._named(self._take())

    def _signed(self, sign: str) -> Tree:
        value = self.expression(_STRENGTH["*"])
        if sign == "+":
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
        return {"op": "*", "args": [-1, value]}

    def _named(self, name: _Token) -> Tree:
        word = name.word
        if word in ("true", "false"):
            return word == "true"
        if word in _SHAPES:
            return self._geometry(name)
        if self._next.word != "(":
            return {"property": name.text}
        self._take()
        arguments = self._arguments()
        if word == "bbox":
            return {"bbox": arguments}
        if word in ("date", "timestamp"):
            return {word: arguments[0] if len(arguments) == 1 else arguments}
        return {"interval": arguments} if word == "interval" else {"op": word, "args": arguments}

    def _arguments(self) -> list[Any]:
        """What stands between brackets of which the first has been read."""
        arguments = [self.expression(0)]
        while self._next.word == ",":
            self._take()
            arguments.append(self.expression(0))
        self._expect(")")
        return arguments

    def _geometry(self, name: _Token) -> Tree:
        """A geometry as WKT, up to the bracket that closes it."""
        depth, token = 0, name
        while token.kind != "end":
            token = self._take()
            depth += {"(": 1, ")": -1}.get(token.word, 0)
            if token.word == ")" and depth <= 0:
                break
        text = self._text[name.start : token.end]
        try:
            return dict(shapely.geometry.mapping(shapely.from_wkt(text)))
        except (shapely.errors.ShapelyError, ValueError) as error:
            raise InvalidInputError(f"{text[:40]!r} … is no geometry: {str(error)[:80]}") from error


def _chained(word: str, left: Tree, right: Tree) -> Tree:
    """Conditions joined by AND or OR; a chain of them is one operation, and not nested."""
    if isinstance(left, dict) and left.get("op") == word:
        return {**left, "args": [*left["args"], right]}
    return {"op": word, "args": [left, right]}


def _literal(token: _Token) -> Tree:
    inner = token.text[1:-1]
    if token.kind == "text":
        return inner.replace("\\'", "'").replace("''", "'")
    if token.kind == "quoted":
        return {"property": inner.replace('""', '"')}
    is_whole = token.text.isdecimal() and len(token.text) <= _DIGITS
    return int(token.text) if is_whole else float(token.text)


def _tokens(text: str) -> list[_Token]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise InvalidInputError(f"the filter cannot be read at {text[at : at + 20]!r}, character {at + 1}")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup), match.end()))
        at = match.end()
    return [*tokens, _Token("end", "", end, end)]
