"""Compares facts of a report with those of the lake, value by value."""

from __future__ import annotations

import json
from typing import Any


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Paths at which two JSON values differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys([*old, *new])
        return [
            findings
            for name in names
            for findings in differences(old.get(name), new.get(name), f"{where}.{name}".lstrip("."))
        ]
    if isinstance(old, list) and isinstance(new, list):
        longer = range(max(len(old), len(new)))
        inner = [(_at(old, n), _at(new, n), f"{where}[{n}]") for n in longer]
        return [findings for pair in inner for findings in differences(*pair)]
    return [] if old == new and type(old) is type(new) else [f"{where} was {_excerpt(old)}, is {_excerpt(new)}"]


def _at(values: list[Any], number: int) -> Any:
    return values[number] if number < len(values) else None


def _excerpt(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def count(value: Any) -> int:
    """Number of leaf values."""
    if isinstance(value, dict):
        return sum(map(count, value.values()))
    return sum(map(count, value)) if isinstance(value, list) else 1
