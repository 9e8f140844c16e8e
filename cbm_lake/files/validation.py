"""What pydantic finds wrong in a document, in plain words: the path of the key, what is wrong, what may stand there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from pydantic import BaseModel, ValidationError

from cbm_lake.errors import InvalidInputError, quoted, some

Path: TypeAlias = tuple[str | int, ...]
"""Keys and, in lists, numbers from 0."""
_DUE: Final[Mapping[str, str]] = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping (key: value)",
    "mapping": "a mapping (key: value)",
    "model": "a mapping (key: value)",
}
"""What is due, by the first word of pydantic's type of error."""
_BOUNDS: Final[Mapping[str, str]] = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
MISSING: Final = "is missing"
_NEAR: Final = 0.6
_LISTED: Final = 30


class Problem(NamedTuple):
    """What is wrong at a place of a document."""

    path: Path
    reason: str
    meant: str | None = None
    """The key that may be meant by an unknown one."""

    def __str__(self) -> str:
        where = location(self.path)
        return f"{where}: {self.reason}" if where else self.reason

    def below(self, path: Path) -> Problem:
        """The same, of a document that is part of another one."""
        return self._replace(path=(*path, *self.path))


class ProblemsError(InvalidInputError):
    """A document is not what it may be, in one or several places."""

    def __init__(self, message: str, problems: Iterable[Problem]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


def location(path: Path) -> str:
    """A path as messages have it: exports[2].what."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def nearest(name: object, names: Iterable[str]) -> str | None:
    """The name that is most like another one; None where none is."""
    return next(iter(difflib.get_close_matches(str(name), list(names), n=1, cutoff=_NEAR)), None)


def meant(name: object, names: Iterable[str]) -> str:
    """What may have been meant by a name, else which there are."""
    candidates = list(names)
    near = nearest(name, candidates)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"there are: {some(candidates, _LISTED)}" if candidates else "there is none"


def unknown_key(path: Path, names: Iterable[str]) -> Problem:
    """That a key of a document is none of those that may stand there."""
    candidates, key = list(names), path[-1]
    return Problem(path, f"unknown key {key!r}; {meant(key, candidates)}", nearest(key, candidates))


def problems(error: ValidationError, model: type[BaseModel], document: object) -> list[Problem]:
    """The problems of a document, each place once.

    Args:
        error: of the validation by `model`.
        model: whose fields are known.
        document: that was validated.
    """
    first: dict[Path, Problem] = {}
    for one in error.errors():
        path = _path(one["loc"], document)
        if one["type"] == "extra_forbidden":
            first.setdefault(path, unknown_key(path, _fields_at(model, one["loc"][:-1])))
        else:
            first.setdefault(path, Problem(path, _reason(one)))
    return [*first.values()]


def noun(value: object) -> str:
    """What a value of a document is, in words."""
    if value is None:
        return "it is empty"
    if isinstance(value, bool | str | int | float):
        kind = "a text" if isinstance(value, str) else "true or false" if isinstance(value, bool) else "a number"
        return f"{quoted(value)} is {kind}"
    return "it is a mapping" if isinstance(value, Mapping) else "it is a list"


def _path(loc: Sequence[str | int], document: object) -> Path:
    """The path in the document: without what pydantic adds for the members of a union."""
    path: list[str | int] = []
    for number, part in enumerate(loc):
        inside = _member(document, part)
        if inside is not None:
            document = inside[0]
            path.append(part)
        elif number == len(loc) - 1 and isinstance(document, Mapping) and isinstance(part, str) and part.isidentifier():
            path.append(part)  # of a key that is missing
    return tuple(path)


def value_at(document: object, path: Path) -> object:
    """The value at a place of a document; None where there is none."""
    for part in path:
        inside = _member(document, part)
        if inside is None:
            return None
        document = inside[0]
    return document


def _member(document: object, part: str | int) -> tuple[object] | None:
    if isinstance(document, Mapping):
        return (document[part],) if part in document else None
    if isinstance(document, list | tuple) and isinstance(part, int) and part < len(document):
        return (document[part],)
    return None


def _reason(error: Mapping[str, Any]) -> str:
    kind, value, context = str(error["type"]), error["input"], error.get("ctx", {})
    if kind == "missing":
        return MISSING
    if kind == "literal_error":
        return f"{quoted(value)} is not right; it is {context['expected']}"
    if kind == "too_short":
        return "is empty; one at least is due"
    bounds = [f"{words} {context[name]}" for name, words in _BOUNDS.items() if name in context]
    if bounds:
        return f"{quoted(value)} is not right: {' and '.join(bounds)} is due"
    due = _DUE.get(kind.partition("_")[0])
    return _of_type(value, due) if due else str(error["msg"]).removeprefix("Value error, ")


def _of_type(value: object, due: str) -> str:
    """That a value is not of the type that is due."""
    advice = ""
    if due == "a text" and isinstance(value, int | float) and not isinstance(value, bool):
        advice = f"; write it in quotes: {str(value)!r}"
    elif due.endswith("number") and isinstance(value, str) and value.strip().replace(".", "", 1).isdecimal():
        advice = "; write it without quotes"
    return f"{noun(value)}, where {due} is due{advice}"


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys of the group at a place of a document."""
    models = [model]
    for part in loc:
        annotations = [one.model_fields[part].annotation for one in models if part in one.model_fields]
        if annotations:
            models = [inner for annotation in annotations for inner in _models(annotation)]
        elif isinstance(part, str):  # the name of a member of a mapping, or the tag of a union
            models = [one for one in models if part in _tags(one)] or models
    return list(dict.fromkeys(name for one in models for name in one.model_fields))


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _tags(model: type[BaseModel]) -> tuple[object, ...]:
    """The values of `kind` by which a union tells a model apart."""
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()
