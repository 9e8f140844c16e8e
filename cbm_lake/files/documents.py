"""Safe parsing of untrusted JSON and YAML, bounded in size and depth, without implicit conversions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from cbm_lake.errors import InvalidInputError

DEEPEST: Final = 64
"""Lists and maps inside each other at most."""
_MOST_DIGITS: Final = 40
_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
"""Texts, also one that does not end: it would be looked through again from each quotation mark inside."""
_BRACKETS: Final = re.compile(r"[\[\]{}]")
_LARGEST_YAML: Final = 2**20
"""Bytes of a YAML file at most; parameters and classes have a few thousand."""
_MOST_NODES: Final = 100_000
"""Values of a YAML file at most, those counted again that an alias repeats."""


def read_json(text: str) -> Any:
    """A document of JSON as RFC 8259 has it: no NaN, no name twice in an object, numbers that a float holds.

    Args:
        text: the document.

    Raises:
        InvalidInputError: it is none, or deeper than `DEEPEST`.
    """
    check_depth(text)
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except InvalidInputError:
        raise
    except UnicodeEncodeError as error:
        raise InvalidInputError("a text in it has half of a character (a lone surrogate)") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"it is no JSON ({error})") from error
    return document


def load_json(content: str | bytes) -> Any:
    """A document of JSON as the standard library reads it, with a bound to its depth.

    Args:
        content: of a file or answer; bytes are in the encoding that JSON says itself.

    Raises:
        InvalidInputError: it is deeper than `DEEPEST`.
        ValueError: it is no JSON.
    """
    text = content.decode(json.detect_encoding(content), "surrogatepass") if isinstance(content, bytes) else content
    check_depth(text)
    return json.loads(text)


def check_depth(text: str, deepest: int = DEEPEST) -> None:
    """Refuse JSON that is deeper than a number of lists and maps inside each other, before a parser recurses into it.

    Raises:
        InvalidInputError: it is deeper.
    """
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > deepest:
            raise InvalidInputError(f"it has more than {deepest} lists and maps inside each other")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"the name {double[:60]!r} stands twice in one object")
    return members


def _constant(text: str) -> float:
    raise InvalidInputError(f"{text} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidInputError(f"the number {text[:30]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise InvalidInputError(f"the number {text[:20]}… has {len(text)} digits")
    return int(text)


# -- YAML -------------------------------------------------------------------------------------------------------------


_MERGE: Final = "tag:yaml.org,2002:merge"


class _Texts(yaml.SafeLoader):  # type: ignore[misc]
    """Every value is its text in the file; a missing one is null.

    A duplicate key is refused, where YAML's usual reader silently takes the last one.
    """

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - as the library has it

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The map of a node, without duplicate keys."""
        keys = {(key.tag, str(key.value)) for key, _ in node.value}
        names = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        values = [self.construct_object(name) for name in names]
        if len(keys) < len(node.value) or len(set(values)) < len(names):
            twice = [name for number, name in enumerate(names) if values[number] in values[:number]]
            named = f"a value stands there twice ({', '.join(name.value for name in twice)})"
            raise yaml.MarkedYAMLError(problem=named, problem_mark=(twice or [node])[0].start_mark)
        return dict(super().construct_mapping(node, deep))


class _Typed(_Texts):
    """Numbers, true, false and null by the core schema of YAML 1.2; everything else (yes, 0777, a date) is a text."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012


_NULL: Final = "~|null|Null|NULL|"
_Texts.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(f"(?:{_NULL})$"), ["~", "n", "N", ""])
for _tag, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", "<<", ["<"]),
):
    _Typed.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


def _number(loader: _Typed, node: Any) -> float:
    """A number as 1e3 too, which the library's own constructor does not read without a dot."""
    return float(re.sub(r"\.(inf|nan)$", r"\1", str(loader.construct_scalar(node)), flags=re.IGNORECASE))


_Typed.add_constructor("tag:yaml.org,2002:float", _number)


def read_yaml(file: Path, *, texts: bool = False) -> Any:
    """The document in a YAML file.

    Args:
        file: of at most 1 MB; aliases may repeat what is bounded in the end.
        texts: every value is the text that stands there; else numbers, true, false and null are what YAML 1.2 says.

    Raises:
        InvalidInputError: it cannot be read, is too large or deep, or a map has a duplicate key.
    """
    try:
        if file.stat().st_size > _LARGEST_YAML:
            raise InvalidInputError(f"{file} has more than {_LARGEST_YAML:,} bytes")
        return parse_yaml(file.read_text("utf-8-sig"), texts=texts)
    except (OSError, UnicodeError) as error:
        raise InvalidInputError(str(error)) from error


def parse_yaml(text: str, *, texts: bool = False) -> Any:
    """The document in a text of YAML, as `read_yaml` has it.

    Raises:
        InvalidInputError: as there.
    """
    try:
        _check_events(text)
        loader = (_Texts if texts else _Typed)(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_nodes(root)
        return loader.construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInputError(" ".join(str(error).split())) from error
    except (LookupError, AttributeError) as error:  # of a value that is none of the type that it says
        raise InvalidInputError(f"a value in it is not of the type that its tag says ({error})") from error


def parsing_problem(error: BaseException) -> tuple[int | None, str]:
    """In which line (from 1) the text is no YAML, where that is known, and why; of an error of `read_yaml`."""
    cause = error.__cause__
    if not isinstance(cause, yaml.MarkedYAMLError) or cause.problem_mark is None:
        return None, str(error)
    tab = "character '\\t'" in str(cause.problem)
    reason = "there is a tab; indent by blanks" if tab else ": ".join(filter(None, (cause.context, cause.problem)))
    return cause.problem_mark.line + 1, " ".join(reason.split())


def lines_of(text: str) -> dict[tuple[str | int, ...], int]:
    """The line (from 1) of each key and member of a list, by its path, in a text that `parse_yaml` reads."""
    root = _Typed(text).get_single_node()
    return dict(_lines(root, ())) if root is not None else {}


def _lines(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    members: list[tuple[str | int, Any, Any]]
    if isinstance(node, yaml.MappingNode):
        members = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        members = [(number, value, value) for number, value in enumerate(node.value)]
    else:
        return
    for part, mark, value in members:
        yield (*path, part), mark.start_mark.line + 1
        yield from _lines(value, (*path, part))


def _check_events(text: str) -> None:
    """Refuse what is too deep before anything recurses into it."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise InvalidInputError(f"it has more than {DEEPEST} lists and maps inside each other")


def _check_nodes(root: Any) -> None:
    """Refuse what aliases make too large or too deep, and aliases of what they stand in."""
    measured: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()

    def measure(node: Any) -> tuple[int, int]:
        """How many values there are in a node, and how deep they lie."""
        if id(node) in open_nodes:
            raise InvalidInputError("an alias repeats what it stands in")
        if isinstance(node, yaml.ScalarNode) and not node.value.isascii():
            node.value.encode("utf-8")  # which half of a character (a lone surrogate) cannot be
        if id(node) not in measured:
            open_nodes.add(id(node))
            inner = [measure(below) for below in _below(node)]
            open_nodes.remove(id(node))
            measured[id(node)] = 1 + sum(size for size, _ in inner), 1 + max((depth for _, depth in inner), default=0)
        return measured[id(node)]

    size, depth = measure(root)
    if size > _MOST_NODES:
        raise InvalidInputError(f"its aliases make more than {_MOST_NODES:,} values of it")
    if depth > DEEPEST + 1:
        raise InvalidInputError(f"its aliases make more than {DEEPEST} lists and maps inside each other")


def _below(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
