"""Class names of a thematic raster by pixel value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files.documents import read_yaml

_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]*)|0[xX][0-9a-fA-F]+", re.ASCII)
"""A pixel value; what begins with a nought would be octal to some readers of YAML, and is refused."""


def read_classes(source: str | Path | Mapping[Any, Any]) -> dict[int, str]:
    """Read class names by pixel value, in file order.

    Args:
        source: YAML file with `category_map: {value: name, …}`, or that map itself with or without its heading.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: a value is no whole number, or two classes have one name.
    """
    document = source if isinstance(source, Mapping) else _read(Path(source))
    names = document.get("category_map", document) if isinstance(document, Mapping) else None
    if not isinstance(names, Mapping) or not names:
        raise InvalidInputError(f"{_named(source)}: no classes; write category_map: and below it value: name, one each")
    classes = {_value(value, source): _name(name, source) for value, name in names.items()}
    if len(classes) < len(names):
        raise InvalidInputError(f"{_named(source)}: a pixel value stands there twice; leave one class of it")
    _check_names(classes, source)
    return classes


def _read(path: Path) -> Any:
    """Load the file with every name as literal text: yes, 1e3, 0777 and 2024-01-01 are names too."""
    try:
        return read_yaml(path, texts=True)
    except InvalidInputError as error:
        raise SourceError(f"classes {path} cannot be read ({error}); check the file") from error


def _value(value: object, source: object) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not _WHOLE.fullmatch(text):
        raise InvalidInputError(f"{_named(source)}: {value!r} is no pixel value; classes are whole numbers")
    number = int(text, 16 if "x" in text.lower() else 10)
    if not -(2**63) <= number < 2**63:
        raise InvalidInputError(f"{_named(source)}: {number} is no pixel value; rasters hold at most 64 bits")
    return number


def _name(name: object, source: object) -> str:
    if isinstance(name, (Mapping, list, tuple, set)):
        raise InvalidInputError(f"{_named(source)}: {str(name)[:60]} is no name of a class; write one text for each")
    return "" if name is None else str(name).strip()


def _check_names(classes: dict[int, str], source: object) -> None:
    values: dict[str, int] = {}
    for value, name in classes.items():
        other = values.setdefault(name.lower(), value)
        if not name or other != value:
            problem = f"classes {other} and {value} are both called {name!r}" if name else f"class {value} has no name"
            raise InvalidInputError(f"{_named(source)}: {problem}; give each class a name of its own")


def _named(source: object) -> str:
    return "the classes" if isinstance(source, Mapping) else f"classes {source}"
