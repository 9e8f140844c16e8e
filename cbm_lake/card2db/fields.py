"""Parses values of STAC properties in the spellings of different catalogues."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from cbm_lake.errors import InvalidInputError

_TRUE: Final = frozenset({"true", "yes", "1", "1.0"})
_FALSE: Final = frozenset({"false", "no", "0", "0.0"})
_DOTTED = re.compile(r"[NV]?0?(?P<major>\d{1,2})\.(?P<minor>\d{1,2})$", re.IGNORECASE)
_JOINED = re.compile(r"[NV]?(?P<major>\d{1,2})(?P<minor>\d{2})$", re.IGNORECASE)
_WHOLE = re.compile(r"(?P<major>\d)$")
_NEWEST: Final = 20
"""No processing baseline has a higher number before the point, but 99, which the Sen2Cor toolbox writes."""
_TOOLBOX: Final = 99


def boolean(value: Any, name: str) -> bool:
    """Parse a boolean, also from text or number.

    Raises:
        InvalidInputError: it is neither.
    """
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise InvalidInputError(f"its {name} {value!r} is neither true nor false")
    return text in _TRUE


def number(value: Any, name: str) -> float:
    """Parse a finite number, also from text.

    Raises:
        InvalidInputError: it is not a finite number.
    """
    try:
        parsed = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        parsed = math.nan
    if not math.isfinite(parsed):
        raise InvalidInputError(f"its {name} {value!r} is no number")
    return parsed


def baseline(value: Any) -> str:
    """Parse a processing baseline to 05.10, from "0510", "N0510", "05.10", "v05.10", 5.1 (a truncated 05.10), 510 or 5.

    Raises:
        InvalidInputError: it is none of these spellings.
    """
    text = str(value).strip()
    if isinstance(value, float) and value.is_integer():
        text = str(int(value))
    match = _DOTTED.match(text) or _JOINED.match(text) or _WHOLE.match(text)
    major = int(match["major"]) if match and not isinstance(value, bool) else -1
    minor = f"{(match.groupdict().get('minor') if match else None) or '':0<2}"
    if not (0 <= major <= _NEWEST or major == _TOOLBOX) or (major, minor) == (0, "00"):
        raise InvalidInputError(f"its processing baseline {value!r} is unknown; it should be written as 05.10")
    return f"{major:02d}.{minor}"


def first(properties: Mapping[str, Any], *names: str) -> Any:
    """The first of these properties that is present, else None."""
    return next((properties[name] for name in names if properties.get(name) is not None), None)
