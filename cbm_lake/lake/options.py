"""Validation of the options of public functions: one check per option name, applied before anything else.

An option of one name means the same in every function. A function has its options checked by `checked_options`; what it
then gets is in one form: years are integers, places are finite numbers, lists are lists.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from numbers import Integral, Real
from types import MappingProxyType
from typing import Final, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np

from cbm_lake.cards import Classes, scene_classes
from cbm_lake.errors import InvalidInputError, argument_in_words, quoted
from cbm_lake.files.dates import parse_day

P = ParamSpec("P")
R = TypeVar("R")
Check: TypeAlias = Callable[[object], object]
"""Normalises a value; raises _UnfitError with a description of what is expected."""

_YEARS: Final = (1900, 2200)


class _UnfitError(Exception):
    """What an option is, where something else was given."""


def checked_options(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that its options are validated first by the entries of CHECKS.

    Raises:
        InvalidInputError: in a call, an option is not what it may be; the message names it.
    """
    signature = inspect.signature(function)
    checked = {name: each for name, each in signature.parameters.items() if name in CHECKS}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name in checked.keys() & bound.arguments.keys():
            value = bound.arguments[name]
            if value is not checked[name].default:
                several = "Sequence" in str(checked[name].annotation)
                bound.arguments[name] = checked_option(name, value, several=several)
        _in_order(bound.arguments)
        return function(*bound.args, **bound.kwargs)

    return call


def checked_option(name: str, value: object, *, several: bool = False) -> object:
    """The normalised value of an option.

    Args:
        name: one of CHECKS.
        value: what is given; None is a default, and nothing that can be given where it is none.
        several: whether it may be a list.

    Raises:
        InvalidInputError: it is not what it may be.
    """
    single = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    try:
        result = _one(CHECKS[name](single), several=several)
    except _UnfitError as error:
        problem = f"{quoted(value)} is not right: it is {error}"
        raise InvalidInputError(f"{name}={problem}", plain=f"{argument_in_words(name)} {problem}") from error
    return result


def _one(value: object, *, several: bool) -> object:
    if isinstance(value, list) and not several:
        raise _UnfitError("one, not a list")
    return value


def _in_order(options: Mapping[str, object]) -> None:
    """Raise InvalidInputError where a last day comes before the first."""
    first, last = options.get("start_date"), options.get("end_date")
    if isinstance(first, date) and isinstance(last, date) and last < first:
        raise InvalidInputError(
            f"end_date={last} comes before the first day, start_date={first}; turn them round",
            plain=f"the last day, {last}, comes before the first day, {first}; turn them round",
        )


# -- kinds ------------------------------------------------------------------------------------------------------------


def _plain(value: str) -> str:
    """A text as str itself: members of an enumeration of texts are called otherwise by str()."""
    return str.__str__(value)


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _UnfitError("a text, and not an empty one")
    return _plain(value)


def _text(expected: str) -> Check:
    """A text, perhaps an empty one; `expected` names it."""

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise _UnfitError(expected)
        return _plain(value)

    return check


_label = _text("a text")


def _area(value: object) -> str:
    """The name of an area, which is that of a folder too."""
    name = _name(value)
    if {"/", "\\", "\0"} & set(name) or not name.strip("."):
        raise _UnfitError("the name of an area, such as ms")
    return name


def _identifier(value: object) -> str:
    """Numbers are identifiers too, as the original's callers write them."""
    try:
        if isinstance(value, Integral) and not _is_flag(value):
            return str(int(value))
    except ValueError:  # thousands of digits
        raise _UnfitError("an identifier") from None
    if not isinstance(value, str):
        raise _UnfitError("an identifier, which is a text, exactly as the agency wrote it")
    return _plain(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _flag(value: object) -> bool:
    if not (_is_flag(value) or (isinstance(value, Integral) and value in (0, 1))):
        raise _UnfitError("True or False")
    return bool(value)


def _number(value: object) -> float:
    """A finite number, perhaps as text."""
    try:
        grouped = isinstance(value, str) and "_" in value  # which Python reads, and nobody means
        number = math.nan if _is_flag(value) or grouped or not isinstance(value, str | Real) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _UnfitError("a number")
    return number


def _between(least: float, most: float, expected: str, *, whole: bool = False) -> Check:
    """A number from a least to a greatest one; `expected` names it."""

    def check(value: object) -> float | int:
        try:
            number = _number(value)
        except _UnfitError:
            raise _UnfitError(expected) from None
        if not least <= number <= most or (whole and not number.is_integer()):
            raise _UnfitError(expected)
        return int(number) if whole or isinstance(value, Integral) else number

    return check


def _one_or_several(check: Check, expected: str) -> Check:
    """One, or a list of some."""

    def checked(value: object) -> object:
        if isinstance(value, str) or not isinstance(value, Iterable):
            return check(value)
        if isinstance(value, Mapping | bytes | bytearray | memoryview):
            raise _UnfitError(expected)
        return [check(each) for each in value]

    return checked


def _some(check: Check, expected: str) -> Check:
    """One, or a list of one or more."""
    several = _one_or_several(check, expected)

    def checked(value: object) -> object:
        values = several(value)
        if isinstance(values, list) and not values:
            raise _UnfitError(expected)
        return values

    return checked


def _day(value: object) -> date:
    """A day as date, datetime, or text: 2024-03-01 or 20240301, perhaps with a time; the day that is written there."""
    expected = "a day; write it as 2024-03-01"
    try:
        return parse_day(value)
    except ValueError:
        raise _UnfitError(expected) from None


def _two(least: float, most: float, expected: str) -> Check:
    """Two numbers between these, the lower first; `expected` names them."""

    def check(value: object) -> tuple[float, float]:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise _UnfitError(expected)
        try:
            low, high = (_number(each) for each in value)
        except (_UnfitError, ValueError):  # ValueError: not two
            raise _UnfitError(expected) from None
        if not least <= low < high <= most:
            raise _UnfitError(expected)
        return low, high

    return check


def _path(value: object) -> object:
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise _UnfitError("the path of a file")
    return value


def _classes(value: object) -> tuple[int, ...]:
    return scene_classes(cast("Classes", value))  # which checks what it gets


_BANDS = "a band such as B04, or a list of some"
_BAND = "a band such as B04; a flag here was save in early calls: files are always written, leave save out"
_SERVERS = "the name of a tile server, or a list of some"
_METRES = "a length in metres, more than 0"
CHECKS: Final = MappingProxyType(
    {
        "aoi": _area,
        "year": _between(*_YEARS, "a year such as 2024", whole=True),
        "pid": _one_or_several(_identifier, "an identifier, or a list of some"),
        "pids": _one_or_several(_identifier, "an identifier, or a list of some"),
        "ptype": _text("the name of a parcel set; the quiet of early calls is left out now"),
        "lon": _between(-180, 180, "a longitude in degrees, -180 to 180; it comes first"),
        "lat": _between(-90, 90, "a latitude in degrees, -90 to 90; longitude comes first"),
        "start_date": _day,
        "end_date": _day,
        "band": _some(_text(_BAND), _BANDS),
        "bands": _some(_name, _BANDS),
        "views": _some(_some(_name, _BANDS), "a view, or a list of some"),
        "index": _name,
        "card": _name,
        "tstype": _some(_label, "a kind of series, such as s2, or a list of some"),
        "screen": _classes,
        "tms": _some(_name, _SERVERS),
        "chipsize": _between(1, 1e6, "a size, 1 or more", whole=True),
        "extend": _between(1e-3, 1e9, _METRES),
        "distance": _between(0, 1e9, "a number of metres, 0 or more"),
        "max_peers": _between(0, 1e9, "a number of parcels, 0 or more", whole=True),
        "columns": _between(1, 24, "a number of images side by side, 1 to 24", whole=True),
        "hspace": _between(0, 10, "room between images, 0 to 10 times their height"),
        "max_line_plots": _between(1, 1e9, "a number of lines, 1 or more", whole=True),
        "percentile": _two(0, 100, "two percentiles, 0 to 100, the lower first; write (2, 98)"),
        "limits": _two(-math.inf, math.inf, "two numbers, the lower first, such as (0, 0.3)"),
        "cmap": _name,
        "formats": _some(_name, "a format such as pdf, or a list of some"),
        "name": _name,
        "notes": _label,
        "file": _path,
        "folder": _path,
        "text": _label,
        "instead_of": _text("the text of the notes that were read"),
        "who": _name,
        "view": _flag,
        **dict.fromkeys(
            (
                *("geom", "wgs84", "only_ids", "debug", "axis", "std", "errorbar"),
                *("markers", "peers", "show_parcel", "clean_history", "interactive", "clear"),
            ),
            _flag,
        ),
    }
)
"""The check of each option by its name."""
