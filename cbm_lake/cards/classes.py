"""Parsing of scene classes (SCL) as callers specify them."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
from pydantic import SkipValidation

from cbm_lake.cards.card import Card
from cbm_lake.cards.sentinel2 import SCL
from cbm_lake.errors import quoted, wrong_argument

CLASSES: Final = SCL.classes
"""The classes of Sentinel-2's scene classification (SCL), which has most of all."""
CLASS_NAMES: Final = SCL.names
"""Their names."""
CLOUD_CLASSES: Final = SCL.screened
"""SCL classes that are screened by default."""
Classes: TypeAlias = Annotated[str | int | Iterable[str | int], SkipValidation]
"""Scene classes as a caller may name them; see `scene_classes`."""
_DIGITS = re.compile(r"\s*[0-9]{1,4}\s*")
_BETWEEN_CLASSES = re.compile(r"[\s_,;]+")


def scene_classes(named: Classes) -> tuple[int, ...]:
    """The scene classes (SCL) meant by "3_8_9_10_11", "3,8", [3, "8"] or 3, each once and in that order.

    An empty list screens nothing.

    Raises:
        InvalidInputError: one of them is not a class, 0 to 11, or it is an empty text.
    """
    if isinstance(named, np.ndarray) and named.ndim == 0:
        named = named.item()
    if isinstance(named, str):
        parts: Iterable[str | int] = _BETWEEN_CLASSES.split(named.strip())
    elif isinstance(named, Mapping | bytes | bytearray | memoryview):
        raise wrong_argument("screen", f"{quoted(named)} is no list of scene classes; write 3_8_9_10_11 or numbers")
    elif isinstance(named, Iterable):
        parts = named
    else:
        parts = [named]
    return tuple(dict.fromkeys(_scene_class(part, named) for part in parts))


def screened(named: Classes, card: Card) -> tuple[int, ...]:
    """The classes of a card that are to be screened; where Sentinel-2's usual ones are named, the card's usual ones."""
    classes = scene_classes(named)
    usual = card.classification.screened if card.classification else ()
    return usual if classes == CLOUD_CLASSES else classes


def with_classes(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a question, their `screen`, if it has one, as a list of scene classes.

    Raises:
        InvalidInputError: it is none.
    """
    if params.get("screen") is None:
        return params
    return {**params, "screen": list(scene_classes(params["screen"]))}


def _scene_class(part: str | int, named: object) -> int:
    try:
        value = int(part) if isinstance(part, str) and _DIGITS.fullmatch(part) else operator.index(_whole(part))
    except (TypeError, ValueError):
        value = -1
    if isinstance(part, bool | np.bool_) or value not in CLASSES:
        raise wrong_argument(
            "screen",
            f"{quoted(named)} is no list of scene classes, {quoted(part)} is none of 0 to 11; "
            "write 3_8_9_10_11 or numbers",
        )
    return value


def _whole(number: Any) -> Any:
    """A float that is a whole number as that; all else as it is."""
    return int(number) if isinstance(number, float | np.floating) and float(number).is_integer() else number
