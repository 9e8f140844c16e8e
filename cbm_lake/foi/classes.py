"""The classes of a thematic raster: which pixel value means what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cbm_lake.errors import InvalidInputError, SourceError


def read_classes(source: str | Path | Mapping[Any, Any]) -> dict[int, str]:
    """Names of classes by pixel value, in the order given.

    Args:
        source: YAML file with `category_map: {value: name, …}`, or that map itself with or without its heading.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: a value is no whole number, or two classes have one name.
    """
    document = source if isinstance(source, Mapping) else _read(Path(source))
    told = document.get("category_map", document) if isinstance(document, Mapping) else None
    if not isinstance(told, Mapping) or not told:
        raise InvalidInputError(f"{_named(source)}: no classes; write category_map: and below it value: name, one each")
    classes = {_value(value, source): "" if name is None else str(name).strip() for value, name in told.items()}
    if len(classes) < len(told):
        raise InvalidInputError(f"{_named(source)}: a pixel value stands there twice; leave one class of it")
    _check_names(classes, source)
    return classes


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands in a map twice, where YAML's usual reader takes the last one without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = {(key.tag, str(key.value)) for key, _ in node.value}
        if len(keys) < len(node.value):
            raise yaml.MarkedYAMLError(problem="a value stands there twice", problem_mark=node.start_mark)
        return dict(super().construct_mapping(node, deep))


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"classes {path} cannot be read ({reason}); check the file") from error


def _value(value: Any, source: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value).strip()):
        raise InvalidInputError(f"{_named(source)}: {value!r} is no pixel value; classes are whole numbers")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise InvalidInputError(f"{_named(source)}: {number} is no pixel value; rasters hold at most 64 bits")
    return number


def _check_names(classes: dict[int, str], source: Any) -> None:
    seen: dict[str, int] = {}
    for value, name in classes.items():
        other = seen.setdefault(name.lower(), value)
        if not name or other != value:
            problem = f"classes {other} and {value} are both called {name!r}" if name else f"class {value} has no name"
            raise InvalidInputError(f"{_named(source)}: {problem}; give each class a name of its own")


def _named(source: Any) -> str:
    return "the classes" if isinstance(source, Mapping) else f"classes {source}"
